"""What every decoder returns: the rows that are readings as columns, and why which others are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twins.exceptions import MalformedBody
from twins.lake import Reject

MAX_ROWS = 200_000
"""Rows in one body; more is refused, so that the work of one request has a bound whatever the rows are."""
MAX_LISTED_REJECTS = 100
"""Rows named in an answer; the rest is counted."""

LONGEST_CONTENT = 4_000
"""Characters of a rejected row that are kept."""

DECODED_SCHEMA = pa.schema(
    [
        pa.field("sensor", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("quality", pa.int32(), nullable=False),
    ]
)
"""Sensors by name, dictionary encoded, because a look-up needs each of them once: UUIDs in canonical lower-case text,
or, in line protocol, series."""

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
    """`table` has DECODED_SCHEMA and the rows without fault; `received` counts all rows of the body."""

    table: pa.Table
    received: int
    content: Callable[[int], str]
    """A row of the table as it was sent."""
    places: np.ndarray | None = None
    """Where each row of the table stood in the body; None when they are just counted."""
    rejects: RejectedRows = RejectedRows()

    def place(self, row: int) -> int:
        """Where a row of the table stood in the body."""
        return row if self.places is None else int(self.places[row])


def gather(
    columns: Sequence[pa.Array],
    findings: Sequence[Finding],
    *,
    content: Callable[[int], str],
    places: np.ndarray | None = None,
) -> DecodedReadings:
    """Columns of DECODED_SCHEMA, at fault where a finding says so; the first finding of a row is its reason.

    `content` gives a row as it was sent, for whoever has to correct it; `places` are the indices of the rows in the
    body, where they are not just counted.
    """
    bad = np.logical_or.reduce([mask for mask, _ in findings])
    table = pa.Table.from_arrays(list(columns), schema=DECODED_SCHEMA)
    if not bad.any():
        return DecodedReadings(table, len(bad), content, places)
    listed = [
        Reject(
            index if places is None else int(places[index]),
            next(reason(index) for mask, reason in findings if mask[index]),
            content(index)[:LONGEST_CONTENT],
        )
        for index in np.flatnonzero(bad)[:MAX_LISTED_REJECTS].tolist()
    ]
    rows = np.flatnonzero(~bad)
    kept = table.take(pa.array(rows))
    # Names that only rows at fault had are no names.
    names = pc.dictionary_encode(kept["sensor"].cast(pa.string()))
    kept = kept.set_column(0, DECODED_SCHEMA.field("sensor"), names)
    return DecodedReadings(
        kept,
        len(bad),
        lambda row: content(int(rows[row])),
        rows if places is None else places[rows],
        RejectedRows(tuple(listed), int(bad.sum())),
    )


def check_rows(rows: int) -> None:
    """Raises MalformedBody for a body without rows, or with too many."""
    if not rows:
        raise MalformedBody("The body holds no reading: send at least one.")
    if rows > MAX_ROWS:
        raise MalformedBody(f"The body holds {rows} readings, more than {MAX_ROWS}: send several bodies.")
