"""Readings that may all enter, in the order in which they are kept, are packed in one pass: so most bodies are.

The many small steps that tell what is wrong with a body, and where, take several times as long.
"""

from __future__ import annotations

import hashlib

import numpy as np

from twins.lake import SMALL, Columns, Packed, layout_of
from twins.ml.compiled import Beside

PACKING = Beside("twins.sources.packing_loop")
_TYPES = np.int32, np.int64, np.float64, np.int32


def compile_packing() -> None:
    """Wait until readings are packed by the compiled loop."""
    PACKING.start().join()


def pack_faultless(
    readings: Columns, *, keys: np.ndarray, low: np.ndarray, high: np.ndarray, earliest: int, latest: int
) -> Packed | None:
    """A few readings of sensors by their numbers, which `keys` has the lake keys of; None where a row is not between
    the limits (of its sensor, and of time in microseconds), where they are not sorted by (key, time) with none twice,
    or where it takes more than a moment to tell.
    """
    rows = len(readings.sensor)
    loop = PACKING.ready() if 0 < rows <= SMALL else None
    if loop is None:
        return None
    columns = [np.ascontiguousarray(values, kind) for values, kind in zip(readings, _TYPES, strict=True)]
    blank, places = layout_of(rows)
    body = blank.copy()
    first, last = loop.fill(body, places, *columns, keys, low, high, earliest, latest)
    if first > last:
        return None
    code = columns[0]
    ends = int(keys[code[0]]), int(keys[code[-1]])
    return Packed(body.tobytes(), _hash(body, places, rows), rows, rows, *ends, first, last)


def _hash(body: np.ndarray, places: tuple[int, ...], rows: int) -> str:
    """As `content_hash` gives it: an even number of rows leaves no gap between the columns."""
    first, second, end = places[0], places[1], places[3] + 4 * rows
    whole = body.data
    if second == first + 4 * rows:
        return hashlib.sha256(whole[first:end]).hexdigest()
    digest = hashlib.sha256(whole[first : first + 4 * rows])
    digest.update(whole[second:end])
    return digest.hexdigest()
