"""The columns of a reading out of text: what is a UUID, an instant and a quality, the same in every format.

Each function gives a column in which rows at fault hold something harmless, and the finding that names those rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from twins.sources.decoded import Finding, Names

Shown = Callable[[int], Any]
"""The value of a row as it was sent."""

_UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
_TIME = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
_NO_ZONE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?$")
_PLAIN_TIME = r"^.{10}T.{8}(\.[0-9]{1,6})?(Z|[+-].{5})$"
_LONG_DATE = r"^(0000|.{4}-(02-(29|3.)|..-31))"
FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The first and last microsecond that has a date: the years 1 to 9999."""


def sensors(texts: pa.Array, shown: Shown) -> tuple[Names, Finding]:
    """UUIDs in text, dictionary encoded or not, null where a row has none, as canonical text."""
    encoded = texts if pa.types.is_dictionary(texts.type) else pc.dictionary_encode(texts)
    names = encoded.dictionary.cast(pa.string())
    good = pc.match_substring_regex(names, _UUID).fill_null(False).to_numpy(zero_copy_only=False)
    # Two spellings of one UUID are one name.
    folded = pc.dictionary_encode(pc.utf8_lower(names))
    code = _codes(folded.indices.take(encoded.indices))
    bad = _without(encoded.indices, ~good)
    return (code, folded.dictionary), (bad, lambda row: missing("sensor", shown(row)) or _not_a_uuid(shown(row)))


def binary_sensors(values: pa.Array) -> tuple[Names, Finding]:
    """UUIDs as 16 bytes, dictionary encoded, null where a row has none."""
    names, without = _of_16_bytes(values.dictionary)
    bad = _without(values.indices, without)
    return (_codes(values.indices), names), (bad, lambda row: "has no sensor, or one that is not 16 bytes long")


def _codes(indices: pa.Array) -> np.ndarray:
    """Indices of a dictionary, -1 where there is none."""
    if indices.null_count:
        indices = indices.fill_null(-1)
    return indices.to_numpy().astype(np.int32, copy=False)


def _without(indices: pa.Array, bad: np.ndarray) -> np.ndarray:
    """Which rows have none of the names that are not `bad`."""
    missing = is_null(indices)
    if not bad.any():
        return missing
    return missing | bad[indices.fill_null(0).to_numpy()]


def is_null(values: pa.Array) -> np.ndarray:
    """Which rows of a column have nothing."""
    return values.is_null().to_numpy(zero_copy_only=False) if values.null_count else np.zeros(len(values), np.bool_)


def _of_16_bytes(uuids: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Names of 16 bytes, and which of them are none."""
    if pa.types.is_fixed_size_binary(uuids.type) and uuids.type.byte_width == 16 and not uuids.null_count:
        return uuids, np.zeros(len(uuids), np.bool_)
    fitting = pc.fill_null(pc.equal(pc.binary_length(uuids), 16), False)
    whole = pc.if_else(fitting, uuids.cast(pa.binary()), pa.scalar(bytes(16), pa.binary())).cast(pa.binary(16))
    return whole, ~fitting.to_numpy(zero_copy_only=False)


def _not_a_uuid(value: Any) -> str:
    return f"sensor {short(value)} is not a UUID, such as 7f2c1c3e-8d2b-4b0e-9a53-0c6c2f1d1e55"


def times(texts: pa.Array, shown: Shown) -> tuple[np.ndarray, Finding]:
    """RFC 3339 texts with a zone, null where a row has none, as instants; digits past the microsecond are cut."""
    kept = pc.if_else(pc.match_substring_regex(texts, _TIME), texts, pa.scalar(None, pa.string()))
    if pc.any(pc.match_substring_regex(kept, _LONG_DATE)).as_py():
        kept = _real_dates(kept)
    found = _microseconds(kept).cast(pa.int64()).fill_null(LAST_US + 1).to_numpy()
    column, (bad, _) = instants(found)
    return column, (bad, lambda row: missing("time", shown(row)) or _not_a_time(shown(row)))


def instants(microseconds: np.ndarray) -> tuple[np.ndarray, Finding]:
    """Microseconds since 1970; a row outside the years 1 to 9999 is at fault."""
    bad = (microseconds < FIRST_US) | (microseconds > LAST_US)
    if bad.any():
        microseconds = np.where(bad, 0, microseconds)
    return microseconds, (bad, lambda row: "has no time between the years 1 and 9999")


def _real_dates(texts: pa.Array) -> pa.Array:
    """The texts without those whose month has no such day (30 February)."""
    days = pc.dictionary_encode(pc.utf8_slice_codeunits(texts, 0, 10))
    real = pa.array([_is_date(day) for day in days.dictionary.to_pylist()])
    return pc.if_else(real.take(days.indices), texts, pa.scalar(None, pa.string()))


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _microseconds(texts: pa.Array) -> pa.Array:
    if not pc.all(pc.match_substring_regex(texts, _PLAIN_TIME), min_count=0).as_py():
        texts = pc.ascii_upper(pc.replace_substring_regex(texts, r"^(.{10})[ t]", r"\1T"))
        # Digits past the microsecond are cut, as PostgreSQL and Parquet keep none.
        texts = pc.replace_substring_regex(texts, r"(\.[0-9]{6})[0-9]+", r"\1")
    return texts.cast(pa.timestamp("us", tz="UTC"))


def _not_a_time(value: Any) -> str:
    if isinstance(value, str) and _NO_ZONE.match(value):
        return f"time {short(value)} has no zone; write it as {value}Z or with an offset such as +01:00"
    return f"time {short(value)} is not an RFC 3339 instant, such as 2026-03-01T12:00:00Z"


def missing(field: str, value: Any) -> str:
    """What to say of a field that is not there; nothing when it is."""
    return f"has no {field}" if value is None else ""


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {type(None): "null", bool: "a truth value", str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")


def short(value: Any) -> str:
    """A JSON value for a sentence, at most 60 characters."""
    text = orjson.dumps(value).decode() if isinstance(value, str | int | float | None) else kind(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
