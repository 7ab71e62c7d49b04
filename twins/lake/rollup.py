"""The roll-up: what one minute of one sensor held, so that a year is drawn without reading a year.

A minute says how many readings there were, the lowest, highest, first and last of them with their times, their sum and
the worst quality. All readings count, whatever their quality. Everything is made from sorted readings minute by
minute, sums included, so that the same readings give the same minutes bit for bit, however files are cut.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from twins.lake.schema import column, from_columns, from_microseconds
from twins.lake.store import Location, open_store
from twins.lake.writer import FileFacts, encode

MINUTE = 60_000_000  # microseconds

MINUTE_SCHEMA = pa.schema(
    [
        pa.field("sensor", pa.int32(), nullable=False),
        pa.field("minute", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("count", pa.int32(), nullable=False),
        pa.field("min", pa.float64(), nullable=False),
        pa.field("max", pa.float64(), nullable=False),
        pa.field("sum", pa.float64(), nullable=False),
        pa.field("first", pa.float64(), nullable=False),
        pa.field("last", pa.float64(), nullable=False),
        pa.field("min_at", pa.int32(), nullable=False),
        pa.field("max_at", pa.int32(), nullable=False),
        pa.field("first_at", pa.int32(), nullable=False),
        pa.field("last_at", pa.int32(), nullable=False),
        pa.field("min_quality", pa.int32(), nullable=False),
        pa.field("max_quality", pa.int32(), nullable=False),
        pa.field("quality", pa.int32(), nullable=False),
    ]
)
"""A minute of a sensor; `..._at` are microseconds after the minute's beginning, of the first of equal values; `quality`
is the worst: bad before uncertain before good."""

WINDOWED_SCHEMA = pa.schema(
    [
        MINUTE_SCHEMA.field(name)
        for name in ("sensor", "minute", "count", "min", "max", "sum", "first", "last", "quality")
    ]
)
"""What windows are made of."""

CHART_SCHEMA = pa.schema([field for field in MINUTE_SCHEMA if field.name not in ("sum", "first", "last", "quality")])
"""What charts are made of."""

_ROW_GROUP = 4_096
"""Small, so that one sensor's day costs little more than its own minutes."""

_PAYS = 4
"""Readings a minute, on average, from which a roll-up is worth its file."""
_LEAST = 8_192
"""Readings that are read as quickly as any roll-up of them."""


def roll_up(readings: pa.Table) -> pa.Table:
    """The minutes of merged readings, in MINUTE_SCHEMA, sorted by (sensor, minute)."""
    if not readings.num_rows:
        return MINUTE_SCHEMA.empty_table()
    sensor, time, value, quality = (column(readings, name) for name in ("sensor", "time", "value", "quality"))
    minute = time // MINUTE
    starts = np.flatnonzero(np.append(True, (sensor[1:] != sensor[:-1]) | (minute[1:] != minute[:-1])))
    if len(starts) == len(sensor):
        return _own_minutes(sensor, time, value, quality, begin=minute * MINUTE)
    ends = np.append(starts[1:], len(sensor))
    counts = ends - starts
    low, high = np.minimum.reduceat(value, starts), np.maximum.reduceat(value, starts)
    at_low = first_where(value == np.repeat(low, counts), starts)
    at_high = first_where(value == np.repeat(high, counts), starts)
    begin = minute[starts] * MINUTE
    # Seen as unsigned, a status code is the larger the worse it is.
    worst = np.maximum.reduceat(quality.view(np.uint32), starts).view(np.int32)
    return from_columns(
        [
            sensor[starts], begin, counts, low, high, np.add.reduceat(value, starts), value[starts], value[ends - 1],
            time[at_low] - begin, time[at_high] - begin, time[starts] - begin, time[ends - 1] - begin,
            quality[at_low], quality[at_high], worst,
        ],
        MINUTE_SCHEMA,
    )  # fmt: skip


def is_one_a_minute(readings: pa.Table) -> bool:
    """Whether each of merged readings is all of its minute."""
    sensor, minute = column(readings, "sensor"), column(readings, "time") // MINUTE
    return bool(((minute[1:] != minute[:-1]) | (sensor[1:] != sensor[:-1])).all())


def _own_minutes(
    sensor: np.ndarray, time: np.ndarray, value: np.ndarray, quality: np.ndarray, *, begin: np.ndarray
) -> pa.Table:
    """The minutes of readings each of which is all of its minute."""
    at, once = (time - begin).astype(np.int32), np.ones(len(sensor), np.int32)
    return from_columns([sensor, begin, once, *[value] * 5, *[at] * 4, *[quality] * 3], MINUTE_SCHEMA)


def first_best(values: np.ndarray, starts: np.ndarray, best: np.ufunc) -> np.ndarray:
    """The row of the best value, `np.minimum` or `np.maximum`, of each stretch: the first of equal ones."""
    lengths = np.diff(starts, append=len(values))
    return first_where(values == np.repeat(best.reduceat(values, starts), lengths), starts)


def first_where(mask: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The first row of each stretch for which the mask holds; it holds for one at least."""
    rows = np.flatnonzero(mask)
    return rows[np.searchsorted(rows, starts)]


def worth_a_file(readings: int, minutes: int) -> bool:
    """Whether a roll-up of `minutes` rows spares enough against reading the readings themselves."""
    return readings >= _LEAST and minutes * _PAYS <= readings


def write_minutes(root: Location, path: str, minutes: pa.Table, *, level: int, batches: tuple[int, int]) -> FileFacts:
    """Write minutes (at least one) so that they survive a power cut; `batches` are those of their readings."""
    sensor, minute = column(minutes, "sensor"), column(minutes, "minute")
    numbers = dict.fromkeys(("min", "max", "sum", "first", "last"), "PLAIN")
    packed = dict.fromkeys(("minute", "min_at", "max_at", "first_at", "last_at"), "DELTA_BINARY_PACKED")
    data = encode(minutes, sensor=sensor, level=level, encodings=numbers | packed, row_group=_ROW_GROUP)
    open_store(root).write(path, data)
    return FileFacts(
        rows=minutes.num_rows,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        sensor_min=int(sensor[0]),
        sensor_max=int(sensor[-1]),
        time_min=from_microseconds(int(minute.min())),
        time_max=from_microseconds(int(minute.max())),
        batch_min=batches[0],
        batch_max=batches[1],
    )


def sort_minutes(tables: Sequence[pa.Table]) -> pa.Table:
    """Minutes of several tables, none of which shares a (sensor, minute) with another, in order."""
    filled = [table for table in tables if table.num_rows]
    if not filled:
        return tables[0] if tables else MINUTE_SCHEMA.empty_table()
    table = pa.concat_tables(filled)
    keys = minute_keys(table)
    return table if (keys[1:] > keys[:-1]).all() else table.take(pa.array(np.argsort(keys, kind="stable")))


def minute_keys(minutes: pa.Table) -> np.ndarray:
    """One integer for each (sensor, minute), in the same order: 31 bits of sensor above 32 of minutes since 1970."""
    return (column(minutes, "sensor").astype(np.int64) << 32) | (column(minutes, "minute") // MINUTE)


def keys_of_readings(readings: pa.Table) -> np.ndarray:
    """The key of the minute that each reading falls into."""
    return (column(readings, "sensor").astype(np.int64) << 32) | (column(readings, "time") // MINUTE)


WINDOW_SCHEMA = pa.schema(
    [
        pa.field("sensor", pa.int32(), nullable=False),
        pa.field("start", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        pa.field("min", pa.float64(), nullable=False),
        pa.field("max", pa.float64(), nullable=False),
        pa.field("mean", pa.float64(), nullable=False),
        pa.field("first", pa.float64(), nullable=False),
        pa.field("last", pa.float64(), nullable=False),
        pa.field("quality", pa.int32(), nullable=False),
    ]
)
"""Readings of one sensor and one window of time; a window without readings has no row."""


def windows_of_minutes(minutes: pa.Table, *, width: int) -> pa.Table:
    """Sorted minutes put together into windows of `width` microseconds, whole minutes, counted from 1970."""
    return _windows(minutes, "minute", width, count=column(minutes, "count"), total=column(minutes, "sum"))


def windows_of_readings(readings: pa.Table, *, width: int) -> pa.Table:
    """The same from merged readings, for windows that are not whole minutes."""
    value = column(readings, "value")
    columns = dict.fromkeys(("min", "max", "first", "last"), value)
    return _windows(readings, "time", width, count=np.ones(len(value), np.int64), total=value, given=columns)


def _windows(
    rows: pa.Table, clock: str, width: int, *, count: np.ndarray, total: np.ndarray, given: dict[str, Any] | None = None
) -> pa.Table:
    if not rows.num_rows:
        return WINDOW_SCHEMA.empty_table()
    values = given or {name: column(rows, name) for name in ("min", "max", "first", "last")}
    sensor, window = column(rows, "sensor"), column(rows, clock) // width
    starts = np.flatnonzero(np.append(True, (sensor[1:] != sensor[:-1]) | (window[1:] != window[:-1])))
    ends = np.append(starts[1:], len(sensor))
    counts = np.add.reduceat(count.astype(np.int64), starts)
    return from_columns(
        [
            sensor[starts], window[starts] * width, counts,
            np.minimum.reduceat(values["min"], starts), np.maximum.reduceat(values["max"], starts),
            np.add.reduceat(total, starts) / counts, values["first"][starts], values["last"][ends - 1],
            np.maximum.reduceat(column(rows, "quality").view(np.uint32), starts).view(np.int32),
        ],
        WINDOW_SCHEMA,
    )  # fmt: skip
