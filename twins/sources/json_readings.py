"""JSON readings: a list of rows, or {"readings": [...]}, decoded a column at a time.

A row is {"sensor": UUID, "time": RFC 3339 with zone, "value": number, "quality": integer or null}. Numbers are checked
by their JSON type, never converted from text; a field nobody knows is refused, because it is a misspelt one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from itertools import chain
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from twins.exceptions import MalformedBody
from twins.lake import Reject
from twins.sources.decoded import (
    DECODED_SCHEMA,
    MAX_LISTED_REJECTS,
    DecodedReadings,
    RejectedRows,
)

MAX_ROWS = 200_000
"""Rows in one body; more is refused, so that the work of one request has a bound whatever the rows are."""

_FIELDS = frozenset({"sensor", "time", "value", "quality"})
_REQUIRED = ("sensor", "time", "value")
_UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
_TIME = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
_NO_ZONE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?$")
_PLAIN_TIME = r"^.{10}T.{8}(\.[0-9]{1,6})?(Z|[+-].{5})$"
_LONG_DATE = r"^(0000|.{4}-(02-(29|3.)|..-31))"
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
_INT32 = 2**31

Rows = Sequence[Any]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


def decode_json(body: bytes) -> DecodedReadings:
    """Columns of DECODED_SCHEMA, or the rejected rows; raises MalformedBody when it is not JSON or not such a list."""
    rows = _rows(body)
    findings: list[tuple[Mask, Callable[[int], str]]] = [_shape(rows)]
    usable: Rows = rows
    if findings[0][0].any():
        usable = [row if isinstance(row, dict) else {} for row in rows]
    sensor, sensor_findings = _sensors([row.get("sensor") for row in usable])
    time, time_findings = _times([row.get("time") for row in usable])
    value, value_findings = _values([row.get("value") for row in usable])
    quality, quality_findings = _qualities([row.get("quality") for row in usable])
    rejects = _collect([*findings, sensor_findings, time_findings, value_findings, quality_findings], len(rows))
    if rejects:
        return DecodedReadings(DECODED_SCHEMA.empty_table(), rejects)
    return DecodedReadings(pa.Table.from_arrays([sensor, time, value, quality], schema=DECODED_SCHEMA))


def _rows(body: bytes) -> Rows:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(_why_not_json(body, error)) from None
    if isinstance(document, dict) and set(document) == {"readings"}:
        document = document["readings"]
    if not isinstance(document, list):
        raise MalformedBody('The body must be a JSON list of readings, or {"readings": [...]} and nothing else.')
    if not document:
        raise MalformedBody("The body holds no reading: send at least one.")
    if len(document) > MAX_ROWS:
        raise MalformedBody(f"The body holds {len(document)} readings, more than {MAX_ROWS}: send several bodies.")
    return document


def _why_not_json(body: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as wrong:
        return f"The body is not UTF-8: byte {wrong.start} cannot be decoded. Send JSON in UTF-8."
    start = text[max(error.pos - 1, 0) : error.pos + 9].lstrip(" ,:[-")
    if start.startswith(("NaN", "Inf", "nan", "inf")):
        problem = "NaN and infinity are not JSON numbers; leave such a reading out"
    else:
        problem = error.msg.split(": line ", maxsplit=1)[0]
    return f"The body is not JSON at line {error.lineno}, column {error.colno} (character {error.pos}): {problem}."


def _shape(rows: Rows) -> tuple[Mask, Callable[[int], str]]:
    """Rows that are not objects, lack a field or carry an unknown one."""
    if set(map(type, rows)) == {dict} and set(chain.from_iterable(rows)) <= _FIELDS:
        bad = np.zeros(len(rows), bool)  # missing fields are None in their column and found there
    else:
        bad = np.fromiter((not isinstance(row, dict) or not row.keys() <= _FIELDS for row in rows), bool, len(rows))

    def reason(index: int) -> str:
        row = rows[index]
        if not isinstance(row, dict):
            return f"is {_kind(row)}, not an object with sensor, time and value"
        unknown = min(set(row) - _FIELDS)
        return f"has the unknown field {_short(unknown)}; known are sensor, time, value and quality"

    return bad, reason


def _sensors(values: list[Any]) -> tuple[pa.Array, tuple[Mask, Callable[[int], str]]]:
    texts, wrong_type = _strings(values)
    encoded = pc.dictionary_encode(texts)
    names = encoded.dictionary
    canonical = pc.match_substring_regex(names, _UUID).to_numpy(zero_copy_only=False)
    codes = encoded.indices.fill_null(0).to_numpy()
    bad = wrong_type | ~canonical[codes] if len(names) else np.ones(len(values), bool)
    column = pc.dictionary_encode(pc.utf8_lower(texts)) if not bad.any() else None
    return column, (bad, lambda index: _missing("sensor", values[index]) or _not_a_uuid(values[index]))


def _not_a_uuid(value: Any) -> str:
    return f"sensor {_short(value)} is not a UUID, such as 7f2c1c3e-8d2b-4b0e-9a53-0c6c2f1d1e55"


def _times(values: list[Any]) -> tuple[pa.Array, tuple[Mask, Callable[[int], str]]]:
    texts, _ = _strings(values)
    kept = pc.if_else(pc.match_substring_regex(texts, _TIME), texts, pa.scalar(None, pa.string()))
    if pc.any(pc.match_substring_regex(kept, _LONG_DATE)).as_py():
        kept = _real_dates(kept)
    numbers = _microseconds(kept).cast(pa.int64()).fill_null(_LAST_US + 1)
    instants = numbers.cast(pa.timestamp("us", tz="UTC"))
    found = numbers.to_numpy()
    bad = (found < _FIRST_US) | (found > _LAST_US)
    return instants, (bad, lambda index: _missing("time", values[index]) or _not_a_time(values[index]))


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
        return f"time {_short(value)} has no zone; write it as {value}Z or with an offset such as +01:00"
    return f"time {_short(value)} is not an RFC 3339 instant, such as 2026-03-01T12:00:00Z"


def _values(values: list[Any]) -> tuple[pa.Array, tuple[Mask, Callable[[int], str]]]:
    kinds = set(map(type, values))
    if kinds <= {float, int}:
        bad = np.zeros(len(values), bool)
    else:
        bad = np.fromiter((type(value) not in (float, int) for value in values), bool, len(values))
    column = pa.array(np.array(values, dtype=np.float64)) if not bad.any() else None
    return column, (
        bad,
        lambda index: _missing("value", values[index]) or f"value {_short(values[index])} is not a number",
    )


def _qualities(values: list[Any]) -> tuple[pa.Array, tuple[Mask, Callable[[int], str]]]:
    kinds = set(map(type, values))
    if kinds == {type(None)}:
        return pa.array(np.zeros(len(values), np.int32)), (np.zeros(len(values), bool), str)
    bad = np.fromiter((not _is_quality(value) for value in values), bool, len(values))
    column = None if bad.any() else pa.array([value or 0 for value in values], pa.int32())
    return column, (bad, lambda index: f"quality {_short(values[index])} is not a whole number of 32 bits")


def _is_quality(value: Any) -> bool:
    return value is None or (type(value) is int and -_INT32 <= value < _INT32)


def _strings(values: list[Any]) -> tuple[pa.Array, Mask]:
    """The texts, null where a value is none, and where that is."""
    if set(map(type, values)) == {str}:
        return pa.array(values, pa.string()), np.zeros(len(values), bool)
    texts = pa.array([value if isinstance(value, str) else None for value in values], pa.string())
    return texts, texts.is_null().to_numpy(zero_copy_only=False)


def _missing(field: str, value: Any) -> str:
    return f"has no {field}" if value is None else ""


def _collect(findings: Sequence[tuple[Mask, Callable[[int], str]]], rows: int) -> RejectedRows:
    """The first reason of each bad row."""
    bad = np.zeros(rows, bool)
    for mask, _ in findings:
        bad |= mask
    listed = [
        Reject(int(index), next(reason(int(index)) for mask, reason in findings if mask[index]))
        for index in np.flatnonzero(bad)[:MAX_LISTED_REJECTS]
    ]
    return RejectedRows(tuple(listed), int(bad.sum()))


def _kind(value: Any) -> str:
    names = {type(None): "null", bool: "a truth value", str: "a text", list: "a list", int: "a number"}
    return names.get(type(value), "a number")


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode() if isinstance(value, str | int | float | None) else _kind(value)
    if isinstance(value, dict):
        text = "an object"
    return text if len(text) <= 60 else f"{text[:57]}..."
