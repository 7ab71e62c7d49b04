"""InfluxDB's line protocol, many lines at once.

Lines as machines write them (no escapes, no quotes, one space between the parts) are taken apart by arithmetic on
the positions of their separators; whatever is written otherwise goes through `one_line`, which knows the whole grammar
and is the measure of both. A sensor's name is "measurement,tag=value field" as it stands in the line, so that a known
series costs one comparison of bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twins.exceptions import MalformedBody
from twins.sources.columns import FIRST_US, LAST_US, instants
from twins.sources.decoded import MAX_ROWS, DecodedReadings, check_rows, gather
from twins.sources.one_line import LineError, parse_line

PRECISIONS = {
    "ns": 0, "n": 0, "us": 1, "u": 1, "µ": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000,
}  # fmt: skip
"""Microseconds in a unit of time, by the names that both versions of the protocol give it; 0 stands for nanoseconds."""

_FAR = 2**63 - 1
_MOST_TOKENS = 16 * MAX_ROWS
_UNUSUAL = (b"\\", b'"', b"#", b"\t", b"\r")
_COMMA, _EQUALS, _SPACE, _NEWLINE = range(4)
_NONE = 4
_CLASS = bytes(b",= \n".find(bytes([one])) % 5 for one in range(256))  # what is not found is -1, so _NONE


def _grammar() -> np.ndarray:
    """Which separator may follow which, by the part of the line (series, fields, time, beyond) between them: by the
    part in the two highest of six bits, then the first and then the second separator."""
    follows = np.zeros((4, 4, 4), np.bool_)
    follows[0, _NEWLINE, [_COMMA, _SPACE]] = True
    follows[0, _COMMA, _EQUALS] = True
    follows[0, _EQUALS, [_COMMA, _SPACE]] = True
    follows[1, [_SPACE, _COMMA], _EQUALS] = True
    follows[1, _EQUALS, [_COMMA, _SPACE, _NEWLINE]] = True
    follows[2, _SPACE, _NEWLINE] = True
    return follows.ravel()


_FOLLOWS = _grammar()


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
    tokens = _Tokens(_checked(body))
    fields = _usual_fields(tokens, PRECISIONS[precision], now)
    faults: dict[int, str] = {}
    if not tokens.usual.all():
        fields, faults = _with_unusual(tokens, fields, PRECISIONS[precision], now)
    check_rows(len(fields.line))
    time, time_finding = instants(fields.time)
    at_fault = fields.code < 0
    return gather(
        (fields.code, fields.names),
        time,
        fields.value,
        np.zeros(len(fields.line), np.int32),
        [(at_fault, lambda row: faults[int(fields.line[row])]), time_finding],
        content=lambda row: tokens.text(int(fields.line[row])),
        places=fields.line,
    )


def _checked(body: bytes) -> bytes:
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise MalformedBody(f"The body is not UTF-8: byte {error.start} cannot be decoded.") from None
    return body if body.endswith(b"\n") else body + b"\n"


def _check_size(tokens: int) -> None:
    if tokens > _MOST_TOKENS:
        raise MalformedBody(f"The body holds more than {MAX_ROWS} readings, or too many tags: send several bodies.")


class _Tokens:
    """The separators of a body: where they are, what they are, in which line and after which part of it."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.data = np.frombuffer(body, np.uint8)
        kinds = np.frombuffer(body.translate(_CLASS), np.uint8)
        self.at = np.flatnonzero(kinds != _NONE)
        _check_size(len(self.at))
        self.kind = kinds[self.at]
        last = np.flatnonzero(self.kind == _NEWLINE)
        self.line = np.repeat(np.arange(len(last), dtype=np.int32), np.diff(last, prepend=-1))
        self.ends = self.at[last]
        self.starts = np.append(0, self.ends[:-1] + 1)
        space = self.kind == _SPACE
        spaces = np.cumsum(space, dtype=np.int32)
        before = np.append(np.int32(0), spaces[last[:-1]])
        self.part = np.minimum(spaces - space - before[self.line], 3).astype(np.uint8)
        self.usual = self._usual()

    def _usual(self) -> np.ndarray:
        usual = np.ones(len(self.ends), np.bool_)
        step = (self.part << 4) | self.kind
        step[0] |= _NEWLINE << 2
        step[1:] |= self.kind[:-1] << 2
        fits = _FOLLOWS[step]
        fits[0] &= self.at[0] > 0
        fits[1:] &= self.at[1:] - self.at[:-1] > 1
        if not fits.all():
            usual[self.line[~fits]] = False
        if any(sign in self.body for sign in _UNUSUAL):
            unusual = np.flatnonzero(np.isin(self.data, np.frombuffer(b"".join(_UNUSUAL), np.uint8)))
            usual[np.searchsorted(self.ends, unusual)] = False
        return usual

    def between(self, first: np.ndarray, last: np.ndarray) -> pa.Array:
        """The bytes from each position of `first` to before that of `last`; both grow and do not overlap."""
        offsets = np.empty(2 * len(first), np.int32)
        offsets[0::2], offsets[1::2] = first, last
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(self.body)]
        # Every other piece is what lies between two of them.
        pieces = pa.Array.from_buffers(pa.binary(), max(2 * len(first) - 1, 0), buffers)
        return pieces.take(pa.array(np.arange(0, 2 * len(first), 2)))

    def text(self, line: int) -> str:
        return self.body[self.starts[line] : self.ends[line]].decode()


def _usual_fields(tokens: _Tokens, unit: int, now: int) -> _Fields:
    """The fields of usual lines; a line whose numbers are written in another way is no longer usual."""
    within = tokens.part == 1
    if not tokens.usual.all():
        within &= tokens.usual[tokens.line]
    equals = np.flatnonzero(within & (tokens.kind == _EQUALS))
    stamps = np.flatnonzero(within & (tokens.kind == _SPACE))
    value, good = _numbers(tokens, tokens.at[equals] + 1, tokens.at[equals + 1])
    stamp, timed = _integers(tokens, tokens.at[stamps] + 1, tokens.at[stamps + 1])
    time = np.full(len(tokens.ends), now)
    time[tokens.line[stamps]] = _microseconds(stamp, unit)
    if not (good.all() and timed.all()):
        tokens.usual[tokens.line[equals[~good]]] = False
        tokens.usual[tokens.line[stamps[~timed]]] = False
        kept = tokens.usual[tokens.line[equals]]
        equals, value = equals[kept], value[kept]
    line = tokens.line[equals]
    names = _names(tokens, equals, line)
    code = names.indices.to_numpy()
    return _Fields(line, code, names.dictionary.cast(pa.string()), value, time[line])


def _names(tokens: _Tokens, equals: np.ndarray, line: np.ndarray) -> pa.DictionaryArray:
    """ "series field" of each field, dictionary encoded."""
    if not len(line) or (np.diff(line) > 0).all():
        # One field a line: its name is the line up to the equals sign.
        return pc.dictionary_encode(tokens.between(tokens.starts[line], tokens.at[equals]))
    first = np.append(True, line[1:] > line[:-1])
    series = pc.dictionary_encode(tokens.between(tokens.starts[line[first]], tokens.at[equals[first] - 1]))
    field = pc.dictionary_encode(tokens.between(tokens.at[equals - 1] + 1, tokens.at[equals]))
    width = len(field.dictionary)
    pair = series.indices.to_numpy()[np.cumsum(first) - 1].astype(np.int64) * width + field.indices.to_numpy()
    known, code = np.unique(pair, return_inverse=True)
    names = pc.binary_join_element_wise(
        series.dictionary.take(pa.array(known // width)), field.dictionary.take(pa.array(known % width)), b" "
    )
    return pa.DictionaryArray.from_arrays(pa.array(code.astype(np.int32)), names)


def _numbers(tokens: _Tokens, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Floating point numbers, and integers by their i or u; False beside whatever is written in another way."""
    ending = tokens.data[last - 1]
    whole = ((ending == ord("i")) | (ending == ord("u"))) & (last - first > 1)
    value, good = _floats(tokens.between(first, last - whole))
    if whole.any():
        marked = np.flatnonzero(whole)
        # What is unsigned has no sign.
        good[marked] &= (tokens.data[last[marked] - 1] == ord("i")) | (tokens.data[first[marked]] != ord("-"))
        good[marked] &= _integers(tokens, first[marked], last[marked] - 1)[1]
    return value, good


def _floats(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    texts = texts.cast(pa.string())
    try:
        value = texts.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        good = pc.match_substring_regex(texts, r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$")
        value = pc.if_else(good, texts, "0").cast(pa.float64()).to_numpy()
        return value, good.to_numpy(zero_copy_only=False) & np.isfinite(value)
    # The library also knows names of what is no number.
    return value, np.isfinite(value)


def _integers(tokens: _Tokens, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    texts = tokens.between(first, last).cast(pa.string())
    good = (tokens.data[first + 1] | 32) != ord("x")  # the library also reads 0x10
    try:
        return texts.cast(pa.int64()).to_numpy(), good
    except pa.ArrowInvalid:
        plain = pc.match_substring_regex(texts, r"^-?[0-9]{1,18}$")
        value = pc.if_else(plain, texts, "0").cast(pa.int64()).to_numpy()
        return value, plain.to_numpy(zero_copy_only=False)


def _microseconds(stamp: np.ndarray, unit: int) -> np.ndarray:
    if not unit:
        return stamp // 1_000
    # A product that would overflow is as far away as one that only leaves the calendar.
    return np.clip(stamp, FIRST_US // unit - 1, LAST_US // unit + 1) * unit


def _with_unusual(tokens: _Tokens, usual: _Fields, unit: int, now: int) -> tuple[_Fields, dict[int, str]]:
    """The fields of all lines in their order, and what is wrong with lines by their number; each is one field."""
    names = {name: code for code, name in enumerate(usual.names.to_pylist())}
    faults: dict[int, str] = {}
    rows: list[tuple[int, int, float, int | None]] = []
    for line in np.flatnonzero(~tokens.usual).tolist():
        text = tokens.text(line)
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
