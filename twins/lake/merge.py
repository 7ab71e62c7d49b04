"""The one rule of the lake: sorted by (sensor, time), and of two readings of one (sensor, time) the newest batch wins.

Because every reading carries its batch, merging any files in any order and grouping gives the same rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from twins.lake.schema import DAY, READING_SCHEMA, column, from_columns, from_microseconds


def merge(tables: Sequence[pa.Table]) -> pa.Table:
    """All readings of `tables` in READING_SCHEMA, sorted, each (sensor, time) once, from its newest batch."""
    filled = [table for table in tables if table.num_rows]
    if not filled:
        return READING_SCHEMA.empty_table()
    table = pa.concat_tables(filled)
    if _is_settled(table):
        return table
    columns = [column(table, name) for name in READING_SCHEMA.names]
    order = last_of_each(columns[0], columns[1], batch=columns[4])
    return from_columns([values[order] for values in columns])


def overwriting(before: Sequence[pa.Table], tables: Sequence[pa.Table]) -> pa.Table:
    """Those readings of `tables` that stand where an older batch, in `before` or `tables`, said another value or
    quality; sorted, each (sensor, time) once. Where a newer batch of `before` stands nothing has changed."""
    if not tables:
        return READING_SCHEMA.empty_table()
    table = pa.concat_tables([*before, *tables])
    sensor, time, value, quality, batch = (column(table, name) for name in READING_SCHEMA.names)
    order = np.lexsort((batch, time, sensor))
    a, b = order[:-1], order[1:]
    same = (sensor[a] == sensor[b]) & (time[a] == time[b])
    made = same & ((value[a] != value[b]) | (quality[a] != quality[b])) & (b >= sum(map(len, before)))
    ends = np.flatnonzero(np.append(~same, True))
    standing = order[ends[np.unique(np.searchsorted(ends, 1 + np.flatnonzero(made)))]]
    return table.take(pa.array(standing[standing >= sum(map(len, before))]))


def _is_settled(table: pa.Table) -> bool:
    """Whether readings are sorted and each there once: most scans read one file and have nothing to merge."""
    # Where tables meet says it most often, without a look at every row.
    chunks = table["sensor"].chunks
    if any(len(a) and len(b) and a[-1].as_py() > b[0].as_py() for a, b in itertools.pairwise(chunks)):
        return False
    return are_sorted(column(table, "sensor"), column(table, "time"))


def are_sorted(sensor: np.ndarray, time: np.ndarray) -> bool:
    """Whether rows are sorted by (sensor, time), and none has the same as another."""
    next_sensor = sensor[1:] > sensor[:-1]
    if next_sensor.all():
        return True
    return bool((next_sensor | (sensor[1:] == sensor[:-1]) & (time[1:] > time[:-1])).all())


def last_of_each(sensor: np.ndarray, time: np.ndarray, batch: np.ndarray | None = None) -> np.ndarray:
    """Row numbers, sorted by (sensor, time), of the row that stands for each: of the highest batch, else the last."""
    if len(sensor) == 0:
        return np.empty(0, dtype=np.int64)
    order, ids, instants = _sorted(sensor, time)
    same = (ids[1:] == ids[:-1]) & (instants[1:] == instants[:-1])
    if not same.any():
        return order
    run = np.cumsum(np.append(True, ~same))
    if batch is not None:
        order = order[np.lexsort((batch[order], run))]
    return order[np.append(~same, True)]


def _sorted(sensor: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order of a stable sort by (sensor, time), and both in this order."""
    order = _by_sensor(sensor)
    ids, instants = sensor[order], time[order]
    if ((ids[1:] != ids[:-1]) | (instants[1:] >= instants[:-1])).all():
        # Most often: days and batches follow one another in time.
        return order, ids, instants
    order = _by_sensor_and_time(sensor, time)
    return order, sensor[order], time[order]


def _by_sensor(sensor: np.ndarray) -> np.ndarray:
    """A stable sort by counting, which numpy does for 16 bits, in linear time."""
    offset = (sensor - sensor.min()).astype(np.uint32)
    order = np.argsort(offset.astype(np.uint16), kind="stable")
    if int(offset.max()) < 2**16:
        return order
    return order[np.argsort((offset >> 16).astype(np.uint16)[order], kind="stable")]


def _by_sensor_and_time(sensor: np.ndarray, time: np.ndarray) -> np.ndarray:
    """One sort of one integer when both fit into it, which is most often so."""
    first, span = int(time.min()), int(time.max()) - int(time.min()) + 1
    lowest = int(sensor.min())
    if (int(sensor.max()) - lowest + 1) * span >= 2**63:
        return np.lexsort((time, sensor))
    key = (sensor.astype(np.int64) - lowest) * span + (time - first)
    return np.argsort(key, kind="stable")


def newest(readings: pa.Table) -> pa.Table:
    """The reading of the newest time of each sensor of merged readings, sorted by sensor."""
    sensor = column(readings, "sensor")
    last = np.flatnonzero(np.append(sensor[1:] != sensor[:-1], True)) if len(sensor) else np.empty(0, dtype=np.int64)
    return readings.take(pa.array(last))


def split_by_day(readings: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """The readings of each UTC day, in order of days; the order within is kept."""
    if not readings.num_rows:
        return
    day = column(readings, "time") // DAY
    first = int(day.min())
    offset = day - first
    if int(offset.max()) < 2**16:
        # numpy sorts 16 bits by counting, in linear time
        offset = offset.astype(np.uint16)
    if (offset[1:] < offset[:-1]).any():
        order = np.argsort(offset, kind="stable")
        offset = offset[order]
        readings = from_columns([column(readings, name)[order] for name in READING_SCHEMA.names])
    bounds = [0, *(np.flatnonzero(np.diff(offset)) + 1).tolist(), len(offset)]
    for start, end in itertools.pairwise(bounds):
        yield from_microseconds((first + int(offset[start])) * DAY).date(), readings.slice(start, end - start)


def rows_by_sensor(rows: pa.Table) -> dict[int, int]:
    """How many rows each sensor has in a sorted table, in its order."""
    sensor = column(rows, "sensor")
    ends = np.flatnonzero(np.append(sensor[1:] != sensor[:-1], True)) if len(sensor) else np.empty(0, np.int64)
    return dict(zip(sensor[ends].tolist(), np.diff(ends, prepend=-1).tolist(), strict=True))


def split_by_rows(readings: pa.Table, rows: int) -> Iterator[pa.Table]:
    """Pieces of sorted readings of about `rows` rows each, cut between sensors, so that sensor ranges do not overlap.

    A single sensor is never cut: a piece is longer than `rows` only when it holds one sensor.
    """
    sensor = column(readings, "sensor")
    start = 0
    while start < len(sensor):
        end = _end_of_piece(sensor, start, rows)
        yield readings.slice(start, end - start)
        start = end


def _end_of_piece(sensor: np.ndarray, start: int, rows: int) -> int:
    if start + rows >= len(sensor):
        return len(sensor)
    cut = int(np.searchsorted(sensor, sensor[start + rows], side="left"))
    return cut if cut > start else int(np.searchsorted(sensor, sensor[start], side="right"))
