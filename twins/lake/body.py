"""The readings of one accepted batch as bytes: an Arrow IPC stream, compressed, in a row or in a landing object."""

from __future__ import annotations

import pyarrow as pa

from twins.exceptions import LakeError
from twins.lake.schema import BODY_SCHEMA, Columns, from_columns
from twins.lake.store import Location, read_whole, write_synced

# For the seconds until it is compacted: zstd saves a third of the bytes and takes three times as long both ways.
# Handing four small columns to a pool of threads takes longer than compressing or opening them.
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_READING = pa.ipc.IpcReadOptions(use_threads=False)


def encode_body(readings: Columns) -> bytes:
    """Bytes of readings in BODY_SCHEMA."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, BODY_SCHEMA, options=_OPTIONS) as writer:
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
