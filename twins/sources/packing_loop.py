"""The compiled loops over faultless readings: from where they were sent to where they are kept.

Importing this loads the compiler.
"""

# ruff: noqa: PLR0917, SIM110 (compiled functions take arrays by position, and loops cost them nothing)

from __future__ import annotations

import numpy as np
from numba import types

from twins.ml.compiled import compiled


def _fill(body, places, code, time, value, quality, keys, low, high, first, last):  # type: ignore[no-untyped-def]
    """Write rows of so many sensors, by their numbers, into a blank `body` (uint8) whose columns begin at `places`;
    lowest and highest time, or (1, 0) as soon as a row may not enter or does not follow the one before."""
    rows = len(code)
    sensors = body[places[0] : places[0] + 4 * rows].view(np.int32)
    times = body[places[1] : places[1] + 8 * rows].view(np.int64)
    values = body[places[2] : places[2] + 8 * rows].view(np.float64)
    qualities = body[places[3] : places[3] + 4 * rows].view(np.int32)
    before, since = np.int32(-1), np.int64(0)
    earliest, latest = last, first
    for row in range(rows):
        number, at, measured = code[row], time[row], value[row]
        if number < 0 or number >= len(keys):
            return 1, 0
        key = keys[number]
        if key < before or (key == before and at <= since) or at < first or at > last:
            return 1, 0
        # No comparison holds for NaN, and an infinite value is within limits that are infinite.
        if not (low[number] <= measured <= high[number] and np.isfinite(measured)):
            return 1, 0
        sensors[row], times[row], values[row], qualities[row] = key, at, measured, quality[row]
        earliest, latest = min(earliest, at), max(latest, at)
        before, since = key, at
    return earliest, latest


def _are_within(code, time, names, last):  # type: ignore[no-untyped-def]
    """Whether numbers are of one of so many names, and times neither before 1970 nor after the last."""
    for row in range(len(code)):
        if not (0 <= code[row] < names and 0 <= time[row] <= last):
            return False
    return True


def _sent(kind):  # type: ignore[no-untyped-def]
    """A column that nobody may write to, as those of a body are; others are taken as well."""
    return types.Array(kind, 1, "C", readonly=True)


_CODE, _TIME = _sent(types.int32), _sent(types.int64)
_ROWS = _CODE, _TIME, _sent(types.float64), _sent(types.int32)
_SENSORS = types.int32[::1], types.float64[::1], types.float64[::1]
fill = compiled((types.uint8[::1], types.UniTuple(types.int64, 4), *_ROWS, *_SENSORS, types.int64, types.int64))(_fill)
are_within = compiled((_CODE, _TIME, types.int64, types.int64))(_are_within)


def try_out() -> None:
    """Run once, so that the first sender does not wait for what numba does then."""
    sent = [np.zeros(1, kind) for kind in (np.int32, np.int64, np.float64, np.int32)]
    fill(np.zeros(24, np.uint8), (0, 4, 12, 20), *sent, sent[0], sent[2], sent[2], 0, 1)
    are_within(*sent[:2], 1, 1)
