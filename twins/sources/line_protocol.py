"""InfluxDB's line protocol, many lines at once.

Lines as machines write them (no escapes, no quotes, one space between the parts) are read by a compiled loop;
whatever is written otherwise goes through `one_line`, which knows the whole grammar and is the measure of both. A
sensor's name is "measurement,tag=value field" as it stands in the line, so that a known series costs one comparison of
bytes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from twins.exceptions import MalformedBody
from twins.ml.compiled import Beside
from twins.sources.columns import FIRST_US, LAST_US, instants
from twins.sources.decoded import MAX_ROWS, DecodedReadings, check_rows, gather
from twins.sources.one_line import LONGEST_NAME, LineError, parse_line

PRECISIONS = {
    "ns": 0, "n": 0, "us": 1, "u": 1, "µ": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000,
}  # fmt: skip
"""Microseconds in a unit of time, by the names that both versions of the protocol give it; 0 stands for nanoseconds."""

_FAR = 2**63 - 1
_MOST_MARKS = 16 * MAX_ROWS
_SEEDS = np.uint64(secrets.randbits(64)), np.uint64(secrets.randbits(64) | 1)


_loop = Beside("twins.sources.line_loop")


def compile_loop() -> None:
    """Wait until lines are read by the compiled loop."""
    _loop.start().join()


@dataclass(frozen=True)
class _Fields:
    """Readings by line, name (its number in `names`, -1 where the line is at fault), value and microseconds."""

    line: np.ndarray
    code: np.ndarray
    names: pa.Array
    value: np.ndarray
    time: np.ndarray


def decode_lines(body: bytes, *, precision: str = "ns", now: int) -> DecodedReadings:
    """The readings of lines, one a number. The index of a row is its line, counted from 0.

    `now`, microseconds since 1970, is the time of lines without any. Raises MalformedBody for bytes that are not UTF-8,
    for an unknown precision and for a body without lines, or with too many.
    """
    if precision not in PRECISIONS:
        raise MalformedBody(f"The precision {precision[:20]!r} is unknown: use ns, us, ms or s.")
    lines = _Lines(_checked(body))
    fields = _usual_fields(lines, PRECISIONS[precision], now)
    faults: dict[int, str] = {}
    if not lines.usual.all():
        fields, faults = _with_unusual(lines, fields, PRECISIONS[precision], now)
    check_rows(len(fields.line))
    time, time_finding = instants(fields.time)
    at_fault = fields.code < 0
    return gather(
        (fields.code, fields.names),
        time,
        fields.value,
        np.zeros(len(fields.line), np.int32),
        [(at_fault, lambda row: faults[int(fields.line[row])]), time_finding],
        content=lambda row: lines.text(int(fields.line[row])),
        places=fields.line,
    )


def _checked(body: bytes) -> bytes:
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise MalformedBody(f"The body is not UTF-8: byte {error.start} cannot be decoded.") from None
    return body if body.endswith(b"\n") else body + b"\n"


class _Lines:
    """A body, and of which of its lines the loop has read the fields."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.data = np.frombuffer(body, np.uint8)
        self.equals, commas, count = (int(np.count_nonzero(self.data == ord(mark))) for mark in "=,\n")
        if self.equals + commas + count > _MOST_MARKS:
            raise _too_many()
        self.usual = np.zeros(count, np.bool_)

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.flatnonzero(self.data == ord("\n"))

    def text(self, line: int) -> str:
        return self.body[int(self._ends[line - 1]) + 1 if line else 0 : int(self._ends[line])].decode()


def _too_many() -> MalformedBody:
    return MalformedBody(f"The body holds more than {MAX_ROWS} readings, or too many tags: send several bodies.")


def _usual_fields(lines: _Lines, unit: int, now: int) -> _Fields:
    """The fields of usual lines; of none as long as the loop is not compiled."""
    if (loop := _loop.ready()) is None:
        nothing = np.empty(0, np.int32)
        return _Fields(
            nothing, nothing, pa.array([], pa.string()), nothing.astype(np.float64), nothing.astype(np.int64)
        )
    most = min(lines.equals, MAX_ROWS) + 1
    fields, names = np.empty((most, 4), np.int32), np.empty((most, 4), np.int32)
    values, times, timed = np.empty(most, np.float64), np.empty(most, np.int64), np.empty(most, np.bool_)
    table = np.full(1 << (2 * most).bit_length(), -1, np.int32)
    count, known = loop.read_lines(
        lines.data, loop.KINDS, _SEEDS, LONGEST_NAME, lines.usual, fields, values, times, timed, names, table
    )
    if count == loop.TOO_MANY:
        raise _too_many()
    if count == loop.TOO_CLOSE:
        lines.usual[:] = False
        count = known = 0
    fields, values, timed = fields[:count], values[:count], timed[:count]
    time = _microseconds(times[:count], unit)
    if not timed.all():
        time = np.where(timed, time, now)
    texts = _spelt(loop, lines.data, names[:known])
    read = _Fields(fields[:, loop.LINE], fields[:, loop.CODE], texts, values, time)
    hard = np.flatnonzero(fields[:, loop.LAST])
    if not len(hard):
        return read
    numbers = _spelt(loop, lines.data, fields[hard, loop.FIRST :])
    return _with_careful(lines, read, hard, numbers.cast(pa.float64()).to_numpy())


def _spelt(loop: Any, data: np.ndarray, spans: np.ndarray) -> pa.StringArray:
    """What stands at the spans of each row, with spaces between: "series field" of names."""
    spans = np.ascontiguousarray(spans)
    begins, ends = spans[:, 0::2], spans[:, 1::2]
    text = np.empty(int((ends - begins).sum()) + begins.size, np.uint8)
    offsets = np.empty(len(spans) + 1, np.int32)
    loop.spell(data, spans, text, offsets)
    return pa.StringArray.from_buffers(len(spans), pa.py_buffer(offsets), pa.py_buffer(text[: offsets[-1]]))


def _with_careful(lines: _Lines, read: _Fields, rows: np.ndarray, numbers: np.ndarray) -> _Fields:
    """With the numbers that the loop has left alone; a line that has one beyond all bounds is no longer usual."""
    read.value[rows] = numbers
    beyond = ~np.isfinite(read.value)
    if not beyond.any():
        return read
    lines.usual[read.line[beyond]] = False
    kept = lines.usual[read.line]
    used, code = np.unique(read.code[kept], return_inverse=True)
    return _Fields(
        read.line[kept], code.astype(np.int32), read.names.take(pa.array(used)), read.value[kept], read.time[kept]
    )


def _microseconds(stamp: np.ndarray, unit: int) -> np.ndarray:
    if not unit:
        return stamp // 1_000
    # A product that would overflow is as far away as one that only leaves the calendar.
    return np.clip(stamp, FIRST_US // unit - 1, LAST_US // unit + 1) * unit


def _with_unusual(lines: _Lines, usual: _Fields, unit: int, now: int) -> tuple[_Fields, dict[int, str]]:
    """The fields of all lines in their order, and what is wrong with lines by their number; each is one field."""
    names = {name: code for code, name in enumerate(usual.names.to_pylist())}
    faults: dict[int, str] = {}
    rows: list[tuple[int, int, float, int | None]] = []
    for line in np.flatnonzero(~lines.usual).tolist():
        text = lines.text(line)
        if not text.strip() or text.lstrip()[0] == "#":
            continue
        try:
            parsed = parse_line(text)
        except LineError as error:
            faults[line] = str(error)
            rows.append((line, -1, 0.0, None))
            continue
        rows += [
            (line, names.setdefault(f"{parsed.series} {field}", len(names)), number, parsed.time)
            for field, number in parsed.fields
        ]
    where, code, value = (
        np.array([row[n] for row in rows], kind) for n, kind in enumerate((np.int32, np.int32, np.float64))
    )
    # A number that 64 bits do not hold is as far away as one that only leaves the calendar.
    stamp = np.array([0 if row[3] is None else max(-_FAR, min(row[3], _FAR)) for row in rows], np.int64)
    untimed = np.array([row[3] is None for row in rows], np.bool_)
    time = np.where(untimed, now, _microseconds(stamp, unit))
    order = np.argsort(np.concatenate([usual.line, where]), kind="stable")
    joined = [
        np.concatenate(pair)[order]
        for pair in ((usual.line, where), (usual.code, code), (usual.value, value), (usual.time, time))
    ]
    return _Fields(joined[0], joined[1], pa.array(list(names), pa.string()), joined[2], joined[3]), faults
