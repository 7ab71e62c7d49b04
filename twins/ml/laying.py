"""Readings of many sensors laid on one grid of age: the loop that touches every reading, once."""

# ruff: noqa: PLR0917, PLR0912 (compiled functions take arrays by position and are one loop)

from __future__ import annotations

import numpy as np

from twins.ml.compiled import compiled

_INTEGERS, _FLOATS = (f"Array({kind}, 1, 'C', readonly=True)" for kind in ("int64", "float64"))


@compiled(f"{_INTEGERS}, {_FLOATS}, {_INTEGERS}, {_INTEGERS}, int64, int64, {_INTEGERS}, {_FLOATS}, float64")
def lay(times, values, low, high, start, end, clock, ages, step):  # type: ignore[no-untyped-def]
    """Steps of age with readings, the newest time of each, [steps, columns] means, and every column's newest time.

    Column c has the readings `times[low[c]:high[c]]` and their `values`, of which those in [start, end] count. Age is
    `ages[i]` after the i-th of the times `clock`; an empty clock stands for days since `ages[0]` (microseconds).
    """
    columns = len(low)
    first, beyond = np.empty(columns, np.int64), np.empty(columns, np.int64)
    total = 0
    for column in range(columns):
        own = times[low[column] : high[column]]
        first[column] = low[column] + np.searchsorted(own, start)
        beyond[column] = max(first[column], low[column] + np.searchsorted(own, end, side="right"))
        total += beyond[column] - first[column]
    steps = np.empty(total, np.int64)
    place = 0
    for column in range(columns):
        tick = 0
        for index in range(first[column], beyond[column]):
            time = times[index]
            if len(clock) == 0:
                age = (time - ages[0]) / 86_400_000_000
            else:
                while tick < len(clock) and clock[tick] <= time:
                    tick += 1
                age = ages[tick]
            # A reading at the very end of a step belongs to it, whatever the last bit of a division says.
            steps[place] = np.int64(np.ceil(age / step - 1e-6))
            place += 1
    # Few empty steps: number them by ticking them off; many (a clock that jumped): by sorting.
    lowest, span = np.int64(0), np.int64(0)
    if total:
        lowest = steps.min()
        span = steps.max() - lowest + 1
    where = np.empty(total, np.int64)
    if span <= 4 * total + 1024:
        number = np.zeros(span, np.int64)
        for index in range(total):
            number[steps[index] - lowest] = 1
        bins = np.flatnonzero(number) + lowest
        for row in range(len(bins)):
            number[bins[row] - lowest] = row
        for index in range(total):
            where[index] = number[steps[index] - lowest]
    else:
        bins = np.unique(steps)
        for index in range(total):
            where[index] = np.searchsorted(bins, steps[index])
    count = np.zeros((len(bins), columns), np.int64)
    sums = np.zeros((len(bins), columns))
    time_of, newest = np.zeros(len(bins), np.int64), np.zeros(columns, np.int64)
    place = 0
    for column in range(columns):
        for index in range(first[column], beyond[column]):
            row = where[place]
            count[row, column] += 1
            sums[row, column] += values[index]
            time_of[row] = max(time_of[row], times[index])
            place += 1
        if beyond[column] > first[column]:
            newest[column] = times[beyond[column] - 1]
    for row in range(len(bins)):
        for column in range(columns):
            sums[row, column] = sums[row, column] / count[row, column] if count[row, column] else np.nan
    return bins, time_of, sums, newest
