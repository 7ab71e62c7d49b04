"""JSON readings: a list of rows, {"readings": [...]}, or columns, decoded a column at a time.

A row is {"sensor": UUID, "time": RFC 3339 with zone, "value": number, "quality": integer or null}; columns are one
object of lists under the same names, in which one text as sensor is the sensor of all. Numbers are checked by their
JSON type, never converted from text; a field nobody knows is refused, because it is a misspelt one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from twins.exceptions import MalformedBody
from twins.sources.columns import kind, missing, sensors, short, times
from twins.sources.decoded import MAX_ROWS, DecodedReadings, Finding, Mask, check_rows, gather

_FIELDS = frozenset({"sensor", "time", "value", "quality"})
_NAMES = ("sensor", "time", "value", "quality")
_INT32 = 2**31

Rows = Sequence[Any]


def decode_json(body: bytes) -> DecodedReadings:
    """The readings of a JSON body; raises MalformedBody when it is not JSON or not such a list."""
    bound(body)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(_why_not_json(body, error)) from None
    if isinstance(document, dict) and _FIELDS >= document.keys() >= {"sensor", "time", "value"}:
        return _from_columns(document)
    if isinstance(document, dict) and set(document) == {"readings"}:
        document = document["readings"]
    if not isinstance(document, list):
        raise MalformedBody(
            'The body must be a JSON list of readings, {"readings": [...]} and nothing else, or lists under sensor, '
            "time, value and quality."
        )
    return from_rows(document)


def from_rows(
    rows: Rows, *, otherwise: Callable[[Any], str] | None = None, content: Callable[[int], str] | None = None
) -> DecodedReadings:
    """Readings of rows as JSON gives them. `otherwise` says what is wrong with one that is no object, `content` how it
    was sent."""
    check_rows(len(rows))
    shape = _shape(rows, otherwise or no_object)
    usable = [row if isinstance(row, dict) else {} for row in rows] if shape[0].any() else rows
    columns = [[row.get(name) for row in usable] for name in _NAMES]
    return _from_lists(columns, shape, content or (lambda index: _dumped(rows[index])))


def _from_columns(document: dict[str, Any]) -> DecodedReadings:
    lists = {name: value for name, value in document.items() if isinstance(value, list)}
    alone = sorted(set(document) - set(lists))
    rows = len(lists.get("value", ()))
    if alone and (alone != ["sensor"] or not isinstance(document["sensor"], str)):
        raise MalformedBody(f"The column {alone[0]!r} is {kind(document[alone[0]])}, not a list.")
    if uneven := [name for name, values in lists.items() if len(values) != rows]:
        raise MalformedBody(f"The column {uneven[0]!r} has {len(lists[uneven[0]])} rows, the column 'value' {rows}.")
    check_rows(rows)
    if "sensor" in alone:
        lists["sensor"] = [document["sensor"]] * rows
    columns = [lists.get(name) or [None] * rows for name in _NAMES]
    fine: Finding = (np.zeros(rows, bool), str)
    return _from_lists(columns, fine, lambda row: _dumped({name: lists[name][row] for name in _NAMES if name in lists}))


def _from_lists(columns: list[list[Any]], shape: Finding, content: Callable[[int], str]) -> DecodedReadings:
    names, sensor_finding = sensors(_strings(columns[0]), columns[0].__getitem__)
    time, time_finding = times(_strings(columns[1]), columns[1].__getitem__)
    value, value_finding = _values(columns[2])
    quality, quality_finding = _qualities(columns[3])
    findings = [shape, sensor_finding, time_finding, value_finding, quality_finding]
    return gather(names, time, value, quality, findings, content=content)


def bound(body: bytes) -> None:
    """Refuse by its commas and brackets what would become more objects in memory than any body needs."""
    if body.count(b"{") + body.count(b"[") > MAX_ROWS + 10 or body.count(b",") > 4 * MAX_ROWS + 10:
        raise MalformedBody(f"The body holds more than {MAX_ROWS} readings: send several bodies.")


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


def _shape(rows: Rows, otherwise: Callable[[Any], str]) -> Finding:
    """Rows that are not objects, or carry an unknown field; a missing one is None in its column and found there."""
    if set(map(type, rows)) == {dict} and set(chain.from_iterable(rows)) <= _FIELDS:
        bad = np.zeros(len(rows), bool)
    else:
        bad = np.fromiter((not isinstance(row, dict) or not row.keys() <= _FIELDS for row in rows), bool, len(rows))

    def reason(index: int) -> str:
        row = rows[index]
        if not isinstance(row, dict):
            return otherwise(row)
        unknown = min(set(row) - _FIELDS)
        return f"has the unknown field {short(unknown)}; known are sensor, time, value and quality"

    return bad, reason


def no_object(row: Any) -> str:
    """What to say of a row that is JSON but no object."""
    return f"is {kind(row)}, not an object with sensor, time and value"


def _values(values: list[Any]) -> tuple[np.ndarray, Finding]:
    bad = _other_than({float, int}, values)
    column = np.array(_blanked(values, bad, 0.0), dtype=np.float64)
    return column, (bad, lambda row: missing("value", values[row]) or f"value {short(values[row])} is not a number")


def _qualities(values: list[Any]) -> tuple[np.ndarray, Finding]:
    if set(map(type, values)) == {type(None)}:
        return np.zeros(len(values), np.int32), (np.zeros(len(values), bool), str)
    bad = np.fromiter((not _is_quality(value) for value in values), bool, len(values))
    column = np.array([value or 0 for value in _blanked(values, bad, 0)], np.int32)
    return column, (bad, lambda row: f"quality {short(values[row])} is not a whole number of 32 bits")


def _is_quality(value: Any) -> bool:
    return value is None or (type(value) is int and -_INT32 <= value < _INT32)


def _strings(values: list[Any]) -> pa.Array:
    """The texts, null where a value is none."""
    if set(map(type, values)) == {str}:
        return pa.array(values, pa.string())
    return pa.array([value if isinstance(value, str) else None for value in values], pa.string())


def _other_than(types: set[type], values: list[Any]) -> Mask:
    if set(map(type, values)) <= types:
        return np.zeros(len(values), bool)
    return np.fromiter((type(value) not in types for value in values), bool, len(values))


def _blanked(values: list[Any], bad: Mask, blank: Any) -> list[Any]:
    return [blank if wrong else value for value, wrong in zip(values, bad, strict=True)] if bad.any() else values


def _dumped(row: Any) -> str:
    try:
        return orjson.dumps(row).decode()
    except orjson.JSONEncodeError:
        return ""  # deeper than it is written, though it could be read
