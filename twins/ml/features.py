"""From rows to features: a few fused health indices, and what each did over several windows.

An index is a weighted sum of normalised inputs: minimum-noise-fraction directions (what changes slowly against what
flickers: Green et al. 1988) and partial-least-squares directions (what goes along with life left: Wold 1975). Windows,
drift from the item's own beginning and the extrapolated crossing of the level at which others failed are taken of the
indices alone, which is more accurate and several times cheaper than of every sensor (decision 10). Everything uses the
past only, and only the first and the last rows of a life, so that a running life needs no more than those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.ml.lives import Bools, Floats, Ints
from twins.ml.windows import beginning, window_mean, window_sd, window_slope

MEANS = (5, 10, 20, 40, 80)
SPREADS = (10, 40)
SLOPES = (10, 20, 40, 80)
BEGINNING = 15
"""Rows that say how an item was when it was new."""
AGE, ALL = -1, -2
"""Owners of features that belong to no single index."""
_SLOWEST, _NEAREST = 6, 3
_SHRINKAGE = 0.05


@dataclass(frozen=True)
class Indices:
    """Fused health indices of a fleet."""

    weights: Floats
    """[inputs, indices] of normalised inputs."""
    covariance: Floats
    """[inputs, inputs] of normalised inputs, which says what a missing one would probably have been."""
    failing: Floats
    """[indices] level at which others failed."""

    def of(self, normalised: Floats) -> Floats:
        """[rows, indices]; a missing input is replaced by what the others let expect."""
        return fill(normalised, self.covariance) @ self.weights


def fit_indices(normalised: Floats, first: Ints, life_left: Floats, exact: Bools) -> Indices:
    """Directions from all rows; `life_left` [rows] counts where `exact` [rows] is true."""
    covariance = _covariance(normalised)
    filled = fill(normalised, covariance)
    weights = np.column_stack([_slow(filled, first), _near(filled[exact], life_left[exact])])
    weights /= np.maximum(np.std(filled @ weights, axis=0), 1e-12)
    last = np.flatnonzero(exact & (np.append(np.diff(first), 1) != 0))
    levels = window_mean(filled @ weights, first, MEANS[0])[last]
    return Indices(weights, covariance, np.median(levels, axis=0) if len(last) else np.zeros(weights.shape[1]))


def fill(normalised: Floats, covariance: Floats) -> Floats:
    """Replace NaN by its expectation given the inputs that are there (Gaussian conditional mean)."""
    missing = ~np.isfinite(normalised)
    filled = np.where(missing, 0.0, normalised)
    broken = np.flatnonzero(missing.any(axis=1))
    if not len(broken):
        return filled
    patterns, which = np.unique(missing[broken], axis=0, return_inverse=True)
    for index, gone in enumerate(patterns):
        rows = broken[which.ravel() == index]
        there = ~gone
        if there.any():
            guess = np.linalg.solve(covariance[np.ix_(there, there)], covariance[np.ix_(there, gone)])
            filled[np.ix_(rows, gone)] = filled[np.ix_(rows, there)] @ guess
    return filled


def features(levels: Floats, first: Ints, age: Floats, failing: Floats) -> tuple[Floats, list[int]]:
    """[rows, features] of index levels [rows, indices], and per feature its index, AGE or ALL."""
    means = {width: window_mean(levels, first, width) for width in MEANS}
    slopes = {width: window_slope(levels, first, width) for width in SLOPES}
    drift = means[10] - beginning(levels, first, BEGINNING)
    crossings = [_crossing(means[10], slopes[20], failing), _crossing(means[40], slopes[80], failing)]
    spreads = [window_sd(levels, first, width) for width in SPREADS]
    blocks = [*means.values(), *slopes.values(), drift, *crossings, *spreads]
    owners = [index for _ in blocks for index in range(levels.shape[1])]
    # How far the item has come from its own beginning, in whatever direction its kind of failure leads.
    way = np.sqrt((drift**2).sum(axis=1, keepdims=True))
    ways = [way, *(window_mean(way, first, width) for width in (10, 30))]
    ways += [window_slope(way, first, width) for width in SLOPES]
    return np.column_stack([*blocks, *ways, age]), [*owners, *(ALL for _ in ways), AGE]


def _crossing(level: Floats, slope: Floats, failing: Floats) -> Floats:
    """Rows until the level reaches the one at which others failed, if it goes on like this; at most 1000."""
    distance = failing - level
    rate = np.where(np.abs(slope) > 1e-6, slope, 1e-6)
    rows = distance / rate
    return np.where(rows < 0, np.where(distance * np.sign(failing) < 0, 0.0, 1000.0), np.minimum(rows, 1000.0))


def _covariance(normalised: Floats) -> Floats:
    known = np.isfinite(normalised)
    centred = np.where(known, normalised - np.nanmean(normalised, axis=0, where=known), 0.0)
    pairs = known.T.astype(np.float64) @ known
    covariance = centred.T @ centred / np.maximum(pairs, 1.0)
    diagonal = np.diag(np.maximum(np.diag(covariance), 1e-6))
    return (1 - _SHRINKAGE) * covariance + _SHRINKAGE * diagonal


def _slow(filled: Floats, first: Ints) -> Floats:
    """Minimum-noise-fraction directions: largest variance against the variance of successive differences."""
    same = np.flatnonzero(np.diff(first) == 0)
    noise = np.cov((filled[same + 1] - filled[same]).T) / 2
    total = np.cov(filled.T)
    size = filled.shape[1]
    noise = np.atleast_2d(noise) + 0.01 * np.eye(size)
    # The generalised eigenvalue problem, made an ordinary one by the noise's Cholesky factor.
    whiten = np.linalg.inv(np.linalg.cholesky(noise))
    _, vectors = np.linalg.eigh(whiten @ np.atleast_2d(total) @ whiten.T)
    return _signed(whiten.T @ vectors[:, ::-1][:, : min(_SLOWEST, size)])


def _near(filled: Floats, life_left: Floats) -> Floats:
    """Partial-least-squares directions for life left (NIPALS for one answer)."""
    rest, answer = filled - filled.mean(axis=0), life_left - life_left.mean()
    directions: list[Floats] = []
    loadings: list[Floats] = []
    for _ in range(min(_NEAREST, filled.shape[1])):
        weight = rest.T @ answer
        length = np.linalg.norm(weight)
        if length < 1e-9:
            break
        weight /= length
        score = rest @ weight
        power = score @ score
        loading = rest.T @ score / power
        rest = rest - np.outer(score, loading)
        answer = answer - score * (score @ answer / power)
        for earlier, its_loading in zip(directions, loadings, strict=True):
            weight = weight - earlier * (its_loading @ weight)
        directions.append(weight)
        loadings.append(loading)
    return -np.column_stack(directions) if directions else np.empty((filled.shape[1], 0))


def _signed(vectors: Floats) -> Floats:
    """An eigenvector's sign is arbitrary: its largest weight is made positive, so that training repeats."""
    largest = np.abs(vectors).argmax(axis=0)
    return vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])
