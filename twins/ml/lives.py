"""A life is an item's time at one place: its readings are laid on a regular grid of age, in days or usage.

Age is calendar days since the installation, or the growth of a usage counter since then. All lives of a fleet get the
same columns (inputs by name) and the same grid step, so that rows of different items can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from twins.ml.laying import lay
from twins.ml.readings import Readings

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DAY = 86_400_000_000
"""Microseconds in a day: times are integers of microseconds since 1970, UTC."""

_ROWS_OF_A_LIFE = 300
_STEPS_OF_A_LIFE = 20_000
_SAMPLED_LIVES = 40


@dataclass(frozen=True, kw_only=True)
class Input:
    """A sensor that feeds a prediction, named alike over the fleet ("HPC/T30")."""

    name: str
    sensor: int
    role: str = "measurement"
    interval: float | None = None
    """Expected seconds between readings."""


@dataclass(frozen=True, kw_only=True)
class Life:
    """One item at one place from `start` to `end`, in microseconds; `failed` says that it ended by failure."""

    key: int
    group: int
    """The item: what splits must not tear apart."""
    start: int
    end: int
    failed: bool
    inputs: tuple[Input, ...]
    usage: int | None = None
    """Sensor whose counter is the age; None: age is days."""
    attributes: tuple[tuple[str, float | str], ...] = ()
    """How it was designed and built: name and value."""
    happened: tuple[tuple[int, str], ...] = ()
    """What was done to it in this life: time and kind, in order of time."""


@dataclass(frozen=True)
class Columns:
    """What the rows of a fleet hold, and how far apart they are."""

    measurements: tuple[str, ...]
    settings: tuple[str, ...]
    step: float
    """Distance of rows in life units."""

    @property
    def names(self) -> tuple[str, ...]:
        return self.measurements + self.settings


@dataclass(frozen=True)
class Trace:
    """The rows of one life, and what is needed to go on when newer readings come."""

    bins: Ints
    """[rows] number of the step; a step in which nothing was read has no row."""
    age: Floats
    """[rows] age at the end of the step, in life units."""
    time: Ints
    """[rows] time of the newest reading of the step."""
    values: Floats
    """[rows, columns] mean of the readings of the step; NaN where there are none. Settings keep their last value."""
    newest: Ints
    """[columns] time of the newest reading, 0 where there is none."""
    reached: float
    """Age at the end of the life, which is later than its last reading."""
    counter: tuple[float, float] | None
    """Usage counter at the start of the life and last seen; None before the first count or when age is days."""

    @property
    def complete_until(self) -> int:
        """Up to this time nothing is expected to change: the last two steps are laid again when readings come."""
        return int(self.time[-3]) if len(self.time) > 2 else 0


@dataclass(frozen=True)
class Grid:
    """Rows of all lives one after the other, each life in order of age."""

    life: Ints
    """[rows] index of the life."""
    first: Ints
    """[rows] index of the first row of the same life."""
    bins: Ints
    age: Floats
    time: Ints
    values: Floats
    """[rows, columns] as in Trace."""


def choose_step(lives: Sequence[Life], readings: Readings) -> tuple[float, int]:
    """Step of the grid in life units, and how many steps make a row of the features.

    The step is the usual distance of readings; steps are joined until a usual life has a few hundred rows.
    """
    distances, spans = [], []
    for life in lives[:: max(1, len(lives) // _SAMPLED_LIVES)]:
        age = _Age(life, readings, None)
        spans.append(float(age.at(np.array([life.end]))[0]))
        for item in life.inputs:
            gaps = np.diff(age.at(readings.between(item.sensor, life.start, life.end)[0]))
            gaps = gaps[gaps > 0]
            if len(gaps):
                distances.append(_middle(gaps))
    span = float(np.median(spans)) or 1.0
    step = max(float(np.median(distances)) if distances else span, span / _STEPS_OF_A_LIFE)
    return step, max(1, int(np.ceil(span / step / _ROWS_OF_A_LIFE)))


def _middle(values: Floats) -> float:
    """The median; numpy's own spends most of its time on what cannot be here."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    ordered = np.partition(values, (low, high))
    return float((ordered[low] + ordered[high]) / 2)


def trace(life: Life, readings: Readings, columns: Columns, before: Trace | None = None) -> Trace:
    """Lay one life on the grid; with `before`, only readings after `before.complete_until` are needed and read."""
    start = life.start
    if before is not None and before.complete_until:
        start = before.complete_until + 1
        before = replace(
            before, bins=before.bins[:-2], age=before.age[:-2], time=before.time[:-2], values=before.values[:-2]
        )
    else:
        before = None
    age = _Age(replace(life, start=start), readings, before, origin=life.start)
    bins, time, values, newest = _lay(life, start, readings, columns, age)
    reached = float(age.at(np.array([life.end]))[0])
    if before is not None:
        fresh = bins > before.bins[-1]
        bins, time = np.append(before.bins, bins[fresh]), np.append(before.time, time[fresh])
        values, newest = np.vstack([before.values, values[fresh]]), np.maximum(before.newest, newest)
    ages = np.minimum(bins * columns.step, max(reached, 0.0))
    values[:, len(columns.measurements) :] = _held(values[:, len(columns.measurements) :])
    return Trace(bins, ages, time, values, newest, reached, age.counter)


def shorten(rows: Trace, *, first: int, last: int) -> Trace:
    """The first and the last rows of a trace, which is all that features of its newest row look at."""
    if len(rows.bins) <= first + last:
        return rows
    keep = np.r_[0:first, len(rows.bins) - last : len(rows.bins)]
    return replace(rows, bins=rows.bins[keep], age=rows.age[keep], time=rows.time[keep], values=rows.values[keep])


def stack(traces: Sequence[Trace]) -> Grid:
    """The rows of many lives as one grid."""
    counts = np.array([len(rows.bins) for rows in traces], np.int64)
    starts = np.cumsum(counts) - counts
    return Grid(
        life=np.repeat(np.arange(len(traces)), counts),
        first=np.repeat(starts, counts),
        bins=np.concatenate([rows.bins for rows in traces]),
        age=np.concatenate([rows.age for rows in traces]),
        time=np.concatenate([rows.time for rows in traces]),
        values=np.concatenate([rows.values for rows in traces]),
    )


class _Age:
    """Age as a function of time within one life."""

    def __init__(self, life: Life, readings: Readings, before: Trace | None, origin: int | None = None) -> None:
        self._start = life.start if origin is None else origin
        self._usage = life.usage
        self.counter = before.counter if before is not None else None
        if life.usage is not None:
            self._times, counts = readings.between(life.usage, life.start, life.end)
            zero, last = self.counter or ((counts[0], counts[0]) if len(counts) else (0.0, 0.0))
            # A counter that falls was reset or misread; age never shrinks.
            counts = np.maximum.accumulate(np.append(last, counts))
            self._ages = counts - zero
            if self.counter is not None or len(counts) > 1:
                self.counter = float(zero), float(counts[-1])

    @property
    def clock(self) -> tuple[Ints, Floats]:
        """Times and the age after each, which begins with the age before the first; see `lay`."""
        if self._usage is None:
            return np.empty(0, np.int64), np.array([self._start], np.float64)
        return self._times, self._ages

    def at(self, times: Ints) -> Floats:
        """Age in life units at these times; before the first count of a life it is 0."""
        if self._usage is None:
            return (times - self._start) / DAY
        return self._ages[np.searchsorted(self._times, times, "right")]


def _lay(life: Life, start: int, readings: Readings, columns: Columns, age: _Age) -> tuple[Ints, Ints, Floats, Ints]:
    """Numbers of the steps with readings, their newest times, their means, and the newest time of every column."""
    sensors = {item.name: item.sensor for item in life.inputs}
    bounds = [readings.bounds(sensors[name]) if name in sensors else (0, 0) for name in columns.names]
    low, high = np.array(bounds, np.int64).T.copy()
    clock, ages = age.clock
    laid = lay(readings.time, readings.value, low, high, start, life.end, clock, ages, columns.step)
    bins, time, values, newest = laid
    return bins, time, values, newest


def _held(settings: Floats) -> Floats:
    """Every setting keeps its last value until it is set again."""
    rows = np.where(np.isfinite(settings), np.arange(len(settings))[:, None], -1)
    last = np.maximum.accumulate(rows, axis=0) if len(rows) else rows
    return np.where(last >= 0, np.take_along_axis(settings, np.maximum(last, 0), axis=0), np.nan)
