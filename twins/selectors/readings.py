"""Readings out of the lake's files and the hot tail as one view, exact from the moment of acceptance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from django.db import connection

from twins import lake
from twins.conf import settings
from twins.selectors.view import look, read_body, retry


class Reading(NamedTuple):
    """One reading of one sensor: time in UTC, value in the sensor's unit, quality 0 = good."""

    sensor: int
    time: datetime
    value: float
    quality: int
    batch: int


def scan_readings(*, sensors: Sequence[int], start: datetime | None = None, end: datetime | None = None) -> pa.Table:
    """All readings of `sensors` with `start` <= time < `end`, in READING_SCHEMA, sorted by (sensor, time), each once.

    Unknown sensors have no readings. Raises LakeError when a live file or hot body cannot be read.
    """
    wanted = sorted(set(sensors))
    if not wanted or (start is not None and end is not None and start >= end):
        return lake.READING_SCHEMA.empty_table()
    return retry(lambda: look(wanted, start, end).readings(start, end))


def later_readings(*, after: Mapping[int, datetime], end: datetime) -> pa.Table:
    """Compacted readings of each sensor later than its own instant and earlier than `end`, in READING_SCHEMA, sorted by
    (sensor, time), each once. Raises LakeError when a live file cannot be read.

    For who goes on from where it was; what is hot it finds in a file the next time.
    """
    if not after:
        return lake.READING_SCHEMA.empty_table()
    wanted = sorted(after)
    sensors = np.array(wanted, np.int64)
    limits = np.array([lake.microseconds(after[sensor]) for sensor in wanted])
    start = lake.from_microseconds(int(limits.min()) + 1)

    def read() -> pa.Table:
        paths = [file.path for file in look(wanted, start, end, hot=False).files]
        return lake.merge([lake.read_later(settings().LAKE, paths, sensors=sensors, after=limits, end=end)])

    return retry(read)


def latest_readings(sensors: Iterable[int]) -> dict[int, Reading]:
    """The reading of the newest measured time of each sensor that has one, from its newest batch; one statement."""
    wanted = sorted(set(sensors))
    return retry(lambda: _latest(wanted)) if wanted else {}


def _latest(sensors: list[int]) -> dict[int, Reading]:
    compacted, bodies = _latest_sources(sensors)
    latest = {reading.sensor: reading for reading in compacted}
    # A body that ends before every answer already known cannot change one.
    oldest = min(reading.time for reading in compacted) if len(compacted) == len(sensors) else None
    # Bodies are sorted, so the newest of each is found before anything is put together.
    hot = [
        lake.newest(lake.select(lake.stamp_batch(read_body(landing, body), batch), sensors=sensors))
        for batch, time_max, landing, body in bodies
        if oldest is None or time_max >= oldest
    ]
    for row in lake.newest(lake.merge(hot)).to_pylist():
        reading = Reading(**row)
        known = latest.get(reading.sensor)
        if known is None or (known.time, known.batch) < (reading.time, reading.batch):
            latest[reading.sensor] = reading
    return latest


def _latest_sources(sensors: list[int]) -> tuple[list[Reading], list[tuple[int, datetime, str | None, Any]]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sensor_id, time, value, quality, batch, NULL, NULL::bytea FROM twins_latestreading "
            "WHERE sensor_id = ANY(%s) UNION ALL "
            "SELECT NULL, time_max, NULL, NULL, id, landing, body FROM twins_batch "
            "WHERE compacted_at IS NULL AND sensor_min <= %s AND sensor_max >= %s",
            [sensors, sensors[-1], sensors[0]],
        )
        rows = cursor.fetchall()
    compacted = [Reading(*row[:5]) for row in rows if row[0] is not None]
    return compacted, [(row[4], row[1], row[5], row[6]) for row in rows if row[0] is None]
