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
from twins.lake.rollup import CHART_SCHEMA, MINUTE, first_best
from twins.lake.scan import read_files
from twins.lake.schema import column
from twins.lake.store import Location

WIDTHS = (1, 5, 10, 15, 30, 60, 120, 240, 480, 720, 1440)
"""Minutes that a window may have. Two would leave as many as there are of a sensor that speaks once a minute."""

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

    def copied(self) -> Extremes:
        """The same in memory of its own: what is kept must not hold all that it was made among."""
        points = Points(*(values.copy() for values in self.points))
        return Extremes(points, self.first.copy(), self.last.copy(), self.total)


_kept: Kept[tuple[str, str, int, int], Extremes] = Kept(_KEPT_BYTES, lambda one: one.nbytes)


def extremes_of(minutes: pa.Table, *, width: int, runs: Sequence[int]) -> list[Extremes]:
    """The extremes, in windows of `width` minutes, of runs of so many rows in CHART_SCHEMA, one after the other.

    Each run is sorted minutes of one sensor, and no two of them share a window.
    """
    sensor, begin = column(minutes, "sensor"), column(minutes, "minute")
    window = begin // (width * MINUTE) if width > 1 else begin
    starts = np.flatnonzero(np.append(True, (window[1:] != window[:-1]) | (sensor[1:] != sensor[:-1])))
    points, drawn = _drawn(minutes, begin, starts)
    first, last = (begin + column(minutes, name) for name in ("first_at", "last_at"))
    lengths = np.asarray(runs, np.int64)
    ends = np.cumsum(lengths)
    totals = np.add.reduceat(column(minutes, "count").astype(np.int64), ends - lengths).tolist()
    bounds = itertools.pairwise([0, *ends.tolist()])
    cuts = itertools.pairwise(drawn[np.searchsorted(starts, np.append(0, ends))].tolist())
    return [
        Extremes(Points(*(values[low:high] for values in points)), first[begin:end], last[begin:end], total)
        for (low, high), (begin, end), total in zip(cuts, bounds, totals, strict=True)
    ]


def extremes_of_readings(readings: pa.Table, *, runs: Sequence[int]) -> list[Extremes]:
    """The same, in windows of a minute, of merged readings each of which is all of its minute."""
    points = Points(*(column(readings, name) for name in Points._fields))
    bounds = itertools.pairwise(itertools.accumulate(runs, initial=0))
    parts = (Points(*(values[begin:end] for values in points)) for begin, end in bounds)
    return [Extremes(part, part.time, part.time, len(part.time)) for part in parts]


def _drawn(minutes: pa.Table, begin: np.ndarray, starts: np.ndarray) -> tuple[Points, np.ndarray]:
    """What is drawn of windows that start at these rows, and how much of it lies before each of them and their end."""
    low = _picked(minutes, "min", begin, starts, np.minimum)
    high = _picked(minutes, "max", begin, starts, np.maximum)
    apart = low.time != high.time
    if not apart.any():
        # Windows with one reading have one candidate.
        return low, np.arange(len(starts) + 1)
    low_first = low.time < high.time
    held = np.ones(2 * len(starts), bool)
    held[1::2] = apart
    points = Points(*(_in_turns(low_first, *pair)[held] for pair in zip(low, high, strict=True)))
    return points, np.append(0, np.cumsum(1 + apart))


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
        _kept.put({keys[one]: extremes.copied() for one, extremes in zip(some, made, strict=True)})
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


def _picked(minutes: pa.Table, name: str, begin: np.ndarray, starts: np.ndarray, best: np.ufunc) -> Points:
    """The lowest or the highest of each window."""
    value, after, quality = (column(minutes, each) for each in (name, f"{name}_at", f"{name}_quality"))
    if len(starts) == len(value):
        return Points(begin + after, value, quality)
    at = first_best(value, starts, best)
    return Points(begin[at] + after[at], value[at], quality[at])


def _in_turns(low_first: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Both of each window, the earlier one first."""
    both = np.empty(2 * len(low), low.dtype)
    both[0::2] = np.where(low_first, low, high)
    both[1::2] = np.where(low_first, high, low)
    return both
