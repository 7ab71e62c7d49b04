"""Readings out of the lake's files and the hot tail as one view, exact from the moment of acceptance.

One statement names live files and hot bodies, because two would see two states of the lake, and a transaction that
sees one cannot be opened inside a host's request transaction. A file that was replaced and swept between statement
and reading makes the whole view be taken afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
from django.db import connection

from twins import lake
from twins.conf import settings
from twins.exceptions import LakeError

_ATTEMPTS = 5
_BEYOND = datetime.max.replace(tzinfo=UTC)
_View = TypeVar("_View")


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
    return _retry(lambda: _scan(wanted, start, end))


def _scan(sensors: list[int], start: datetime | None, end: datetime | None) -> pa.Table:
    root = settings().LAKE
    files, bodies = [], []
    for path, batch, landing, body in _sources(sensors, start, end):
        if path:
            files.append(path)
        else:
            bodies.append(lake.stamp_batch(_read_body(landing, body), batch))
    chosen = [lake.select(body, sensors=sensors, start=start, end=end) for body in bodies]
    return lake.merge([lake.read_files(root, files, sensors=sensors, start=start, end=end), *chosen])


def _sources(sensors: list[int], start: datetime | None, end: datetime | None) -> list[tuple[Any, ...]]:
    """(path, batch, landing, body) of every live file and hot batch that can hold such readings."""
    first, beyond = start or lake.EPOCH, end or _BEYOND
    window: list[Any] = [sensors[-1], sensors[0], first, beyond]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT path, NULL::bigint, NULL, NULL::bytea FROM twins_lakefile WHERE dataset = 'raw' AND state = 'live' "
            "AND sensor_min <= %s AND sensor_max >= %s AND time_max >= %s AND time_min < %s AND day BETWEEN %s AND %s "
            "UNION ALL SELECT NULL, id, landing, body FROM twins_batch WHERE compacted_at IS NULL "
            "AND sensor_min <= %s AND sensor_max >= %s AND time_max >= %s AND time_min < %s",
            [*window, _utc_day(first), _utc_day(beyond), *window],
        )
        return cursor.fetchall()


def latest_readings(sensors: Iterable[int]) -> dict[int, Reading]:
    """The reading of the newest measured time of each sensor that has one, from its newest batch; one statement."""
    wanted = sorted(set(sensors))
    return _retry(lambda: _latest(wanted)) if wanted else {}


def _latest(sensors: list[int]) -> dict[int, Reading]:
    compacted, bodies = _latest_sources(sensors)
    latest = {reading.sensor: reading for reading in compacted}
    # A body that ends before every answer already known cannot change one.
    oldest = min(reading.time for reading in compacted) if len(compacted) == len(sensors) else None
    # Bodies are sorted, so the newest of each is found before anything is put together.
    hot = [
        lake.newest(lake.select(lake.stamp_batch(_read_body(landing, body), batch), sensors=sensors))
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


def _read_body(landing: str | None, body: Any) -> pa.Table:
    return lake.read_landing(settings().LAKE, landing) if landing else lake.decode_body(body)


def _retry(view: Callable[[], _View]) -> _View:
    for _ in range(_ATTEMPTS):
        try:
            return view()
        except FileNotFoundError as error:
            missing = error
    raise LakeError(
        f"A file of the lake that the index calls live is missing ({missing}): restore the lake from a backup, "
        "or point TWINS['LAKE'] at the right directory."
    )


def _utc_day(instant: datetime) -> date:
    return lake.from_microseconds(lake.microseconds(instant)).date()
