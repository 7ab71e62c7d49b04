"""Arrow IPC streams of readings. Plain ones are looked at where they lie; compressed ones are opened in a cell.

A stream is a stranger's memory layout: its row count and its types are judged before anything of that size is made, and
every offset and index is checked before one is followed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pyarrow as pa

from twins.exceptions import MalformedBody
from twins.sources import cell
from twins.sources.decoded import MAX_ROWS, DecodedReadings, check_rows
from twins.sources.frames import read_framed, remember_frame
from twins.sources.tables import check_schema, content_of, from_table

_RECORDS, _DICTIONARY = 3, 2  # kinds of message, by the format's MessageHeader


def decode_arrow(body: bytes) -> DecodedReadings:
    """The readings of an Arrow IPC stream; raises MalformedBody when it is none, or not of readings."""
    if (framed := decode_known_arrow(body)) is not None:
        return framed
    try:
        facts = list(_batches(body))
        check_rows(min(sum(rows for rows, _ in facts), MAX_ROWS + 1))
        plain = cell.opened(body, "arrow") if any(compressed for _, compressed in facts) else body
        opened = read_stream(plain)
    except (pa.ArrowException, OSError, ValueError, struct.error) as error:
        raise MalformedBody(f"The body is no valid Arrow IPC stream ({str(error)[:200]}).") from None
    if plain is body:
        remember_frame(body, opened)
    return from_table(opened)


def decode_known_arrow(body: bytes) -> DecodedReadings | None:
    """The same for a stream that is laid out like one that was opened before, and None for any other."""
    return read_framed(body, _Rows(body))


class _Rows:
    """The rows of a stream as they were sent; it is opened for the first that somebody asks for."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._table: pa.Table | None = None

    def __call__(self, row: int) -> str:
        if self._table is None:
            self._table = read_stream(self._body)
        return content_of(self._table, row)


def read_stream(body: bytes) -> pa.Table:
    """The table of an uncompressed stream, every offset and index checked; raises MalformedBody for other columns."""
    with pa.ipc.open_stream(pa.py_buffer(body)) as stream:
        check_schema(stream.schema)
        table = stream.read_all()
    table.validate(full=True)
    return table


def _batches(body: bytes) -> Iterator[tuple[int, bool]]:
    """Rows of each batch of a stream, dictionaries without rows, and whether it is compressed."""
    for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(body)):
        metadata = message.metadata.to_pybytes()
        table = _table(metadata, 0)
        kind = metadata[at] if (at := _field(metadata, table, 1)) else 0
        if kind not in (_RECORDS, _DICTIONARY):
            continue
        batch = _table(metadata, _field(metadata, table, 2))
        if kind == _DICTIONARY:
            batch = _table(metadata, _field(metadata, batch, 1))
        length = _field(metadata, batch, 0)
        rows = struct.unpack_from("<q", metadata, length)[0] if length and kind == _RECORDS else 0
        if rows < 0:
            raise MalformedBody("The body is no valid Arrow IPC stream (a batch has fewer rows than none).")
        yield rows, bool(_field(metadata, batch, 3))


# The two steps through a flatbuffer; pyarrow has verified its offsets when it made the message.


def _table(data: bytes, at: int) -> int:
    return at + int(struct.unpack_from("<I", data, at)[0])


def _field(data: bytes, table: int, number: int) -> int:
    """Where a field of a table stands, 0 when it is left out."""
    layout = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, layout)[0]
    slot = 4 + 2 * number
    offset = struct.unpack_from("<H", data, layout + slot)[0] if slot < size else 0
    return table + int(offset) if offset else 0
