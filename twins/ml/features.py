"""From rows to features: a few fused health indices, and what each did over several windows.

An index is a weighted sum of normalised inputs: minimum-noise-fraction directions (what changes slowly against what
flickers: Green et al. 1988), partial-least-squares directions (what goes along with life left: Wold 1975), and for each
way of failing that the ends of lives show the direction that leads there (a matched filter: North 1943). Windows, drift
from the item's own beginning and the extrapolated crossing of the level at which others failed are taken of the indices
alone, which is more accurate and several times cheaper than of every sensor (decision 10). Everything uses the
past only, and only the first and the last rows of a life, so that a running life needs no more than those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.ml.lives import Bools, Floats, Ints
from twins.ml.modes import find_modes
from twins.ml.windows import beginning, window_mean, window_sd, window_slope

MEANS = (5, 10, 20, 40, 80)
SPREADS = (10, 40)
SLOPES = (10, 20, 40, 80)
BEGINNING = 15
"""Rows that say how an item was when it was new."""
_SMOOTHED = 10
"""Rows over which drift is judged."""
REACH = max(*MEANS, *SLOPES, *SPREADS) + _SMOOTHED
"""Rows back from the newest that its features look at, apart from the beginning."""
AGE, ALL = -1, -2
"""Owners of features that belong to no single index."""
_SLOWEST, _NEAREST = 1, 1
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
    noise = _noise(filled, first)
    last = np.flatnonzero(exact & (np.append(np.diff(first), 1) != 0))
    came = (
        (window_mean(filled, first, MEANS[0], last) - beginning(filled, first, BEGINNING)[last])
        if len(last)
        else filled[:0]
    )
    mode = find_modes(came, noise)
    ways = [np.linalg.solve(noise, came[mode == number].mean(axis=0)) for number in np.unique(mode)]
    fused = [_slow(filled, noise), _near(filled[exact], life_left[exact]), *(way[:, None] for way in ways)]
    weights = np.column_stack(fused)
    weights /= np.maximum(np.std(filled @ weights, axis=0), 1e-12)
    if not len(last):
        return Indices(weights, covariance, np.zeros(weights.shape[1]))
    levels = window_mean(filled @ weights, first, MEANS[0], last)
    failing = np.median(levels, axis=0)
    for number in np.unique(mode):
        # The last columns are the ways of failing, each with the level at which those failed that went it.
        column = weights.shape[1] - len(ways) + number
        failing[column] = np.median(levels[mode == number, column])
    return Indices(weights, covariance, failing)


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


def features(
    levels: Floats, first: Ints, age: Floats, failing: Floats, rows: Ints | None = None
) -> tuple[Floats, list[int]]:
    """Features of index levels [all rows, indices] at `rows` (None: at all), and per feature its index, AGE or ALL."""
    asked = np.arange(len(first)) if rows is None else rows
    means = {width: window_mean(levels, first, width, asked) for width in MEANS}
    slopes = {width: window_slope(levels, first, width, asked) for width in SLOPES}
    drift = window_mean(levels, first, _SMOOTHED) - beginning(levels, first, BEGINNING)
    crossings = [_crossing(means[10], slopes[20], failing), _crossing(means[40], slopes[80], failing)]
    spreads = [window_sd(levels, first, width, asked) for width in SPREADS]
    blocks = [*means.values(), *slopes.values(), drift[asked], *crossings, *spreads]
    owners = [index for _ in blocks for index in range(levels.shape[1])]
    # How far the item has come from its own beginning, in whatever direction its kind of failure leads.
    way = np.sqrt((drift**2).sum(axis=1, keepdims=True))
    ways = [way[asked], *(window_mean(way, first, width, asked) for width in (10, 30))]
    ways += [window_slope(way, first, width, asked) for width in SLOPES]
    return np.column_stack([*blocks, *ways, age[asked]]), [*owners, *(ALL for _ in ways), AGE]


def _crossing(level: Floats, slope: Floats, failing: Floats) -> Floats:
    """Rows until the level reaches the one at which others failed, if it goes on like this; at most 1000."""
    distance = failing - level
    rate = np.where(np.abs(slope) > 1e-6, slope, 1e-6)
    rows = distance / rate
    return np.where(rows < 0, np.where(distance * np.sign(failing) < 0, 0.0, 1000.0), np.minimum(rows, 1000.0))


def _covariance(normalised: Floats) -> Floats:
    """[inputs, inputs] from the rows where both inputs are there, drawn a little towards independence."""
    known = np.isfinite(normalised)
    whole = known.all()
    count = np.maximum(known.sum(axis=0), 1)
    centred = normalised - np.where(known, normalised, 0.0).sum(axis=0) / count
    centred = centred if whole else np.where(known, centred, 0.0)
    pairs = np.full(1, float(len(known))) if whole else known.T.astype(np.float64) @ known.astype(np.float64)
    covariance = centred.T @ centred / np.maximum(pairs, 1.0)
    diagonal = np.diag(np.maximum(np.diag(covariance), 1e-6))
    return (1 - _SHRINKAGE) * covariance + _SHRINKAGE * diagonal


def _noise(filled: Floats, first: Ints) -> Floats:
    """[inputs, inputs] covariance of what flickers from row to row."""
    same = np.flatnonzero(np.diff(first) == 0)
    size = filled.shape[1]
    if len(same) < 2:
        return np.eye(size)
    return np.atleast_2d(np.cov((filled[same + 1] - filled[same]).T)) / 2 + 0.01 * np.eye(size)


def _slow(filled: Floats, noise: Floats) -> Floats:
    """Minimum-noise-fraction directions: largest variance against the variance of successive differences."""
    # The generalised eigenvalue problem, made an ordinary one by the noise's Cholesky factor.
    whiten = np.linalg.inv(np.linalg.cholesky(noise))
    _, vectors = np.linalg.eigh(whiten @ np.atleast_2d(np.cov(filled.T)) @ whiten.T)
    return _signed(whiten.T @ vectors[:, ::-1][:, : min(_SLOWEST, filled.shape[1])])


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
