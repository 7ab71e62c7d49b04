"""The past of many sensors in one scan, thinned to what a chart can show without losing its peaks.

A long past is thinned from minutes, which mostly come out of roll-ups: of each minute its lowest and its highest
reading are candidates. Which way a sensor goes follows from its readings alone, so the answer does not depend on what
has been compacted.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from tsdownsample import MinMaxLTTBDownsampler

from assets.models import Sensor
from twins import lake
from twins.lake.schema import column
from twins.selectors.minutes import floor_minute, minutes_in
from twins.selectors.view import View, look, retry

MISSED = 2.5
"""Expected intervals without a reading that are a gap."""

Point = tuple[datetime, float, int]
"""Time in UTC, value, quality."""


class Series(NamedTuple):
    """What a chart shows of a sensor: points by time, how many readings there were, and gaps.

    A gap is (last reading before, first after); of more than `points` the longest are told, and of a long past none
    that lies within a minute.
    """

    points: list[Point]
    total: int
    gaps: list[tuple[datetime, datetime]]


def series_of(
    sensors: Sequence[int], *, start: datetime | None, end: datetime | None, points: int
) -> dict[int, Series]:
    """At most `points` readings (at least 2) of each sensor in [start, end), those a chart needs, and its gaps."""
    wanted = sorted(set(sensors))
    if not wanted or (start is not None and end is not None and start >= end):
        return {}
    expected = Sensor.objects.filter(pk__in=wanted, expected_interval__isnull=False)
    intervals = {pk: interval for pk, interval in expected.values_list("pk", "expected_interval") if interval}
    return retry(lambda: _series(wanted, start, end, points, intervals))


def _series(
    sensors: list[int], start: datetime | None, end: datetime | None, points: int, intervals: dict[int, float]
) -> dict[int, Series]:
    view = look(sensors, floor_minute(start), end, rolled=True)
    long = _long(view, start, end, points)
    few = [sensor for sensor in sensors if sensor not in long]
    readings = view.readings(start, end, few) if few else lake.READING_SCHEMA.empty_table()
    parts = {sensor: _Candidates.of_readings(rows) for sensor, rows in _by_sensor(readings)} | long
    return {sensor: parts[sensor].thinned(points, intervals.get(sensor)) for sensor in sorted(parts)}


def _long(view: View, start: datetime | None, end: datetime | None, points: int) -> dict[int, _Candidates]:
    """Those sensors that have more readings than points and more than half as many minutes, by their minutes."""
    if start is not None and end is not None and (end - start) < timedelta(minutes=points // 2 - 1):
        return {}
    minutes = _by_sensor(minutes_in(view, start, end, lake.CHART_SCHEMA))
    return {
        sensor: _Candidates.of_minutes(rows)
        for sensor, rows in minutes
        if 2 * rows.num_rows > points and int(column(rows, "count").sum()) > points
    }


class _Candidates(NamedTuple):
    """Readings that may be drawn, in order of time, and the runs of readings that gaps are found between."""

    time: np.ndarray
    value: np.ndarray
    quality: np.ndarray
    total: int
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def of_readings(cls, rows: pa.Table) -> _Candidates:
        time, value, quality = (column(rows, name) for name in ("time", "value", "quality"))
        return cls(time, value, quality, len(time), time, time)

    @classmethod
    def of_minutes(cls, rows: pa.Table) -> _Candidates:
        begin = column(rows, "minute")
        times = [begin + column(rows, name) for name in ("min_at", "max_at", "first_at", "last_at")]
        low_first = times[0] <= times[1]
        pairs = [(times[0], times[1]), *((column(rows, f"min{n}"), column(rows, f"max{n}")) for n in ("", "_quality"))]
        columns = [_in_turns(low_first, low, high) for low, high in pairs]
        # A minute with one reading has one candidate.
        apart = np.append(True, columns[0][1:] != columns[0][:-1])
        time, value, quality = columns if apart.all() else [values[apart] for values in columns]
        return cls(time, value, quality, int(column(rows, "count").sum()), times[2], times[3])

    def thinned(self, points: int, interval: float | None) -> Series:
        kept = _thin(self.time, self.value, points)
        times = [lake.from_microseconds(time) for time in self.time[kept].tolist()]
        rows = zip(times, self.value[kept].tolist(), self.quality[kept].tolist(), strict=True)
        return Series(list(rows), self.total, self._gaps(points, interval))

    def _gaps(self, points: int, interval: float | None) -> list[tuple[datetime, datetime]]:
        if interval is None:
            return []
        width = self.first[1:] - self.last[:-1]
        found = np.flatnonzero(width > MISSED * interval * 1_000_000)
        found = np.sort(found[np.argsort(-width[found], kind="stable")[:points]])
        return [
            (lake.from_microseconds(int(self.last[i])), lake.from_microseconds(int(self.first[i + 1]))) for i in found
        ]


def _in_turns(low_first: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Both of each minute, the earlier one first."""
    both = np.empty(2 * len(low), low.dtype)
    both[0::2] = np.where(low_first, low, high)
    both[1::2] = np.where(low_first, high, low)
    return both


def _by_sensor(rows: pa.Table) -> list[tuple[int, pa.Table]]:
    keys = column(rows, "sensor")
    ends = np.flatnonzero(np.append(keys[1:] != keys[:-1], True)) + 1 if len(keys) else np.empty(0, int)
    starts = np.append(0, ends[:-1])
    return [(int(keys[a]), rows.slice(a, b - a)) for a, b in zip(starts, ends, strict=False)]


def _thin(time: np.ndarray, value: np.ndarray, points: int) -> np.ndarray:
    """Indices, in order, of at most `points` candidates chosen by MinMaxLTTB, the lowest and the highest among them."""
    if len(value) <= points:
        return np.arange(len(value))
    if points < 6:
        return np.unique([np.argmin(value), np.argmax(value)])
    chosen = MinMaxLTTBDownsampler().downsample(time, value, n_out=points - 2).astype(np.int64)
    # A triangle can be large without its corner being the peak.
    return np.unique([*chosen, np.argmin(value), np.argmax(value)])
