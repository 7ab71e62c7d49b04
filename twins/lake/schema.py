"""What a reading is, in Arrow: no unsigned integers and no nanoseconds, which Spark and Delta readers fail on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa

BODY_SCHEMA = pa.schema(
    [
        pa.field("sensor", pa.int32(), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("quality", pa.int32(), nullable=False),
    ]
)
"""Readings of one batch, before the batch has an id. Quality is the 32 bits of an OPC UA status code: 0 good, above it
uncertain, below it bad."""

READING_SCHEMA = BODY_SCHEMA.append(pa.field("batch", pa.int64(), nullable=False))
"""Readings as the lake keeps and returns them."""


class Columns(NamedTuple):
    """Readings on their way in, as numpy columns in the order of BODY_SCHEMA; times are int64 microseconds since 1970.

    A call of Arrow takes longer than most of what acceptance asks of a thousand readings.
    """

    sensor: np.ndarray
    time: np.ndarray
    value: np.ndarray
    quality: np.ndarray

    def take(self, rows: np.ndarray) -> Columns:
        """These rows, by number or by mask."""
        return Columns(*(values[rows] for values in self))


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000  # microseconds
_MICROSECOND = timedelta(microseconds=1)


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970 of an aware instant; a naive one is a ValueError."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone: pass an aware datetime.")
    return (instant - EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The instant, in UTC, `value` microseconds after 1970."""
    return EPOCH + timedelta(microseconds=value)


def column(table: pa.Table, name: str) -> np.ndarray:
    """A column as one numpy array; instants as int64 microseconds since 1970."""
    values = table[name]
    if values.num_chunks == 1 and not values.null_count:
        # A view of the buffer: a cast costs more than many a use of the column.
        whole = values.chunk(0)
        return (whole.view(pa.int64()) if pa.types.is_timestamp(whole.type) else whole).to_numpy()
    return (values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values).to_numpy()


def columns_of(body: pa.Table) -> Columns:
    """The columns of readings in BODY_SCHEMA."""
    return Columns(*(column(body, name) for name in BODY_SCHEMA.names))


def from_columns(columns: list[np.ndarray], schema: pa.Schema = READING_SCHEMA) -> pa.Table:
    """A table of `schema` over numpy columns in its order, without copying."""
    arrays = [_array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    array = pa.array(values)
    if array.type == kind:
        return array
    return array.view(kind) if pa.types.is_timestamp(kind) and array.type == pa.int64() else array.cast(kind)


def stamp_batch(body: pa.Table, batch: int) -> pa.Table:
    """The readings of a body with the id of its batch beside each."""
    ids = pa.array(np.full(body.num_rows, batch, dtype=np.int64))
    return pa.Table.from_arrays([*(body[name] for name in BODY_SCHEMA.names), ids], schema=READING_SCHEMA)
