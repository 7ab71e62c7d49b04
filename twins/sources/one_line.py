"""One line of InfluxDB's line protocol, by the whole grammar: escapes, quoted texts, every kind of number.

    measurement[,tag=value...] field=value[,field=value...] [time]

A backslash before a comma, an equals sign or a space makes it part of a name; in a quoted text only the quote and the
backslash are escaped. https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Possessive: what was once taken is not tried again, so that a long text costs no memory.
_NAME = r"(?:\\.|[^\\, =])++"
_MEASUREMENT = re.compile(r"(?:\\.|[^\\, ])++")
_TAG = re.compile(rf",({_NAME})=({_NAME})")
_FIELD = re.compile(rf"({_NAME})=(\"(?:\\.|[^\\\"])*+\"|[^ ,\"]++)")
_TIME = re.compile(r" +(-?[0-9]{1,19})?[ \r]*$")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$")
_INTEGER = re.compile(r"([+-]?[0-9]+)i$|([0-9]+)u$")
_TRUTH = {"t": 1.0, "T": 1.0, "true": 1.0, "True": 1.0, "TRUE": 1.0} | {
    "f": 0.0, "F": 0.0, "false": 0.0, "False": 0.0, "FALSE": 0.0,
}  # fmt: skip
_ESCAPED = re.compile(r"\\([, =])")


LONGEST = 65_536
"""Characters in a line."""
LONGEST_NAME = 1_000
"""Bytes of a series with one field: each field of a line repeats the series."""


class LineError(ValueError):
    """A line that is no line protocol, and where."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line's series as it stands there, its numbers by the field as it stands there, and its time; truth is 1 or 0.

    A text beside numbers is a remark on them and is left out.
    """

    series: str
    fields: tuple[tuple[str, float], ...]
    time: int | None


@dataclass(frozen=True, slots=True)
class Series:
    """A series and field with their names as they are meant."""

    measurement: str
    tags: dict[str, str]
    field: str


def parse_line(text: str) -> Line:
    """Raises LineError for what is no line, or has no number."""
    if len(text) > LONGEST:
        raise LineError(f"has {len(text)} characters, more than {LONGEST}: send its fields in several lines")
    at = _series_end(text)
    series = text[:at]
    fields, at = _fields(text, at + len(text[at:]) - len(text[at:].lstrip(" ")))
    time = _TIME.match(text, at) if text[at:].strip(" \r") else None
    if time is None and text[at:].strip(" \r"):
        raise LineError(f"has {text[at:].strip()[:40]!r} at character {at + 1} where its time should stand")
    if not fields:
        raise LineError("has no number, only text")
    if (most := max(len(f"{series} {field}".encode()) for field, _ in fields)) > LONGEST_NAME:
        raise LineError(f"has a series and field of {most} bytes, more than {LONGEST_NAME}: shorten its tags")
    return Line(series, tuple(fields), int(time[1]) if time else None)


def parse_series(name: str) -> Series:
    """The parts of "measurement,tag=value field", whose names may be escaped; raises LineError."""
    at = _series_end(name)
    measurement = _MEASUREMENT.match(name)
    if measurement is None:
        raise LineError("has no measurement")
    tags = {_plain(key): _plain(value) for key, value in _TAG.findall(name[measurement.end() : at])}
    return Series(_plain(measurement[0]), tags, _plain(name[at + 1 :]))


def _series_end(text: str) -> int:
    measurement = _MEASUREMENT.match(text)
    if measurement is None:
        raise LineError("has no measurement")
    at = measurement.end()
    while tag := _TAG.match(text, at):
        at = tag.end()
    if text[at : at + 1] != " ":
        raise LineError(f"has no fields: a space was expected at character {at + 1}")
    return at


def _fields(text: str, at: int) -> tuple[list[tuple[str, float]], int]:
    found = []
    while True:
        field = _FIELD.match(text, at)
        if field is None:
            raise LineError(f"has no field=value at character {at + 1}")
        number = _number(field[2])
        if number is not None:
            found.append((field[1], number))
        at = field.end()
        if text[at : at + 1] != ",":
            return found, at
        at += 1


def _number(text: str) -> float | None:
    """None for a quoted text."""
    if text[0] == '"':
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if whole := _INTEGER.match(text):
        return float(whole[1] or whole[2])
    if _FLOAT.match(text):
        return float(text)
    raise LineError(f"has the value {text[:40]!r}, which is no number, truth value or quoted text")


def _plain(name: str) -> str:
    return _ESCAPED.sub(r"\1", name) if "\\" in name else name
