"""What a chart draws of minutes: of each window of some minutes the lowest and the highest reading.

Windows divide a day, and a file holds one UTC day: so they are the same however a past is cut into files, and what a
file has of a sensor is put together once and kept. That is some kilobytes a day, where decoded row groups are hundreds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from twins.lake.kept import Kept
from twins.lake.rollup import CHART_SCHEMA, MINUTE, first_where
from twins.lake.scan import read_files
from twins.lake.schema import column
from twins.lake.store import Location

WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 720, 1440)
"""Minutes that a window may have."""

_KEPT_BYTES = 48 << 20
_ROUND = 500_000
"""Minutes put together at a time, which bounds memory to some 100 MB."""


class Points(NamedTuple):
    """Readings by column; times in microseconds since 1970."""

    time: np.ndarray
    value: np.ndarray
    quality: np.ndarray


@dataclass(frozen=True, slots=True)
class Extremes:
    """Of one sensor: at most two readings a window, by time, the first and last time of each minute's readings, and how
    many readings there are in all."""

    points: Points
    first: np.ndarray
    last: np.ndarray
    total: int

    @property
    def nbytes(self) -> int:
        return sum(values.nbytes for values in (*self.points, self.first, self.last))


_kept: Kept[tuple[str, str, int, int], Extremes] = Kept(_KEPT_BYTES, lambda one: one.nbytes)


def extremes_of(minutes: pa.Table, *, width: int, runs: Sequence[int]) -> list[Extremes]:
    """The extremes, in windows of `width` minutes, of runs of so many rows in CHART_SCHEMA, one after the other.

    Each run is sorted minutes of one sensor, and no two of them share a window.
    """
    begin = column(minutes, "minute")
    window, sensor = begin // (width * MINUTE), column(minutes, "sensor")
    starts = np.flatnonzero(np.append(True, (window[1:] != window[:-1]) | (sensor[1:] != sensor[:-1])))
    low, high = _picked(minutes, "min", np.minimum, starts), _picked(minutes, "max", np.maximum, starts)
    low_first = low.time <= high.time
    both = [_in_turns(low_first, *pair) for pair in zip(low, high, strict=True)]
    # A window with one reading has one candidate.
    apart = np.ones(2 * len(starts), bool)
    apart[1::2] = low.time != high.time
    spans = [begin + column(minutes, name) for name in ("first_at", "last_at")]
    lengths = np.asarray(runs, np.int64)
    ends = np.cumsum(lengths)
    totals = np.add.reduceat(column(minutes, "count").astype(np.int64), ends - lengths).tolist()
    drawn = np.concatenate([[0], np.cumsum(apart)])[2 * np.searchsorted(starts, ends)]
    # Copies, because a piece that is kept must not hold all of them.
    time, value, quality, first, last = (
        [part.copy() for part in np.split(values, cuts[:-1])]
        for values, cuts in [*((values[apart], drawn) for values in both), *((values, ends) for values in spans)]
    )
    points = map(Points, time, value, quality)
    return [Extremes(*parts) for parts in zip(points, first, last, totals, strict=True)]


class Held(NamedTuple):
    """A roll-up and how many minutes it has of one sensor."""

    path: str
    sensor: int
    minutes: int


def extremes_in(root: Location, held: Iterable[Held], *, width: int) -> Iterator[tuple[Held, Extremes]]:
    """Those of each sensor of roll-ups of which no two share a window. Raises FileNotFoundError."""
    keys = {one: (str(root), one.path, one.sensor, width) for one in sorted(held)}
    kept = _kept.get(keys.values())
    yield from ((one, kept[key]) for one, key in keys.items() if key in kept)
    missing = (one for one, key in keys.items() if key not in kept)
    for some in _rounds(missing):
        by_path = itertools.groupby(some, lambda one: one.path)
        tables = [
            read_files(root, [path], sensors=[one.sensor for one in ones], schema=CHART_SCHEMA)
            for path, ones in by_path
        ]
        made = extremes_of(pa.concat_tables(tables), width=width, runs=[one.minutes for one in some])
        _kept.put({keys[one]: extremes for one, extremes in zip(some, made, strict=True)})
        yield from zip(some, made, strict=True)


def _rounds(held: Iterable[Held]) -> Iterator[list[Held]]:
    some: list[Held] = []
    minutes = 0
    for one in held:
        some.append(one)
        minutes += one.minutes
        if minutes >= _ROUND:
            yield some
            some, minutes = [], 0
    if some:
        yield some


def _picked(minutes: pa.Table, name: str, best: np.ufunc, starts: np.ndarray) -> Points:
    """The lowest or the highest of each window, the first of equal ones."""
    values = column(minutes, name)
    lengths = np.diff(starts, append=len(values))
    at = first_where(values == np.repeat(best.reduceat(values, starts), lengths), starts)
    time = column(minutes, "minute")[at] + column(minutes, f"{name}_at")[at]
    return Points(time, values[at], column(minutes, f"{name}_quality")[at])


def _in_turns(low_first: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Both of each window, the earlier one first."""
    both = np.empty(2 * len(low), low.dtype)
    both[0::2] = np.where(low_first, low, high)
    both[1::2] = np.where(low_first, high, low)
    return both
