"""The readings of one accepted batch as bytes: an Arrow IPC stream, in a row or in a landing object.

A large one is compressed. A small one is not: to compress a thousand readings takes longer than to write what it saves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from twins.exceptions import LakeError
from twins.lake.schema import BODY_SCHEMA, Columns, from_columns
from twins.lake.store import Location, read_whole, write_synced

# For the seconds until it is compacted: zstd saves a third of the bytes and takes three times as long both ways.
# Handing four small columns to a pool of threads takes longer than compressing or opening them.
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_PLAIN = pa.ipc.IpcWriteOptions(use_threads=False)
_READING = pa.ipc.IpcReadOptions(use_threads=False)
SMALL = 4_000
"""Readings, of 24 bytes each."""
_END = 8  # bytes that end a stream
_TYPES = ("<i4", "<i8", "<f8", "<i4")


class Layout(NamedTuple):
    """An uncompressed stream of so many readings, all of them 0, and where in it the columns of BODY_SCHEMA begin."""

    blank: np.ndarray
    places: tuple[int, int, int, int]


def encode_body(readings: Columns) -> bytes:
    """Bytes of readings in BODY_SCHEMA, at least one."""
    rows = len(readings.sensor)
    if rows > SMALL:
        return _written(readings, _COMPRESSED)
    blank, places = layout_of(rows)
    body = blank.copy()
    for at, values, kind in zip(places, readings, _TYPES, strict=True):
        body[at : at + rows * np.dtype(kind).itemsize].view(kind)[:] = values
    return body.tobytes()


@lru_cache(maxsize=256)
def layout_of(rows: int) -> Layout:
    """What is the same in the streams of so many readings, at most SMALL, whatever they are."""
    whole = _written(Columns(*(np.zeros(rows, kind) for kind in _TYPES)), _PLAIN)
    # A column that is not a multiple of 8 bytes long is followed by a gap; the last ends where the stream does.
    narrow, wide = -(-4 * rows // 8) * 8, 8 * rows
    sensor = len(whole) - _END - 2 * (narrow + wide)
    time = sensor + narrow
    return Layout(np.frombuffer(whole, np.uint8), (sensor, time, time + wide, time + 2 * wide))


def _written(readings: Columns, options: pa.ipc.IpcWriteOptions) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, BODY_SCHEMA, options=options) as writer:
        writer.write_table(from_columns([*readings], BODY_SCHEMA))
    return sink.getvalue().to_pybytes()


def decode_body(body: bytes | memoryview | pa.Buffer) -> pa.Table:
    """Readings in BODY_SCHEMA; raises LakeError when the bytes are not what was written."""
    try:
        table = pa.ipc.open_stream(pa.py_buffer(body), options=_READING).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise LakeError(f"The body of a batch cannot be read ({error}): restore the database from a backup.") from error
    if table.schema != BODY_SCHEMA:
        raise LakeError(f"The body of a batch has the schema {table.schema}: restore the database from a backup.")
    return table


def write_landing(root: Location, path: str, body: bytes) -> None:
    """Write a landing object so that it survives a power cut before anything refers to it."""
    write_synced(root, path, body)


def read_landing(root: Location, path: str) -> pa.Table:
    """Readings of a landing object; raises FileNotFoundError when it has been compacted and removed meanwhile."""
    return decode_body(read_whole(root, path))
