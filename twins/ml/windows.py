"""Causal windows over the rows of many lives at once: a window never reaches behind the first row of its own life.

Every answer is summed from its own window alone, in order of time: what is said of a row is the same number, to the
bit, whether it is asked of one row as readings come or of all rows of a fleet.
"""

from __future__ import annotations

import numpy as np

from twins.ml.compiled import compiled
from twins.ml.lives import Floats, Ints

# What is only read may be an array that nobody can write to.
_VALUES = "Array(float64, 2, 'C', readonly=True)"
_ROWS = "Array(int64, 1, 'C', readonly=True)"


def window_mean(values: Floats, first: Ints, width: int, rows: Ints | None = None) -> Floats:
    """[rows, columns] mean of the last `width` rows of the same life; NaN is left out, all NaN gives NaN.

    `rows`: where it is asked; None: everywhere.
    """
    return np.asarray(_mean(np.ascontiguousarray(values), first, width, _all(first) if rows is None else rows))


def window_sd(values: Floats, first: Ints, width: int, rows: Ints | None = None) -> Floats:
    """[rows, columns] standard deviation of the last `width` rows of the same life, without NaN in `values`."""
    return np.asarray(_sd(np.ascontiguousarray(values), first, width, _all(first) if rows is None else rows))


def window_slope(values: Floats, first: Ints, width: int, rows: Ints | None = None) -> Floats:
    """[rows, columns] least-squares change a row over the last `width` rows of the same life, 0 for one row."""
    return np.asarray(_slope(np.ascontiguousarray(values), first, width, _all(first) if rows is None else rows))


def beginning(values: Floats, first: Ints, width: int) -> Floats:
    """[rows, columns] mean of the first `width` rows of the same life, as far as they are known at each row."""
    return np.asarray(_beginning(np.ascontiguousarray(values), first, width))


def _all(first: Ints) -> Ints:
    return np.arange(len(first))


@compiled(f"{_VALUES}, {_ROWS}, int64, {_ROWS}")
def _mean(values, first, width, rows):  # type: ignore[no-untyped-def]
    result = np.empty((len(rows), values.shape[1]))
    for place in range(len(rows)):
        row = rows[place]
        start = max(first[row], row - width + 1)
        for column in range(values.shape[1]):
            total, count = 0.0, 0
            for step in range(start, row + 1):
                value = values[step, column]
                if not np.isnan(value):
                    total += value
                    count += 1
            result[place, column] = total / count if count else np.nan
    return result


@compiled(f"{_VALUES}, {_ROWS}, int64, {_ROWS}")
def _sd(values, first, width, rows):  # type: ignore[no-untyped-def]
    result = np.empty((len(rows), values.shape[1]))
    for place in range(len(rows)):
        row = rows[place]
        start = max(first[row], row - width + 1)
        for column in range(values.shape[1]):
            total = 0.0
            for step in range(start, row + 1):
                total += values[step, column]
            mean = total / (row + 1 - start)
            squares = 0.0
            for step in range(start, row + 1):
                squares += (values[step, column] - mean) ** 2
            result[place, column] = np.sqrt(squares / (row + 1 - start))
    return result


@compiled(f"{_VALUES}, {_ROWS}, int64, {_ROWS}")
def _slope(values, first, width, rows):  # type: ignore[no-untyped-def]
    result = np.zeros((len(rows), values.shape[1]))
    for place in range(len(rows)):
        row = rows[place]
        start = max(first[row], row - width + 1)
        count = row + 1 - start
        if count > 1:
            middle = (count - 1) / 2
            for column in range(values.shape[1]):
                moment = 0.0
                for step in range(count):
                    moment += (step - middle) * values[start + step, column]
                result[place, column] = moment * 12 / (count * (count * count - 1))
    return result


@compiled(f"{_VALUES}, {_ROWS}, int64")
def _beginning(values, first, width):  # type: ignore[no-untyped-def]
    result = np.empty(values.shape)
    for column in range(values.shape[1]):
        total, count = 0.0, 0
        for row in range(len(first)):
            if row == first[row]:
                total, count = 0.0, 0
            if count < width:
                total += values[row, column]
                count += 1
            result[row, column] = total / count
    return result
