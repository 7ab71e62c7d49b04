"""A correction is seen by later stages: what overwrites readings that were there leaves a row of their sensor.

Found where accepted readings become files, once for each: against one another, and, for those that are not newer than
all that is known of their sensor, against what the files hold of their times. Most readings are newer, and then one
look at the newest times is all it costs.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from django.db import connection

from twins import events, lake
from twins.conf import settings
from twins.lake import column
from twins.selectors.arrays import integers

KEPT = timedelta(days=30)
MOST_KEPT = 200_000
MOST_TOLD = 10_000
"""Sensors in one event."""
_ROWS = 4_000_000
"""Readings of files that are held in memory at a time."""

_log = logging.getLogger(__name__)


def note_corrections(*, pieces: Sequence[tuple[date, pa.Table]], among: pa.Table) -> None:
    """Write a row for each sensor of which readings of merged `pieces`, by day, overwrite what is in files, or did so
    `among` themselves; in the transaction that makes the pieces files, before the latest readings are advanced.
    """
    behind, until = _known_later(pieces)
    found = [among]
    for day, piece in pieces if len(behind) else ():
        found += _in_files(day, _up_to(piece, behind, until))
    readings = pa.concat_tables(found)
    if readings.num_rows and (rows := _by_sensor(readings)):
        _write(rows)
        events.publish("readings_corrected", partial(_told, rows))


def _known_later(pieces: Sequence[tuple[date, pa.Table]]) -> tuple[np.ndarray, np.ndarray]:
    """Sensors, ascending, of which something comes that is not newer than what is known, and how far that reaches."""
    firsts = [_first_of_each(piece) for _, piece in pieces]
    sensor, time = (np.concatenate(part) for part in zip(*firsts, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sensor_id, (extract(epoch FROM time) * 1000000)::bigint FROM twins_latestreading JOIN "
            "(SELECT id, min(at) AS first FROM unnest(%s::int[], %s::bigint[]) AS come(id, at) GROUP BY id) come "
            "ON sensor_id = id WHERE time >= to_timestamp(0) + first * interval '1 microsecond' ORDER BY sensor_id",
            [integers(sensor.tolist()), integers(time.tolist())],
        )
        rows = np.array(cursor.fetchall(), np.int64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def _first_of_each(piece: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    sensor = column(piece, "sensor")
    first = np.flatnonzero(np.append(True, sensor[1:] != sensor[:-1]))
    return sensor[first], column(piece, "time")[first]


def _up_to(piece: pa.Table, sensors: np.ndarray, until: np.ndarray) -> pa.Table:
    """The readings of some sensors that are not later than what is known of each."""
    sensor = column(piece, "sensor")
    at = np.searchsorted(sensors[:-1], sensor)
    return piece.filter(pa.array((sensors[at] == sensor) & (column(piece, "time") <= until[at])))


def _in_files(day: date, readings: pa.Table) -> list[pa.Table]:
    """What readings of one day overwrite that is in files."""
    if not readings.num_rows:
        return []
    sensor, time = column(readings, "sensor"), column(readings, "time")
    start, last = (lake.from_microseconds(int(bound)) for bound in (time.min(), time.max()))
    end, root, sensors = last + timedelta(microseconds=1), settings().LAKE, np.unique(sensor)
    try:
        paths = _paths(day, int(sensors[0]), int(sensors[-1]), start, last)
        held = sum(int(lake.footer_of(root, path).rows_of(sensors).sum()) for path in paths)
        parts = (part.tolist() for part in np.array_split(sensors, -(-held // _ROWS))) if held else ()
        return [
            lake.overwriting(
                [lake.read_files(root, paths, sensors=some, start=start, end=end)],
                [lake.select(readings, sensors=some)],
            )
            for some in parts
        ]
    except FileNotFoundError as error:
        # What is lost cannot be compared, and must not hold up what comes.
        _log.error("corrections of %s cannot be told from new readings: %s", day, error)
        return []


def _paths(day: date, low: int, high: int, start: datetime, last: datetime) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT path FROM twins_lakefile WHERE dataset = 'raw' AND state = 'live' AND day = %s "
            "AND sensor_min <= %s AND sensor_max >= %s AND time_min <= %s AND time_max >= %s ORDER BY path",
            [day, high, low, last, start],
        )
        return [row[0] for row in cursor.fetchall()]


_Row = tuple[int, int, int, int, int]
"""Sensor, first and last time, how many times, newest batch."""


def _by_sensor(readings: pa.Table) -> list[_Row]:
    sensor, time, batch = (column(readings, name) for name in ("sensor", "time", "batch"))
    order = np.lexsort((time, sensor))
    sensor, time, batch = sensor[order], time[order], batch[order]
    starts = np.flatnonzero(np.append(True, sensor[1:] != sensor[:-1]))
    ends = np.append(starts[1:], len(sensor)) - 1
    apart = np.append(True, (sensor[1:] != sensor[:-1]) | (time[1:] != time[:-1])).astype(np.int64)
    columns = (
        sensor[starts], time[starts], time[ends], np.add.reduceat(apart, starts), np.maximum.reduceat(batch, starts),
    )  # fmt: skip
    return list(zip(*(values.tolist() for values in columns), strict=True))


def _write(rows: list[_Row]) -> None:
    """One each; a sensor that has left the register meanwhile is passed over."""
    columns = list(zip(*rows, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [integers(columns[0]), *map(integers, columns), integers(columns[0])])


# Takes in what nobody has looked at yet, so that a source that overwrites all the time does not leave a row each time.
_WRITE = """
WITH old AS (
    DELETE FROM twins_correction WHERE id IN (
        SELECT id FROM twins_correction WHERE NOT watched AND sensor_id = ANY(%s::int[]) FOR UPDATE SKIP LOCKED)
    RETURNING sensor_id, time_min, time_max, readings, batch),
told AS (
    SELECT * FROM old UNION ALL
    SELECT sensor, to_timestamp(0) + first * interval '1 microsecond',
           to_timestamp(0) + last * interval '1 microsecond', readings, batch
    FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::int[], %s::bigint[])
         AS new(sensor, first, last, readings, batch))
INSERT INTO twins_correction (sensor_id, time_min, time_max, readings, batch)
SELECT sensor_id, min(time_min), max(time_max), least(sum(readings), 2147483647), max(batch) FROM told
JOIN (SELECT id FROM twins_assets_sensor WHERE id = ANY(%s::int[]) ORDER BY id FOR KEY SHARE) known
ON known.id = sensor_id GROUP BY sensor_id ORDER BY sensor_id
"""


def _told(rows: list[_Row]) -> dict[str, Any]:
    """The event; its rows are [sensor, first, last], microseconds since 1970."""
    return {"batch": max(row[4] for row in rows), "rows": [list(row[:3]) for row in rows[:MOST_TOLD]]}


def prune_corrections(*, now: datetime) -> int:
    """Drop corrections that are old, or more than are meant to be held, the oldest first; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM twins_correction WHERE found_at < %s OR id <= "
            "(SELECT id FROM twins_correction ORDER BY id DESC OFFSET %s LIMIT 1)",
            [now - KEPT, MOST_KEPT],
        )
        return int(cursor.rowcount)
