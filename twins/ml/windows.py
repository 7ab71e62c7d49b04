"""Causal windows over the rows of many lives at once: a window never reaches behind the first row of its own life."""

from __future__ import annotations

import numpy as np

from twins.ml.lives import Floats, Ints


def window_mean(values: Floats, first: Ints, width: int) -> Floats:
    """[rows, columns] mean of the last `width` rows of the same life; NaN is left out, all NaN gives NaN."""
    known = np.isfinite(values)
    total = _sums(np.where(known, values, 0.0), first, width)
    count = _sums(known.astype(np.float64), first, width)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def window_sd(values: Floats, first: Ints, width: int) -> Floats:
    """[rows, columns] standard deviation of the last `width` rows of the same life, without NaN in `values`."""
    count = _counts(first, width)[:, None]
    mean = _sums(values, first, width) / count
    square = _sums(values * values, first, width) / count
    return np.sqrt(np.maximum(square - mean * mean, 0.0))


def window_slope(values: Floats, first: Ints, width: int) -> Floats:
    """[rows, columns] least-squares change a row over the last `width` rows of the same life, 0 for one row."""
    count = _counts(first, width)[:, None]
    row = (np.arange(len(first)) - first).astype(np.float64)[:, None]
    total, moment = _sums(values, first, width), _sums(values * row, first, width)
    middle = row - (count - 1) / 2
    spread = count * (count * count - 1) / 12
    return np.divide(moment - middle * total, spread, out=np.zeros_like(total), where=spread > 0)


def beginning(values: Floats, first: Ints, width: int) -> Floats:
    """[rows, columns] mean of the first `width` rows of the same life, as far as they are known at each row."""
    last = np.minimum(np.arange(len(first)), first + width - 1)
    sums = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    return (sums[last + 1] - sums[first]) / (last + 1 - first)[:, None]


def _sums(values: Floats, first: Ints, width: int) -> Floats:
    sums = np.vstack([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    rows = np.arange(len(first))
    return sums[rows + 1] - sums[np.maximum(first, rows - width + 1)]


def _counts(first: Ints, width: int) -> Floats:
    rows = np.arange(len(first))
    return (rows + 1 - np.maximum(first, rows - width + 1)).astype(np.float64)
