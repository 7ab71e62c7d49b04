"""What every decoder returns: the rows that are readings as columns, and why which others are not."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from twins.exceptions import MalformedBody
from twins.lake import Columns, Reject

MAX_ROWS = 200_000
"""Rows in one body; more is refused, so that the work of one request has a bound whatever the rows are."""
MAX_LISTED_REJECTS = 100
"""Rows named in an answer; the rest is counted."""

LONGEST_CONTENT = 4_000
"""Characters of a rejected row that are kept."""

Names = tuple[np.ndarray, pa.Array]
"""Which name each row has, below 0 a row that has none, and the names: UUIDs as text or as 16 bytes, or series."""
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Finding = tuple[Mask, Callable[[int], str]]
"""Which rows are at fault, and what to say of each."""


@dataclass(frozen=True)
class RejectedRows:
    """The first rejected rows in order of index, at most MAX_LISTED_REJECTS, and how many there are in all."""

    listed: tuple[Reject, ...] = ()
    total: int = 0

    def __bool__(self) -> bool:
        return self.total > 0


@dataclass(frozen=True)
class DecodedReadings:
    """`readings` are the rows without fault, by the numbers of `names`; `received` counts all rows of the body."""

    readings: Columns
    names: pa.Array
    """As they were sent, where they can be compared so: UUIDs as text or as 16 bytes, or series."""
    received: int
    content: Callable[[int], str]
    """A row of the readings as it was sent."""
    places: np.ndarray | None = None
    """Where each of the readings stood in the body; None when they are just counted."""
    rejects: RejectedRows = RejectedRows()
    digest: bytes = b""
    """A hash of the names in their order; empty where the decoder does not know it."""

    @cached_property
    def spelt(self) -> pa.StringArray:
        """The names as text."""
        return self.names if pa.types.is_string(self.names.type) else as_text(self.names)

    def place(self, row: int) -> int:
        """Where a row of the readings stood in the body."""
        return row if self.places is None else int(self.places[row])


def gather(
    names: Names,
    time: np.ndarray,
    value: np.ndarray,
    quality: np.ndarray,
    findings: Sequence[Finding],
    *,
    content: Callable[[int], str],
    places: np.ndarray | None = None,
) -> DecodedReadings:
    """Readings, at fault where a finding says so; the first finding of a row is its reason.

    `content` gives a row as it was sent, for whoever has to correct it; `places` are the indices of the rows in the
    body, where they are not just counted.
    """
    bad = np.logical_or.reduce([mask for mask, _ in findings])
    readings = Columns(names[0], time, value, quality)
    if not bad.any():
        return DecodedReadings(readings, names[1], len(bad), content, places)
    listed = [
        Reject(
            index if places is None else int(places[index]),
            next(reason(index) for mask, reason in findings if mask[index]),
            content(index)[:LONGEST_CONTENT],
        )
        for index in np.flatnonzero(bad)[:MAX_LISTED_REJECTS].tolist()
    ]
    rows = np.flatnonzero(~bad)
    # Names that only rows at fault had are no names.
    used, code = np.unique(names[0][rows], return_inverse=True)
    return DecodedReadings(
        readings.take(rows)._replace(sensor=code.astype(np.int32)),
        names[1].take(pa.array(used)),
        len(bad),
        lambda row: content(int(rows[row])),
        rows if places is None else places[rows],
        RejectedRows(tuple(listed), int(bad.sum())),
    )


def as_text(uuids: pa.FixedSizeBinaryArray) -> pa.StringArray:
    """UUIDs of 16 bytes in canonical text."""
    count = len(uuids)
    raw = memoryview(uuids.buffers()[1])[16 * uuids.offset :][: 16 * count] if count else b""
    digits = np.frombuffer(raw.hex().encode(), np.uint8).reshape(-1, 32)
    text = np.full((count, 36), ord("-"), np.uint8)
    for at, (first, end) in enumerate(itertools.pairwise((0, 8, 12, 16, 20, 32))):
        text[:, first + at : end + at] = digits[:, first:end]
    offsets = np.arange(0, 36 * count + 1, 36, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text.tobytes()))


def digest_of(names: pa.Array) -> bytes:
    """A hash of names in their order, text or of a fixed number of bytes."""
    if pa.types.is_fixed_size_binary(names.type):
        width = names.type.byte_width
        whole = memoryview(names.buffers()[1] or b"")[width * names.offset :][: width * len(names)]
        return hashlib.sha256(whole).digest()
    offsets = np.frombuffer(names.buffers()[1], np.int32)[names.offset :][: len(names) + 1] if len(names) else None
    if offsets is None:
        return b""
    digest = hashlib.sha256(np.ascontiguousarray(offsets - offsets[0]).data)
    digest.update(memoryview(names.buffers()[2] or b"")[offsets[0] : offsets[-1]])
    return digest.digest()


def check_rows(rows: int) -> None:
    """Raises MalformedBody for a body without rows, or with too many."""
    if not rows:
        raise MalformedBody("The body holds no reading: send at least one.")
    if rows > MAX_ROWS:
        raise MalformedBody(f"The body holds {rows} readings, more than {MAX_ROWS}: send several bodies.")
