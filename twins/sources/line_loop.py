"""The compiled loop of line protocol: every byte of a body once. Importing this loads the compiler.

It takes lines as machines write them: no escapes, no quotes, one space between the parts, plain numbers. A line that is
anything else it leaves to whoever knows the whole grammar. Names are told apart by a table, by a hash that nobody
outside can foresee; a name that meets too many others there makes its line one of those.
"""

# ruff: noqa: PLR0917, SIM110 (compiled functions take arrays by position, and loops cost them nothing)

from __future__ import annotations

import numpy as np

from twins.ml.compiled import compiled, compiled_at_once
from twins.sources.wide import eight, four

NEW = ord("\n")
PLAIN, COMMA, EQUALS, SPACE, NEWLINE, UNUSUAL = range(6)
KINDS = np.zeros(256, np.uint8)
"""What a byte is to the loop."""
KINDS[np.frombuffer(b",= \n", np.uint8)] = COMMA, EQUALS, SPACE, NEWLINE
KINDS[np.frombuffer(b'\\"#\t\r', np.uint8)] = UNUSUAL
_POWERS = 10.0 ** np.arange(23)  # every one of them exact
_MOST_PROBES = 64
TOO_MANY, TOO_CLOSE = -1, -2
"""There are more fields than places for them; or names lie so close in the table that it is none."""
_DIGITS = 18
_EXACT = 2**53


# Columns of a field: its line, the number of its name, where its value begins and ends if it is left to others.
LINE, CODE, FIRST, LAST = range(4)
# Columns of a name: where its series and its field begin and end, first seen.
SERIES, SERIES_END, FIELD, FIELD_END = range(4)


@compiled_at_once
def _byte(data, at):  # type: ignore[no-untyped-def]
    # Of a number with a sign the compiler asks each time whether it counts from the end.
    return data[np.uint64(at)]


@compiled(
    "Array(uint8, 1, 'C', readonly=True), uint8[::1], UniTuple(uint64, 2), int64, boolean[::1], int32[:, ::1], "
    "float64[::1], int64[::1], boolean[::1], int32[:, ::1], int32[::1]"
)
def read_lines(data, kinds, seeds, longest, usual, fields, values, times, timed, names, table):  # type: ignore[no-untyped-def]
    """Fill `fields` [most, 4], `values`, `times`, `timed` [most] and `names` [most, 4]; how many of each there are, or
    TOO_MANY or TOO_CLOSE. `usual` says of each line whether it was read; `times` are numbers as they stand there.

    `seeds` are two secret numbers, the second odd. `table` is for names of at most `longest` bytes: as long as a power
    of two, twice `most` at least, filled with -1.
    """
    count = known = at = following = 0
    for line in range(len(usual)):
        begun, end, stamp, has_stamp = count, at, 0, False
        if following < known:
            end, count = _as_before(data, kinds, at, line, following, known, count, fields, values, names)
        good = told = count > begun
        if not told:
            count, end = begun, at
            space = _series_end(data, kinds, at)
            if space:
                end, count = _fields(data, kinds, space + 1, count, fields, values)
            good = count > begun and _fit(space - at, begun, count, fields, longest)
        if count >= len(fields):
            return TOO_MANY, 0
        if good:
            end, stamp, has_stamp, good = _stamp(data, end)
        if good:
            times[begun:count], timed[begun:count] = stamp, has_stamp
            if not told:
                known = _name(data, seeds, at, space, line, begun, count, fields, names, known, table)
                if known < 0:
                    return TOO_CLOSE, 0
            following = (fields[count - 1, CODE] + 1) % known
        else:
            count = begun
            while _byte(data, end) != NEW:
                end += 1
        usual[line] = good
        at = end + 1
    return count, known


@compiled_at_once
def _as_before(data, kinds, at, line, code, known, count, fields, values, names):  # type: ignore[no-untyped-def]
    """Read the fields of a line whose first name is the one with number `code`; where they end, and how many there are
    then, 0 when it is not, or anything is unusual.

    Machines send the same names in the same order again and again: then to compare them is all they cost.
    """
    series = names[code, SERIES]
    if names[code, FIELD] != names[code, SERIES_END] + 1:
        return at, 0
    first = series
    while True:
        # With the equals sign: what is the same bytes in the same place is the same name.
        size = names[code, FIELD_END] + 1 - first
        if at + size >= len(data) or count == len(fields) or not _same(data, at, at + size, first, first + size):
            return at, 0
        at, good = _number(data, at + size, count, fields, values)
        if not good:
            return at, 0
        fields[count, LINE], fields[count, CODE] = line, code
        count += 1
        kind = kinds[_byte(data, at)]
        if kind != COMMA:
            return at, count if kind in (SPACE, NEWLINE) else 0
        at, code = at + 1, code + 1
        if code == known or names[code, SERIES] != series:
            return at, 0
        first = names[code, FIELD]


@compiled_at_once
def _series_end(data, kinds, at):  # type: ignore[no-untyped-def]
    """Where the space after measurement and tags stands, 0 when they are not usual."""
    before, token = NEWLINE, at
    while True:
        kind = kinds[_byte(data, at)]
        if kind != PLAIN:
            if at == token or kind >= NEWLINE or (kind == EQUALS) != (before == COMMA):
                return 0
            if kind == SPACE:
                return at
            before, token = kind, at + 1
        at += 1


@compiled_at_once
def _fields(data, kinds, at, count, fields, values):  # type: ignore[no-untyped-def]
    """Read field=value up to what ends them; where that stands, and how many there are then, 0 when one is unusual.

    In `fields` the bounds of a field's name stand for the moment where its number will."""
    while True:
        token = at
        while kinds[_byte(data, at)] == PLAIN:
            at += 1
        if kinds[_byte(data, at)] != EQUALS or at == token or count == len(fields):
            return at, count if count == len(fields) else 0
        fields[count, LINE], fields[count, CODE] = token, at
        at, good = _number(data, at + 1, count, fields, values)
        if not good:
            return at, 0
        count += 1
        kind = kinds[_byte(data, at)]
        if kind != COMMA:
            return at, count if kind in (SPACE, NEWLINE) else 0
        at += 1


@compiled_at_once
def _number(data, at, count, fields, values):  # type: ignore[no-untyped-def]
    """Read a number; where it ends, and whether it is one. One that needs care is left between FIRST and LAST."""
    first = at
    negative = _byte(data, at) == ord("-")
    if negative or _byte(data, at) == ord("+"):
        at += 1
    whole, digits, point = np.uint64(0), 0, -1
    while True:
        byte = _byte(data, at)
        if ord("0") <= byte <= ord("9"):
            if digits < _DIGITS:
                whole = whole * np.uint64(10) + np.uint64(byte - ord("0"))
            digits += 1
        elif byte == ord(".") and point < 0:
            point = digits
        else:
            break
        at += 1
    if digits == 0:
        return at, False
    scale = 0 if point < 0 else digits - point
    hard = digits > _DIGITS or whole > np.uint64(_EXACT) or scale > 22
    raised = byte in (ord("e"), ord("E"))
    if raised:
        hard, at = True, _power_end(data, at + 1)
        if at == 0:
            return first, False
    fields[count, FIRST], fields[count, LAST] = (first, at) if hard else (0, 0)
    # Both are exact, so that what is divided once is rounded once.
    value = 0.0 if hard else np.float64(whole) / _POWERS[scale]
    values[count] = -value if negative else value
    if _byte(data, at) in (ord("i"), ord("u")):
        if point >= 0 or raised or (_byte(data, at) == ord("u") and _byte(data, first) in (ord("-"), ord("+"))):
            return at, False
        at += 1
    return at, True


@compiled_at_once
def _power_end(data, at):  # type: ignore[no-untyped-def]
    """Where the power of ten ends, 0 when there is none."""
    if _byte(data, at) in (ord("-"), ord("+")):
        at += 1
    first = at
    while ord("0") <= _byte(data, at) <= ord("9"):
        at += 1
    return at if at > first else 0


@compiled_at_once
def _stamp(data, at):  # type: ignore[no-untyped-def]
    """Read a space and a time, or nothing, up to the end of a line: its end, the time, whether there is one, and
    whether all is well."""
    if _byte(data, at) == NEW:
        return at, 0, False, True
    at += 1
    negative = _byte(data, at) == ord("-")
    at += negative
    first, stamp = at, 0
    while ord("0") <= _byte(data, at) <= ord("9") and at - first < _DIGITS:
        stamp = stamp * 10 + (_byte(data, at) - ord("0"))
        at += 1
    return at, -stamp if negative else stamp, True, at > first and _byte(data, at) == NEW


@compiled_at_once
def _fit(series, begun, count, fields, longest):  # type: ignore[no-untyped-def]
    """Whether no name of a line is too long."""
    for field in range(begun, count):
        if series + 1 + fields[field, CODE] - fields[field, LINE] > longest:
            return False
    return True


@compiled_at_once
def _name(data, seeds, at, space, line, begun, count, fields, names, known, table):  # type: ignore[no-untyped-def]
    """Number the names of a line's fields; how many names there are then, below 0 when one has no place."""
    seed, factor = seeds
    series = _hashed(data, at, space, seed, factor)
    for field in range(begun, count):
        first, last = fields[field, LINE], fields[field, CODE]
        hashed = _hashed(data, first, last, series, factor)
        code = _found(data, at, space, first, last, hashed, names, known, table)
        if code < 0:
            return TOO_CLOSE
        if code == known:
            names[known, SERIES], names[known, SERIES_END] = at, space
            names[known, FIELD], names[known, FIELD_END] = first, last
            known += 1
        fields[field, LINE], fields[field, CODE] = line, code
    return known


@compiled_at_once
def _hashed(data, first, last, hashed, factor):  # type: ignore[no-untyped-def]
    """A hash of some bytes that goes on from one before; `factor` is odd, and a secret like where it began.

    Four bytes at a time, not eight: nobody who writes names changes the highest bit, of which every odd factor makes
    the same.
    """
    while first + 4 <= last:
        hashed = (hashed ^ four(data, first)) * factor
        hashed ^= hashed >> np.uint64(29)
        first += 4
    while first < last:
        hashed = (hashed ^ np.uint64(_byte(data, first))) * factor
        hashed ^= hashed >> np.uint64(29)
        first += 1
    return hashed


@compiled_at_once
def _found(data, at, space, first, last, hashed, names, known, table):  # type: ignore[no-untyped-def]
    """The number of a name, `known` when it is new and has a place in the table now."""
    mask = np.uint64(len(table) - 1)
    for probe in range(_MOST_PROBES):
        place = np.int64((hashed + np.uint64(probe)) & mask)
        code = table[place]
        if code < 0:
            table[place] = known
            return known
        if _same(data, at, space, names[code, SERIES], names[code, SERIES_END]) and _same(
            data, first, last, names[code, FIELD], names[code, FIELD_END]
        ):
            return code
    return TOO_CLOSE


@compiled_at_once
def _same(data, first, last, begin, end):  # type: ignore[no-untyped-def]
    if last - first != end - begin:
        return False
    while first + 8 <= last:
        if eight(data, first) != eight(data, begin):
            return False
        first, begin = first + 8, begin + 8
    while first < last:
        if _byte(data, first) != _byte(data, begin):
            return False
        first, begin = first + 1, begin + 1
    return True


@compiled("Array(uint8, 1, 'C', readonly=True), int32[:, ::1], uint8[::1], int32[::1]")
def spell(data, spans, text, offsets):  # type: ignore[no-untyped-def]
    """Write rows of `spans`, where pieces begin and end in turns, into `text`, with a space between pieces of a row;
    `offsets` [rows + 1] say where each row begins."""
    at = offsets[0] = 0
    for row in range(len(spans)):
        for piece in range(0, spans.shape[1], 2):
            if piece:
                text[at] = ord(" ")
                at += 1
            for place in range(spans[row, piece], spans[row, piece + 1]):
                text[at] = _byte(data, place)
                at += 1
        offsets[row + 1] = at


def try_out() -> None:
    """Read a line, and be compiled."""
    data = np.frombuffer(b"m,a=b f=1.5 7\n", np.uint8)
    places = [np.empty((3, 4), np.int32), np.empty(3), np.empty(3, np.int64), np.empty(3, np.bool_)]
    names, table = np.empty((3, 4), np.int32), np.full(8, -1, np.int32)
    read_lines(data, KINDS, (np.uint64(1), np.uint64(3)), 100, np.zeros(1, np.bool_), *places, names, table)
    spell(data, names[:1], np.empty(7, np.uint8), np.empty(2, np.int32))
