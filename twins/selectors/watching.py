"""What is watched on arrival: which sensors have something new, their states, and what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from twins.ml.anomaly import Stored, Watched
from twins.ml.states import HEAD
from twins.models import FindingKind
from twins.selectors.arrays import integers
from twins.selectors.binding import binding_cursor

_SILENT_FOR = timedelta(minutes=1)
"""A state younger than this is not asked whether its sensor fell silent."""
WALKED = 5_000
"""Sensors that one search for new ones passes at most: a hundredth of a second of processor."""


@dataclass(frozen=True)
class WatchedSensor:
    """A sensor, how it is judged, and how far it was looked at."""

    sensor: int
    asset: int
    watched: Watched
    newest: datetime
    """Time of the newest compacted reading that is not from the future."""
    until: datetime | None
    """None: it was never looked at."""


def newly_read(*, now: datetime, limit: int) -> list[WatchedSensor]:
    """Watched sensors with compacted readings later than their state, the longest waiting first."""
    return [_sensor(row) for row in _rows(_NEWLY_READ, [now, now, limit])]


def never_watched(*, now: datetime, limit: int, after: int = 0) -> tuple[list[WatchedSensor], int]:
    """Sensors with an id beyond `after` and readings that nobody has looked at yet, by id; and after which id to go on,
    0 at the end. No more than WALKED sensors with readings are passed, so that it costs the same in any plant.
    """
    if limit <= 0:
        return [], after
    rows = _rows(_NEVER_WATCHED, [after, WALKED, limit, now, limit, after, WALKED - 1])
    return [_sensor(row[:-1]) for row in rows if row[0] is not None], rows[0][-1]


def silent_since(*, now: datetime, limit: int) -> list[WatchedSensor]:
    """Sensors without an open gap whose last reading is ten declared intervals ago, or a while for the others."""
    return [_sensor(row) for row in _rows(_SILENT, [now, now - _SILENT_FOR, limit])]


def stored_states(sensors: Iterable[int]) -> dict[int, Stored]:
    """What is stored of the states of these sensors, some kilobytes each; of who was never looked at nothing."""
    with binding_cursor(binary=True) as cursor:
        cursor.execute(_STATES, [integers(sensors)])
        return {sensor: Stored(*content) for sensor, *content in cursor.fetchall()}


def stored_heads(sensors: Iterable[int]) -> dict[int, bytes]:
    """The first HEAD numbers of these states as they are now, without the rest, which lies apart."""
    with binding_cursor(binary=True) as cursor:
        cursor.execute(_HEADS, [8 * HEAD, integers(sensors)])
        return dict(cursor.fetchall())


def _rows(statement: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with binding_cursor(prepared=False, binary=True) as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _sensor(row: tuple[Any, ...]) -> WatchedSensor:
    sensor, asset, role, low, high, interval, newest, until = row
    watched = Watched(sensor, measures=role == "measurement", low=low, high=high, interval=interval)
    return WatchedSensor(sensor, asset, watched, newest, until)


@dataclass(frozen=True)
class Corrected:
    """A watched sensor of which readings that were looked at may be others now."""

    one: WatchedSensor
    first: datetime
    last: datetime
    """Times between which readings were overwritten."""
    correction: int
    """The newest of the corrections that say so."""


def corrected_sensors(*, now: datetime, limit: int) -> list[Corrected]:
    """Sensors whose corrections nobody has looked at, those that were found first.

    Each at once, and again after an hour: looking again is dear, and some sources overwrite all the time.
    """
    return [Corrected(_sensor(row[:-3]), *row[-3:]) for row in _rows(_CORRECTED, [limit, now])]


# Bytes as bytes: as text they would be twice as many, to be written and read.
_STATES = "SELECT sensor_id, state, recent FROM twins_sensorstate WHERE sensor_id = ANY(%s::int[])"
_HEADS = """
SELECT sensor_id, substr(CASE recent WHEN '' THEN state ELSE recent END, 1, %s)
FROM twins_sensorstate WHERE sensor_id = ANY(%s::int[])
"""
_COLUMNS = "sensor.id, sensor.asset_id, sensor.role, sensor.valid_min, sensor.valid_max, sensor.expected_interval"
_NEWLY_READ = f"""
SELECT {_COLUMNS}, least(newest.time, %s), known.until
FROM twins_sensorstate known JOIN twins_assets_sensor sensor ON sensor.id = known.sensor_id
JOIN twins_latestreading newest ON newest.sensor_id = known.sensor_id
WHERE known.until < least(newest.time, %s) ORDER BY known.until, sensor.id LIMIT %s
"""  # noqa: S608
# Walked by key, each state looked up (OFFSET keeps the planner from reading them all to join them): a few are found
# without reading further, and where the walk ends is only asked when it found too few.
_NEVER_WATCHED = f"""
WITH new AS MATERIALIZED (
    SELECT sensor_id, time
    FROM (SELECT sensor_id, time FROM twins_latestreading WHERE sensor_id > %s ORDER BY sensor_id LIMIT %s) ahead
    WHERE NOT EXISTS (SELECT FROM twins_sensorstate known WHERE known.sensor_id = ahead.sensor_id OFFSET 0)
    ORDER BY sensor_id LIMIT %s)
SELECT {_COLUMNS}, least(new.time, %s), NULL, walk.on_from
FROM (SELECT CASE WHEN (SELECT count(*) FROM new) = %s THEN (SELECT max(sensor_id) FROM new) ELSE coalesce(
          (SELECT sensor_id FROM twins_latestreading WHERE sensor_id > %s ORDER BY sensor_id OFFSET %s LIMIT 1), 0)
      END AS on_from) walk
LEFT JOIN (new JOIN twins_assets_sensor sensor ON sensor.id = new.sensor_id) ON true ORDER BY new.sensor_id
"""  # noqa: S608
_CORRECTED = f"""
WITH corrected AS (
    SELECT sensor_id, min(time_min) AS first, max(time_max) AS last, max(id) AS correction
    FROM twins_correction waiting WHERE NOT watched AND NOT EXISTS (
        SELECT FROM twins_correction seen WHERE seen.sensor_id = waiting.sensor_id AND seen.watched
        AND seen.found_at > now() - interval '1 hour')
    GROUP BY sensor_id ORDER BY min(id) LIMIT %s)
SELECT {_COLUMNS}, least(newest.time, %s), known.until, corrected.first, corrected.last, corrected.correction
FROM corrected JOIN twins_assets_sensor sensor ON sensor.id = corrected.sensor_id
LEFT JOIN twins_latestreading newest ON newest.sensor_id = sensor.id
LEFT JOIN twins_sensorstate known ON known.sensor_id = sensor.id ORDER BY corrected.correction
"""  # noqa: S608
# Who has an interval is asked when ten of them have passed; the others every so often, the oldest first.
_SILENT = f"""
SELECT {_COLUMNS}, known.until, known.until
FROM twins_sensorstate known JOIN twins_assets_sensor sensor ON sensor.id = known.sensor_id
WHERE known.until < least(%s - 10 * coalesce(sensor.expected_interval, 0) * interval '1 second', %s)
  AND NOT EXISTS (SELECT FROM twins_finding open WHERE open.sensor_id = sensor.id AND open.kind = 'gap'
                  AND open.ended_at IS NULL)
ORDER BY known.until DESC, sensor.id LIMIT %s
"""  # noqa: S608


@dataclass(frozen=True)
class WatchedPart:
    """An asset whose own sensors are watched together."""

    asset: int
    sensors: tuple[int, ...]
    """Its measurements with a declared interval, by id."""
    interval: float
    """The longest of their intervals, in seconds."""
    newest: datetime
    """Time of the newest reading of any of them."""
    state: bytes | None


def waiting_parts(*, now: datetime, limit: int) -> list[WatchedPart]:
    """Assets with two or more measurements of which there is a new row, the longest waiting first.

    Only measurements with a declared interval: rows need a step. While one of them is missing there is no row.
    """
    with connection.cursor() as cursor:
        cursor.execute(_PARTS, [now, _MOST_TOGETHER, limit])
        rows = cursor.fetchall()
    return [
        WatchedPart(asset, tuple(sensors), interval, newest, None if state is None else bytes(state))
        for asset, sensors, interval, newest, state in rows
    ]


_MOST_TOGETHER = 40
"""Sensors of one part; a covariance of more would need more rows than it is taught from."""
_PARTS = """
SELECT part.asset_id, part.sensors, part.interval, part.newest, known.state
FROM (SELECT sensor.asset_id, array_agg(sensor.id ORDER BY sensor.id) AS sensors,
             max(sensor.expected_interval) AS interval, least(max(newest.time), %s) AS newest
      FROM twins_assets_sensor sensor JOIN twins_latestreading newest ON newest.sensor_id = sensor.id
      WHERE sensor.role = 'measurement' AND sensor.expected_interval IS NOT NULL
      GROUP BY sensor.asset_id HAVING count(*) BETWEEN 2 AND %s) part
LEFT JOIN twins_patternstate known ON known.asset_id = part.asset_id
WHERE known.until IS NULL OR known.until + part.interval * interval '1 second' <= part.newest
ORDER BY known.until NULLS FIRST, part.asset_id LIMIT %s
"""


def unsound_sensors(sensors: Iterable[int]) -> set[int]:
    """Those of the sensors that stand still, or lie outside their valid range, right now."""
    with connection.cursor() as cursor:
        cursor.execute(_UNSOUND, [[FindingKind.FLAT_LINE, FindingKind.LIMIT], integers(sensors)])
        return {row[0] for row in cursor.fetchall()}


_UNSOUND = """
SELECT sensor_id FROM twins_finding WHERE kind = ANY(%s) AND ended_at IS NULL AND sensor_id = ANY(%s::int[])
"""
