"""From rows to values: each cell is read for its column, and what cannot be read is remembered for its row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from django.db import models

from assets.exceptions import UnreadableFile
from assets.importing.names import Name
from assets.importing.rows import Row
from assets.importing.tables import KEY_HEADER, KIND_HEADER, TABLES, Column, Link, Part, Period, Table, Values
from assets.importing.values import BadCell, CellReader, plain, text
from assets.models import ParameterDefinition, ParameterKind

_REMEMBERED: Final = 50_000
"""Cells of one column whose values are remembered: most columns repeat a few."""


@dataclass(slots=True)
class Reading:
    """What one row says, and what is wrong with it."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    """Value by field; only of columns that the file has. None: the cell is empty."""
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of JSON fields: value by name."""
    names: dict[str, Name] = field(default_factory=dict)
    """Name of another record by the field that refers to it."""
    told: set[str] = field(default_factory=set)
    """Fields whose other record the file tells, be it that there is none; a site alone tells nothing."""
    keys: dict[str, str | None] = field(default_factory=dict)
    """External key of another record, likewise; None takes the reference away."""
    periods: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The ends that the file gives, by field: `lower` and `upper`."""
    linked: dict[str, Any] = field(default_factory=dict)
    """The other record by the field that refers to it, once it is found."""
    key: str | None = None
    kind: str = ""
    column: str = ""
    refusal: str = ""

    def refuse(self, column: str, reason: str) -> None:
        """Remember the first thing that is wrong."""
        if not self.refusal:
            self.column, self.refusal = column, reason


_OWN_KEY: Final = {KEY_HEADER: "key", KIND_HEADER: "kind"}
_NO_KEY: Final = {KEY_HEADER: None, KIND_HEADER: ""}

Taker = Callable[[Reading, Any], None]
"""Puts what a cell says into what is read of its row; raises BadCell."""


class TableReader:
    """Reads the rows of one table."""

    def __init__(self, table: Table, cells: CellReader) -> None:
        self.table = table
        self._cells = cells
        self._parts = table.headers
        self._takers: dict[str, Taker] = {}
        self._kinds = _declared_kinds(table)

    def read(self, row: Row) -> Reading:
        """What a row says; raises UnreadableFile for a header that the table does not have."""
        found = Reading(row.number)
        for header, cell in row.cells.items():
            take = self._takers.get(header)
            if take is None:
                take = self._takers[header] = self._taker(header)
            try:
                take(found, cell)
            except BadCell as error:
                found.refuse(header, str(error))
        return found

    def _taker(self, header: str) -> Taker:
        """What takes the cells under a header; made once, because a file has many rows and few headers."""
        prefix, dot, name = header.partition(".")
        part = self._parts.get(f"{prefix}." if dot else header) or self._parts.get(f"{header}.")
        match part:
            case Column():
                target: Any = self.table.model._meta.get_field(part.field)
                return _into("values", part.field, _remembering(lambda cell: self._cells.read(target, cell)))
            case Values():
                return lambda found, cell: found.entries.setdefault(part.field, {}).update(
                    self._entries(part, name, cell)
                )
            case Link() if header == part.key:
                return _key_taker(part.field)
            case Link():
                return self._name_taker(header)
            case Period():
                return self._instant_taker(part, "lower" if header == part.start else "upper")
            case None if header in _OWN_KEY:
                return lambda found, cell: setattr(found, _OWN_KEY[header], _optional(cell) or _NO_KEY[header])
        raise UnreadableFile(_unknown(self.table, header))

    def _instant_taker(self, part: Period, end: str) -> Taker:
        def take(found: Reading, cell: Any) -> None:
            instant = plain(cell)
            found.periods.setdefault(part.field, {})[end] = instant and self._cells.instant(instant)

        return take

    def _name_taker(self, header: str) -> Taker:
        """A header may be part of several names: the site of an asset is that of its parent."""
        read = _remembering(_optional)
        places = [
            (link.field, place, (None,) * len(link.headers))
            for link in self.table.parts
            if isinstance(link, Link)
            for place, each in enumerate(link.headers.values())
            if each == header
        ]

        def take(found: Reading, cell: Any) -> None:
            written = read(cell)
            for target, place, empty in places:
                name = found.names.get(target, empty)
                found.names[target] = (*name[:place], written, *name[place + 1 :])
                if place == 0:
                    found.told.add(target)

        return take

    def _entries(self, part: Values, name: str, cell: Any) -> dict[str, Any]:
        if name:
            return {name: self._entry(part, name, cell)}
        if not isinstance(cell, dict | None):
            raise BadCell(f"it must be an object, or one column {part.prefix}.NAME for each value")
        return {str(key): self._entry(part, str(key), value) for key, value in (cell or {}).items()}

    def _entry(self, part: Values, name: str, cell: Any) -> Any:
        cell = plain(cell)
        kind = self._kinds.get((part.field, name))
        if kind == ParameterKind.NUMBER and isinstance(cell, str):
            return self._cells.read(models.FloatField(), cell)
        if kind == ParameterKind.BOOLEAN and cell is not None:
            return self._cells.read(models.BooleanField(), cell)
        if isinstance(cell, str) and cell[0] in "{[":
            with suppress(orjson.JSONDecodeError):  # as exports write what has parts
                return orjson.loads(cell)
        return text(cell) if isinstance(cell, str) else cell


def _into(place: str, target: str, read: Callable[[Any], Any]) -> Taker:
    def take(found: Reading, cell: Any) -> None:
        getattr(found, place)[target] = read(cell)

    return take


def _key_taker(target: str) -> Taker:
    def take(found: Reading, cell: Any) -> None:
        found.keys[target] = _optional(cell)
        found.told.add(target)

    return take


def _remembering(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Like `read`, but a text that was read is not read again."""
    known: dict[str, Any] = {}

    def remembering(cell: Any) -> Any:
        if type(cell) is not str:
            return read(cell)
        if cell in known:
            return known[cell]
        value = read(cell)
        if len(known) < _REMEMBERED:
            known[cell] = value
        return value

    return remembering


def _optional(cell: Any) -> str | None:
    cell = plain(cell)
    return None if cell is None else text(cell)


def _declared_kinds(table: Table) -> Mapping[tuple[str, str], str]:
    """Kind of each named value, where all who declare it agree."""
    subjects = {"parameters": "design", "attributes": "asset", "build": "item", "acceptance": "acceptance"}
    fields = {subjects[part.field]: part.field for part in table.parts if isinstance(part, Values)}
    found: dict[tuple[str, str], set[str]] = {}
    if fields:
        rows = ParameterDefinition.objects.filter(subject__in=fields).values_list("subject", "name", "kind")
        for subject, name, kind in rows:
            found.setdefault((fields[subject], name), set()).add(kind)
    return {key: next(iter(kinds)) for key, kinds in found.items() if len(kinds) == 1}


def refuse_incomplete(found: Reading, table: Table) -> None:
    """Refuse a row of a new record that does not say all that it must."""
    for part in table.parts:
        if reason := _missing(part, found):
            found.refuse(*reason)


def _missing(part: Part, found: Reading) -> tuple[str, str] | None:
    """The header of what a row must say and does not, and why."""
    match part:
        case Column() if part.required and found.values.get(part.field) is None:
            return part.header, "it is empty: every row needs one"
        case Link() if part.required and found.keys.get(part.field) is None:
            name = found.names.get(part.field, (None,))
            if name[0] is None:
                return part.header, "it is empty: every row needs one"
        case Period() if found.periods.get(part.field, {}).get("lower") is None:
            return part.start, "it is empty: say since when"
    return None


def _unknown(table: Table, header: str) -> str:
    known = [f"{one}NAME" if one.endswith(".") else one for one in table.headers]
    return (
        f"{table.name}, row 1: there is no column {header[:100]!r}: remove it or use one of "
        f"{', '.join([*known, KEY_HEADER, KIND_HEADER])}."
    )


def wanted_names(readings: Iterable[Reading], table: Table) -> dict[str, tuple[set[Name], set[str]]]:
    """Names and external keys that the rows use, by the table of what they name."""
    found: dict[str, tuple[set[Name], set[str]]] = {}
    links = [part for part in table.parts if isinstance(part, Link)]
    for reading in readings:
        for link in links:
            names, keys = found.setdefault(link.to, (set(), set()))
            if key := reading.keys.get(link.field):
                keys.add(key)
            if name := reading.names.get(link.field):
                names.add(name)
    return found


def checked_table(name: str) -> Table:
    """The table of this name; raises UnreadableFile."""
    if name not in TABLES:
        known = ", ".join(TABLES)
        raise UnreadableFile(f"There is no table {name[:100]!r}: name the sheet or file after one of {known}.")
    return TABLES[name]
