"""Readings as they are kept: sorted, one for each (sensor, time), as bytes with their hash."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from twins.lake.body import encode_body
from twins.lake.merge import are_sorted, last_of_each
from twins.lake.schema import Columns


class Packed(NamedTuple):
    """At least one reading on its way into a batch. Times are microseconds since 1970."""

    body: bytes
    content_hash: str
    received: int
    """Rows before repeats were dropped."""
    rows: int
    sensor_min: int
    sensor_max: int
    time_min: int
    time_max: int


def pack(readings: Columns) -> Packed:
    """Faultless readings, at least one, in any order; of two of one (sensor, time) the last row stays."""
    kept = sort_and_drop_repeats(readings)
    sensor, time = kept.sensor, kept.time
    return Packed(
        encode_body(kept),
        content_hash(kept),
        len(readings.sensor),
        len(sensor),
        int(sensor[0]),
        int(sensor[-1]),
        int(time.min()),
        int(time.max()),
    )


def sort_and_drop_repeats(readings: Columns) -> Columns:
    """Faultless readings sorted by (sensor, time); of two of one (sensor, time) the last row stays."""
    sensor, time = readings.sensor, readings.time
    kept = readings if are_sorted(sensor, time) else readings.take(last_of_each(sensor, time))
    return kept._replace(sensor=kept.sensor.astype(np.int32, copy=False))


def content_hash(readings: Columns) -> str:
    """SHA-256, in hex, of sorted readings: equal for equal readings however they were ordered, chunked or encoded."""
    kinds = ("<i4", "<i8", "<f8", "<i4")
    columns = (np.ascontiguousarray(values, dtype=kind).data for values, kind in zip(readings, kinds, strict=True))
    # At once: each call that hashes lets go of the interpreter, and waits for it again.
    return hashlib.sha256(b"".join(columns)).hexdigest()
