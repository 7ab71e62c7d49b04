"""The past of many sensors in one scan, thinned to what a chart can show without losing its peaks.

A long past is thinned from minutes, which mostly come out of roll-ups: of each minute, or of each window of as many
minutes as still leave some times the points that are asked for, its lowest and its highest reading are candidates.
Which way a sensor goes and how wide its windows are follows from its readings alone, so the answer does not depend on
what has been compacted.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from tsdownsample import LTTBDownsampler

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

# Columns of the lake are of two types; to find the function for them, each time anew, takes longer than it does.
_largest_triangles = LTTBDownsampler().mod_single_core.downsample_i64_f64

_TRIANGLES = 6
"""Points from which on there are triangles to choose by; of fewer only the lowest and the highest are drawn."""

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
    """Points by time, in columns, and how many readings there were: for whoever writes many pasts and needs no object
    for each point."""

    points: lake.Points
    total: int

    @classmethod
    def empty(cls) -> Past:
        return cls(lake.Points(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int32)), 0)

    def rows(self) -> list[Point]:
        time, value, quality = self.points
        return list(zip(_instants(time), value.tolist(), quality.tolist(), strict=True))


def series_of(
    sensors: Sequence[int], *, start: datetime | None, end: datetime | None, points: int
) -> dict[int, Series]:
    """At most `points` readings (at least 2) of each sensor in [start, end), those a chart needs, and its gaps."""
    found = _found(sensors, start, end, points)
    intervals = _intervals(sorted(found))
    return {
        sensor: Series(one.past(points).rows(), one.total, one.gaps(points, intervals.get(sensor)))
        for sensor, one in found.items()
    }


def pasts_of(sensors: Sequence[int], *, start: datetime | None, end: datetime | None, points: int) -> dict[int, Past]:
    """As `series_of`, in columns and without gaps."""
    return {sensor: one.past(points) for sensor, one in _found(sensors, start, end, points).items()}


def _intervals(sensors: list[int]) -> dict[int, float]:
    with binding_cursor() as cursor:
        cursor.execute(
            "SELECT id, expected_interval FROM twins_assets_sensor WHERE id = ANY(%s::int[]) AND expected_interval > 0",
            [integers(sensors)],
        )
        return dict(cursor.fetchall())


def _found(sensors: Sequence[int], start: datetime | None, end: datetime | None, points: int) -> dict[int, _Candidates]:
    wanted = sorted(set(sensors))
    if not wanted or (start is not None and end is not None and start >= end):
        return {}
    return retry(lambda: _candidates(wanted, start, end, points))


def _candidates(
    sensors: list[int], start: datetime | None, end: datetime | None, points: int
) -> dict[int, _Candidates]:
    view = look(sensors, floor_minute(start), end, rolled=True)
    found = _long(view, start, end, points)
    few = [sensor for sensor in sensors if sensor not in found]
    if few:
        found |= _Candidates.of_readings(view.readings(start, end, few))
    return dict(sorted(found.items()))


def _long(view: View, start: datetime | None, end: datetime | None, points: int) -> dict[int, _Candidates]:
    """Those sensors that have more readings than points and more than half as many minutes, by their minutes."""
    if start is not None and end is not None and (end - start) < timedelta(minutes=points // 2 - 1):
        return {}
    days = days_apart(view, start, end)
    rest = _rest(days.rest, start, end)
    loose = lake.rows_by_sensor(rest)
    minutes_of = Counter(loose)
    for one in days.rolled:
        minutes_of[one.sensor] += one.minutes
    widths = {sensor: _width(minutes, points) for sensor, minutes in minutes_of.items() if 2 * minutes > points}
    parts = _extremes(days, widths)
    for width in set(widths.values()):
        runs = {sensor: rows for sensor, rows in loose.items() if widths.get(sensor) == width}
        if runs:
            rows = rest if len(runs) == len(loose) else _of_sensors(rest, list(runs))
            made = _made(rows, width, list(runs.values()))
            for sensor, extremes in zip(runs, made, strict=True):
                parts[sensor].append(extremes)
    whole = {sensor: _Candidates.of_extremes(some) for sensor, some in parts.items()}
    return {sensor: candidates for sensor, candidates in whole.items() if candidates.total > points}


def _width(minutes: int, points: int) -> int:
    return max((width for width in lake.WIDTHS if minutes >= _WINDOWS * points * width), default=1)


def _rest(view: View, start: datetime | None, end: datetime | None) -> pa.Table:
    """Its minutes, or its readings where nothing is rolled up and each is all of its minute."""
    if not (view.files or view.archive or view.hot):
        return lake.CHART_SCHEMA.empty_table()
    if view.archive or any(file.minutes for file in view.files):
        return minutes_in(view, start, end, lake.CHART_SCHEMA)
    readings = view.readings(start, end)
    return readings if lake.is_one_a_minute(readings) else lake.roll_up(readings)


def _made(rows: pa.Table, width: int, runs: list[int]) -> list[lake.Extremes]:
    if "minute" in rows.column_names:
        return lake.extremes_of(rows, width=width, runs=runs)
    if width == 1:
        return lake.extremes_of_readings(rows, runs=runs)
    return lake.extremes_of(lake.roll_up(rows), width=width, runs=runs)


def _of_sensors(rows: pa.Table, sensors: list[int]) -> pa.Table:
    return rows.filter(pa.array(np.isin(column(rows, "sensor"), sensors)))


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
    def of_readings(cls, readings: pa.Table) -> dict[int, _Candidates]:
        """Of each sensor of merged readings."""
        runs = lake.rows_by_sensor(readings)
        points = lake.Points(*(column(readings, name) for name in lake.Points._fields))
        bounds = itertools.pairwise(itertools.accumulate(runs.values(), initial=0))
        return {
            sensor: cls(
                lake.Points(*(values[begin:end] for values in points)), end - begin, [(points.time[begin:end],) * 2]
            )
            for sensor, (begin, end) in zip(runs, bounds, strict=True)
        }

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

    def past(self, points: int) -> Past:
        return Past(_thin(self.points, points), self.total)

    def gaps(self, points: int, interval: float | None) -> list[tuple[datetime, datetime]]:
        if interval is None:
            return []
        first, last = (np.sort(np.concatenate(side)) for side in zip(*self.runs, strict=True))
        width = first[1:] - last[:-1]
        found = np.flatnonzero(width > MISSED * interval * 1_000_000)
        found = np.sort(found[np.argsort(-width[found], kind="stable")[:points]])
        return list(zip(_instants(last[found]), _instants(first[found + 1]), strict=True))


def _instants(times: np.ndarray) -> list[datetime]:
    return [lake.EPOCH + since for since in times.astype("timedelta64[us]").tolist()]


def _thin(candidates: lake.Points, points: int) -> lake.Points:
    """At most `points` of them: the lowest, the highest, and what makes the largest triangles."""
    time, value, _ = candidates
    if len(value) <= points:
        return candidates
    kept = np.zeros(len(value), bool)
    if points >= _TRIANGLES:
        kept[_largest_triangles(time, value, points - 2).view(np.int64)] = True
    # A triangle can be large without its corner being the peak.
    kept[value.argmin()] = kept[value.argmax()] = True
    rows = kept.nonzero()[0]
    return lake.Points(*(values[rows] for values in candidates))
