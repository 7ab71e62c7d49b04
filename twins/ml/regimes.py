"""Operating regimes are found from gaps in the settings; every input is judged against what is usual in its regime.

Within a regime an input may still follow the settings (temperature follows load), so what is usual is a small
regression on them. Without this a model learns how the machine is driven instead of how it ages (decision 10).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from twins.ml.compiled import compiled
from twins.ml.lives import Bools, Floats, Ints

_GAP = 0.06
"""Smallest empty part of a setting's range that separates two regimes."""
_SMALLEST = 0.01
"""Smallest share of rows that makes a regime."""
_RIDGE = 0.001
_NEVER = 1e30
"""Scatter of what never changes: it then says nothing."""
_BEYOND = 3.0
MOST_EQUAL, _FEWEST_EQUAL = 40, 4
"""Equal values in a row that are never needed, and always, to call a sensor frozen."""
_LIMIT = 12.0
"""Standard deviations beyond which a value says no more than that it is far out."""
_LIMITS = ", ".join(3 * ["Array(float64, 1, 'C', readonly=True)"])


@dataclass(frozen=True)
class Normaliser:
    """What is usual: per regime a regression of every input on the settings, and the scatter around it."""

    borders: list[list[float]]
    """Per setting the values between which regimes lie."""
    codes: list[list[int]]
    """Per regime its place between the borders of every setting."""
    centres: Floats
    """[regimes, settings]"""
    scales: Floats
    """[regimes, settings]"""
    weights: Floats
    """[regimes, 1 + 2 settings, inputs] of 1, setting and squared setting, standardised."""
    scatter: Floats
    """[regimes, inputs]"""
    low: Floats
    """[inputs] below this a value is no reading of the input, but of another unit or of a broken sensor."""
    high: Floats
    run: Floats
    """[inputs] so many equal values in a row are a frozen sensor; 0: standing still is usual."""

    def regime(self, settings: Floats) -> Ints:
        """[rows] index of the nearest known regime; an unknown setting counts as its lowest place."""
        places = _places(settings, self.borders)
        distance = np.abs(places[:, None, :] - np.array(self.codes, dtype=np.int64)[None, :, :]).sum(axis=2)
        return np.argmin(distance, axis=1)

    def apply(self, values: Floats, settings: Floats) -> Floats:
        """[rows, inputs] distance from what is usual, in standard deviations of the regime."""
        regime = self.regime(settings)
        result = np.empty_like(values)
        for index in np.unique(regime):
            rows = regime == index
            usual = _terms(settings[rows], self.centres[index], self.scales[index]) @ self.weights[index]
            result[rows] = (values[rows] - usual) / self.scatter[index]
        return np.clip(result, -_LIMIT, _LIMIT)

    def spoiled(self, values: Floats, first: Ints) -> Bools:
        """[rows, inputs] whether a value cannot be a reading of its input, or has stood still for too long.

        `first` [rows] is the first row of the same life; only the past is looked at.
        """
        return np.asarray(_spoiled(np.ascontiguousarray(values), first, self.low, self.high, self.run))


def fit_normaliser(values: Floats, settings: Floats, repeats: Floats) -> Normaliser:
    """Find the regimes of `settings` [rows, settings] and what is usual for `values` [rows, inputs] in each.

    `repeats` [inputs] is the share of values that are equal to the one before.
    """
    borders = [_borders(column) for column in settings.T]
    places = _places(settings, borders)
    codes, count = np.unique(places, axis=0, return_counts=True)
    codes = codes[count >= min(_SMALLEST * len(settings), int(count.max()))]
    distance = np.abs(places[:, None, :] - codes[None, :, :]).sum(axis=2)
    regime = np.argmin(distance, axis=1)
    fits = [_fit(values[regime == i], settings[regime == i]) for i in range(len(codes))]
    centres, scales, weights, scatter = (np.stack(column) for column in zip(*fits, strict=True))
    low, high = _range(values)
    return Normaliser(borders, codes.tolist(), centres, scales, weights, scatter, low, high, _longest_run(repeats))


def repeats_of(values: Floats, first: Ints) -> Floats:
    """[inputs] share of values that are equal to the one before in the same life."""
    same = (np.diff(first) == 0)[:, None]
    pairs = same & np.isfinite(values[1:]) & np.isfinite(values[:-1])
    return (pairs & (values[1:] == values[:-1])).sum(axis=0) / np.maximum(pairs.sum(axis=0), 1)


def _range(values: Floats) -> tuple[Floats, Floats]:
    """How far values may reach: as far beyond what was seen as three times the width of what was seen."""
    known = np.isfinite(values)
    low = np.where(known, values, np.inf).min(axis=0)
    high = np.where(known, values, -np.inf).max(axis=0)
    seen = low <= high
    width = np.where(seen, high - low, 0.0)
    # What hardly changed while learning says nothing about how far it may go.
    free = ~seen | (width <= 1e-9 * (1 + np.abs(np.where(seen, high, 0.0))))
    return np.where(free, -_NEVER, low - _BEYOND * width), np.where(free, _NEVER, high + _BEYOND * width)


def _longest_run(repeats: Floats) -> Floats:
    """Equal values in a row that chance would bring once in a million."""
    rare = np.log(1e-6) / np.log(np.clip(repeats, 1e-3, 1 - 1e-9))
    return np.where(rare <= MOST_EQUAL, np.maximum(np.ceil(rare), _FEWEST_EQUAL), 0.0)


@compiled(f"Array(float64, 2, 'C', readonly=True), Array(int64, 1, 'C', readonly=True), {_LIMITS}")
def _spoiled(values, first, low, high, run):  # type: ignore[no-untyped-def]
    result = np.zeros(values.shape, np.bool_)
    for column in range(values.shape[1]):
        equal, last = 0, np.nan
        for row in range(len(first)):
            if row == first[row]:
                equal, last = 0, np.nan
            value = values[row, column]
            if not np.isnan(value):
                equal = equal + 1 if value == last else 1
                last = value
                result[row, column] = (
                    value < low[column] or value > high[column] or (run[column] > 0 and equal >= run[column])
                )
    return result


def _borders(column: Floats) -> list[float]:
    """Middles of the empty parts of a setting, if what lies between them is much narrower than the gaps."""
    ordered = np.sort(column[np.isfinite(column)])
    if len(ordered) < 2 or ordered[-1] == ordered[0]:
        return []
    gaps = np.diff(ordered)
    wide = np.flatnonzero(gaps >= _GAP * (ordered[-1] - ordered[0]))
    edges = [0, *(wide + 1).tolist(), len(ordered)]
    enough = all(b - a >= _SMALLEST * len(ordered) for a, b in pairwise(edges))
    # A lone outlier makes a gap too; then the setting is treated as continuous.
    return [float((ordered[i] + ordered[i + 1]) / 2) for i in wide] if enough else []


def _places(settings: Floats, borders: list[list[float]]) -> Ints:
    if not borders:
        return np.zeros((len(settings), 1), np.int64)
    return np.column_stack(
        [
            np.where(np.isfinite(column), np.searchsorted(np.array(edge), column), 0)
            for column, edge in zip(settings.T, borders, strict=True)
        ]
    ).astype(np.int64)


def _terms(settings: Floats, centre: Floats, scale: Floats) -> Floats:
    scaled = np.nan_to_num((settings - centre) / scale)
    scaled = np.clip(scaled, -4, 4)
    return np.column_stack([np.ones(len(settings)), scaled, scaled**2])


def _fit(values: Floats, settings: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    known = np.isfinite(settings)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, settings, 0).sum(axis=0) / count
    scale = np.sqrt((np.where(known, settings - centre, 0) ** 2).sum(axis=0) / count)
    scale = np.where(scale > 1e-9 * (1 + np.abs(centre)), scale, _NEVER)
    terms = _terms(settings, centre, scale)
    penalty = _RIDGE * len(values) * np.diag([0.0] + [1.0] * (terms.shape[1] - 1)) + 1e-9 * np.eye(terms.shape[1])
    weights = np.zeros((terms.shape[1], values.shape[1]))
    scatter = np.ones(values.shape[1])
    for column in range(values.shape[1]):
        rows = np.isfinite(values[:, column])
        if rows.sum() > 1:
            a, y = terms[rows], values[rows, column]
            middle = y.mean()
            weights[:, column] = np.linalg.solve(a.T @ a + penalty, a.T @ (y - middle))
            weights[0, column] += middle
            spread = float(np.std(y - a @ weights[:, column]))
            scatter[column] = spread if spread > 1e-9 * (1 + abs(middle)) else _NEVER
    return centre, scale, weights, scatter
