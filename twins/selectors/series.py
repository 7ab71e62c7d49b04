"""The past of many sensors in one scan, thinned to what a chart can show without losing its peaks.

A long past is thinned from minutes, which mostly come out of roll-ups: of each minute, or of each window of as many
minutes as still leave some times the points that are asked for, its lowest and its highest reading are candidates.
Which way a sensor goes and how wide its windows are follows from its readings alone, so the answer does not depend on
what has been compacted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from tsdownsample import MinMaxLTTBDownsampler

from twins import lake
from twins.conf import settings
from twins.lake.schema import column
from twins.selectors.arrays import integers
from twins.selectors.binding import binding_cursor
from twins.selectors.days import Days, days_apart
from twins.selectors.minutes import floor_minute, minutes_in
from twins.selectors.view import View, look, retry

MISSED = 2.5
"""Expected intervals without a reading that are a gap."""
_WINDOWS = 2
"""Windows for each point that a chart is thinned from, at least, as far as there are minutes."""

_DOWNSAMPLER = MinMaxLTTBDownsampler()
# Columns of the lake are of two types; to look them up among all that there are took as long as the work.
_DOWNSAMPLER.x_dtype_regex_list = _DOWNSAMPLER.y_dtype_regex_list = None

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


class Past(NamedTuple):
    """The same in columns, for whoever writes many of them and needs no object for each point."""

    points: lake.Points
    total: int
    gaps: list[tuple[datetime, datetime]]

    @classmethod
    def empty(cls) -> Past:
        return cls(lake.Points(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int32)), 0, [])

    def series(self) -> Series:
        time, value, quality = self.points
        return Series(list(zip(_instants(time), value.tolist(), quality.tolist(), strict=True)), self.total, self.gaps)


def series_of(
    sensors: Sequence[int], *, start: datetime | None, end: datetime | None, points: int
) -> dict[int, Series]:
    """At most `points` readings (at least 2) of each sensor in [start, end), those a chart needs, and its gaps."""
    return {sensor: past.series() for sensor, past in pasts_of(sensors, start=start, end=end, points=points).items()}


def pasts_of(sensors: Sequence[int], *, start: datetime | None, end: datetime | None, points: int) -> dict[int, Past]:
    """As `series_of`, in columns."""
    wanted = sorted(set(sensors))
    if not wanted or (start is not None and end is not None and start >= end):
        return {}
    intervals = _intervals(wanted)
    return retry(lambda: _series(wanted, start, end, points, intervals))


def _intervals(sensors: list[int]) -> dict[int, float]:
    with binding_cursor() as cursor:
        cursor.execute(
            "SELECT id, expected_interval FROM twins_assets_sensor WHERE id = ANY(%s::int[]) AND expected_interval > 0",
            [integers(sensors)],
        )
        return dict(cursor.fetchall())


def _series(
    sensors: list[int], start: datetime | None, end: datetime | None, points: int, intervals: dict[int, float]
) -> dict[int, Past]:
    view = look(sensors, floor_minute(start), end, rolled=True)
    long = _long(view, start, end, points)
    few = [sensor for sensor in sensors if sensor not in long]
    readings = view.readings(start, end, few) if few else lake.READING_SCHEMA.empty_table()
    parts = {sensor: _Candidates.of_readings(rows) for sensor, rows in lake.split_by_sensor(readings)} | long
    return {sensor: parts[sensor].thinned(points, intervals.get(sensor)) for sensor in sorted(parts)}


def _long(view: View, start: datetime | None, end: datetime | None, points: int) -> dict[int, _Candidates]:
    """Those sensors that have more readings than points and more than half as many minutes, by their minutes."""
    if start is not None and end is not None and (end - start) < timedelta(minutes=points // 2 - 1):
        return {}
    days = days_apart(view, start, end)
    loose = dict(lake.split_by_sensor(_rest(days.rest, start, end)))
    widths = {}
    minutes_of = Counter({sensor: rows.num_rows for sensor, rows in loose.items()})
    for one in days.rolled:
        minutes_of[one.sensor] += one.minutes
    for sensor, minutes in minutes_of.items():
        if 2 * minutes > points:
            widths[sensor] = max((width for width in lake.WIDTHS if minutes >= _WINDOWS * points * width), default=1)
    parts = _extremes(days, widths)
    for width in set(widths.values()):
        some = [sensor for sensor in loose if widths.get(sensor) == width]
        runs = [loose[sensor].num_rows for sensor in some]
        made = (
            lake.extremes_of(pa.concat_tables(loose[sensor] for sensor in some), width=width, runs=runs) if some else ()
        )
        for sensor, extremes in zip(some, made, strict=True):
            parts[sensor].append(extremes)
    whole = {sensor: _Candidates.of_extremes(some) for sensor, some in parts.items()}
    return {sensor: candidates for sensor, candidates in whole.items() if candidates.total > points}


def _rest(view: View, start: datetime | None, end: datetime | None) -> pa.Table:
    if view.files or view.archive or view.hot:
        return minutes_in(view, start, end, lake.CHART_SCHEMA)
    return lake.CHART_SCHEMA.empty_table()


def _extremes(days: Days, widths: dict[int, int]) -> dict[int, list[lake.Extremes]]:
    """What the roll-ups say of each sensor in windows of its width."""
    parts: dict[int, list[lake.Extremes]] = {sensor: [] for sensor in widths}
    for width in set(widths.values()):
        held = (one for one in days.rolled if widths.get(one.sensor) == width)
        for one, extremes in lake.extremes_in(settings().LAKE, held, width=width):
            parts[one.sensor].append(extremes)
    return parts


class _Candidates(NamedTuple):
    """Readings that may be drawn, in order of time, and the runs of readings that gaps are found between."""

    points: lake.Points
    total: int
    runs: list[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of_readings(cls, rows: pa.Table) -> _Candidates:
        points = lake.Points(*(column(rows, name) for name in lake.Points._fields))
        return cls(points, len(points.time), [(points.time, points.time)])

    @classmethod
    def of_extremes(cls, parts: list[lake.Extremes]) -> _Candidates:
        points = parts[0].points
        if len(parts) > 1:
            points = lake.Points(*map(np.concatenate, zip(*(one.points for one in parts), strict=True)))
        if (points.time[1:] < points.time[:-1]).any():
            # Days that had to be put together lie between others.
            order = np.argsort(points.time, kind="stable")
            points = lake.Points(*(values[order] for values in points))
        return cls(points, sum(one.total for one in parts), [(one.first, one.last) for one in parts])

    def thinned(self, points: int, interval: float | None) -> Past:
        kept = _thin(self.points, points)
        return Past(lake.Points(*(values[kept] for values in self.points)), self.total, self._gaps(points, interval))

    def _gaps(self, points: int, interval: float | None) -> list[tuple[datetime, datetime]]:
        if interval is None:
            return []
        first, last = (np.sort(np.concatenate(side)) for side in zip(*self.runs, strict=True))
        width = first[1:] - last[:-1]
        found = np.flatnonzero(width > MISSED * interval * 1_000_000)
        found = np.sort(found[np.argsort(-width[found], kind="stable")[:points]])
        return list(zip(_instants(last[found]), _instants(first[found + 1]), strict=True))


def _instants(times: np.ndarray) -> list[datetime]:
    return [lake.EPOCH + since for since in times.astype("timedelta64[us]").tolist()]


def _thin(candidates: lake.Points, points: int) -> np.ndarray:
    """Indices, in order, of at most `points` candidates chosen by MinMaxLTTB, the lowest and the highest among them."""
    time, value = candidates.time, candidates.value
    if len(value) <= points:
        return np.arange(len(value))
    if points < 6:
        return np.unique([np.argmin(value), np.argmax(value)])
    kept = np.zeros(len(value), bool)
    kept[_DOWNSAMPLER.downsample(time, value, n_out=points - 2).astype(np.int64)] = True
    # A triangle can be large without its corner being the peak.
    kept[[np.argmin(value), np.argmax(value)]] = True
    return np.flatnonzero(kept)
