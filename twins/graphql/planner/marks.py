"""What no statement tells, put into what one has written: all rows of all equal fields are told at once.

The statement leaves a mark where an object belongs. The character around a mark is written as an escape within every
text of JSON, so nothing that the register holds can be taken for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from graphql.execution.values import VariableValues

from twins.graphql.planner.mapping import Chosen, Later
from twins.graphql.planner.selected import Selected
from twins.graphql.planner.text import Binding, Seen

_AROUND = "\x01"


class Mark(NamedTuple):
    """A field whose objects are told later."""

    mapping: Later
    selected: Selected
    chosen: Chosen


def mark_sql(number: int, row: str) -> str:
    """The mark of a row for the field of this number."""
    return f"chr({ord(_AROUND)}) || '{number}:' || {row}.id || chr({ord(_AROUND)})"


def told(text: str, marks: Sequence[Mark], variables: VariableValues, now: datetime) -> bytes:
    """The text with what its marks stand for; raises GraphQLError, TwinsError."""
    pieces = text.encode().split(_AROUND.encode())
    left = [tuple(map(int, piece.split(b":"))) for piece in pieces[1::2]]
    binding = Binding(variables, seen=Seen(), hot=False)
    rows: dict[int, list[int]] = {}
    for number, row in left:
        rows.setdefault(number, []).append(row)
    keys = {number: (marks[number].mapping.tell, _key(marks[number].selected.keywords(binding))) for number in rows}
    wanted: dict[Any, set[int]] = {}
    for number, key in keys.items():
        wanted.setdefault(key, set()).update(rows[number])
    found = {key: key[0](sorted(some), dict(key[1]), now) for key, some in wanted.items()}
    written = {
        number: iter(marks[number].mapping.write([found[key][row] for row in rows[number]], marks[number].chosen))
        for number, key in keys.items()
    }
    pieces[1::2] = [next(written[number]) for number, _ in left]
    return b"".join(pieces)


def _key(arguments: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(arguments.items()))
