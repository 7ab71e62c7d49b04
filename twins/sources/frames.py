"""Arrow streams that are laid out like one that was opened before: their columns are looked at where they must lie.

To open and check a stream of a thousand readings takes longer than all that is asked of them afterwards, and a
gateway's bodies differ only in the bytes of their columns. Whatever else a stream holds (schema, lengths, places,
padding) is compared with that of one that pyarrow has opened, checked and read without copying: where all of it is the
same, so are the places. What pyarrow checks in the columns themselves is asked of each stream.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from twins.lake import Columns
from twins.sources.columns import LAST_US
from twins.sources.decoded import DecodedReadings, digest_of
from twins.sources.packing import PACKING

_MOST = 64
"""Frames that are remembered: of more, the last ones that were learned."""
_LARGEST = 16 << 10
"""Bytes beside the columns; a stream with more is opened each time."""
_MANY = 10_000
"""Names; of more at once none are remembered."""
_NAME = pa.binary(16)


class _Named(NamedTuple):
    """Names of 16 bytes each, and their hash."""

    raw: bytes
    names: pa.Array
    digest: bytes


class _Frame(NamedTuple):
    """Where the columns of a stream lie, and all that lies between them."""

    rows: int
    names: int
    """How many there are."""
    places: tuple[int, int, int, int, int | None]
    """Of names, codes, times, values and qualities, if there are any."""
    rest: tuple[tuple[int, bytes], ...]
    """Where a piece begins, and its bytes."""
    good: np.ndarray
    """The qualities of rows that come without."""
    last: list[_Named]
    """What the last stream has named."""

    def fits(self, body: bytes) -> bool:
        for begin, piece in self.rest:  # noqa: SIM110 - a generator takes as long as all comparisons
            if not body.startswith(piece, begin):
                return False
        return True


_frames: OrderedDict[int, _Frame] = OrderedDict()
"""By the length of the stream."""


def read_framed(body: bytes, content: Callable[[int], str]) -> DecodedReadings | None:
    """The readings of a stream; None where only opening it tells which they are, or what is wrong.

    `content` gives a row as it was sent.
    """
    frame = _frames.get(len(body))
    if frame is None or not frame.fits(body):
        return None
    _, codes, times, values, qualities = frame.places
    code = np.frombuffer(body, np.int32, frame.rows, codes)
    time = np.frombuffer(body, np.int64, frame.rows, times)
    if not _are_within(code, time, frame.names):
        return None
    value = np.frombuffer(body, np.float64, frame.rows, values)
    quality = frame.good
    if qualities is not None:
        quality = np.frombuffer(body, np.int32, frame.rows, qualities)
    named = _names_in(frame, body)
    return DecodedReadings(Columns(code, time, value, quality), named.names, frame.rows, content, digest=named.digest)


def _are_within(code: np.ndarray, time: np.ndarray, names: int) -> bool:
    """Whether pyarrow would take such numbers of names, and such times stand for themselves."""
    if loop := PACKING.ready():
        return bool(loop.are_within(code, time, names, LAST_US))
    # As numbers without a sign, so that what is below 0 is above all others.
    return bool(code.view(np.uint32).max() < names and time.view(np.uint64).max() <= LAST_US)


def _names_in(frame: _Frame, body: bytes) -> _Named:
    """A gateway says the same in every body, which takes no time to see."""
    at = frame.places[0]
    if frame.last and body.startswith(frame.last[0].raw, at):
        return frame.last[0]
    raw = body[at : at + 16 * frame.names]
    if frame.names > _MANY:
        return _named.__wrapped__(raw)
    frame.last[:] = [named := _named(raw)]
    return named


@lru_cache(maxsize=_MOST)
def _named(raw: bytes) -> _Named:
    names = pa.Array.from_buffers(_NAME, len(raw) // 16, [None, pa.py_buffer(raw)])
    return _Named(raw, names, digest_of(names))


def remember_frame(body: bytes, table: pa.Table) -> None:
    """Learn from a stream and what it was read as, checked, if its columns can be looked at like this at all."""
    spans = _spans(body, table)
    if spans is None or len(body) - sum(end - begin for begin, end in spans) > _LARGEST:
        return
    places = [begin for begin, _ in spans]
    rows, names = table.num_rows, len(table["sensor"].chunk(0).dictionary)
    quality = places[4] if len(places) == 5 else None
    where = *places[:4], quality
    good = np.zeros(rows, np.int32)
    good.flags.writeable = False
    _frames[len(body)] = _Frame(rows, names, where, _between(body, spans), good, [])  # type: ignore[arg-type]
    while len(_frames) > _MOST:
        _frames.popitem(last=False)


def _spans(body: bytes, table: pa.Table) -> list[tuple[int, int]] | None:
    """Where names, codes, times, values and qualities begin and end; None where one of them does not lie in the body as
    it is used."""
    if any(column.num_chunks != 1 or column.null_count for column in table.columns):
        return None
    sensor, time, value = (table[name].chunk(0) for name in ("sensor", "time", "value"))
    if sensor.type != pa.dictionary(pa.int32(), _NAME) or sensor.dictionary.null_count:
        return None
    if not pa.types.is_timestamp(time.type) or time.type.unit != "us" or value.type != pa.float64():
        return None
    arrays = [sensor.dictionary, sensor.indices, time, value]
    if "quality" in table.column_names:
        arrays.append(table["quality"].chunk(0))
        if arrays[-1].type != pa.int32():
            return None
    start = pa.py_buffer(body).address
    spans = []
    for array in arrays:
        width = array.type.bit_width // 8
        begin = array.buffers()[1].address - start + width * array.offset
        spans.append((begin, begin + width * len(array)))
    return spans if all(0 <= begin < end <= len(body) for begin, end in spans) else None


def _between(body: bytes, spans: list[tuple[int, int]]) -> tuple[tuple[int, bytes], ...]:
    pieces, at = [], 0
    for begin, end in [*sorted(spans), (len(body), len(body))]:
        if begin > at:
            pieces.append((at, body[at:begin]))
        at = max(at, end)
    return tuple(pieces)
