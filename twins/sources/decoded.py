"""What every decoder returns: either all rows as columns, or why which rows cannot be taken."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from twins.lake import Reject

MAX_LISTED_REJECTS = 100
"""Rows named in an answer; the rest is counted."""

DECODED_SCHEMA = pa.schema(
    [
        pa.field("sensor", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("time", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
        pa.field("quality", pa.int32(), nullable=False),
    ]
)
"""Sensors are UUIDs in canonical lower-case text, dictionary encoded: a lookup needs each of them once."""


@dataclass(frozen=True)
class RejectedRows:
    """The first rejected rows in order of index, at most MAX_LISTED_REJECTS, and how many there are in all."""

    listed: tuple[Reject, ...] = ()
    total: int = 0

    def __bool__(self) -> bool:
        return self.total > 0


@dataclass(frozen=True)
class DecodedReadings:
    """`table` has DECODED_SCHEMA and one row per row of the body; it is empty when there are rejects."""

    table: pa.Table
    rejects: RejectedRows = RejectedRows()
