"""What an import would do: each row is matched with a record and compared with it; nothing is written here.

A row means the record that the source system knows by the row's external key, else the one of the same name. So the
same file given twice changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

from django.db import models
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models.base import ModelState

from assets.importing.names import Names
from assets.importing.reading import Reading, refuse_incomplete, wanted_names
from assets.importing.tables import KEY_HEADER, Column, Link, Period, Table, Values
from assets.importing.values import BadCell
from assets.models import SYMMETRIC, ExternalReference, Relation
from assets.permissions import Reach


class Action(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(slots=True)
class Planned:
    """A row and what becomes of it."""

    table: str
    row: int
    action: Action
    record: Any = None
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    """Old and new value by header; of a new record the new ones alone count."""
    column: str = ""
    reason: str = ""
    reference: ExternalReference | None = None
    """What is to be remembered of the source system's key."""

    def refuse(self, column: str, reason: str) -> None:
        self.action, self.column, self.reason = Action.REFUSED, column, reason


class Seen:
    """Which row has spoken of what: a second one in the same file is refused instead of correcting the first."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, int] = {}

    def check(self, reading: Reading, column: str, what: Hashable) -> None:
        """Refuse the row when an earlier one was about the same."""
        first = self._rows.setdefault(what, reading.number)
        if first != reading.number:
            reading.refuse(column, f"row {first} is about the same: remove one of them")


@dataclass(frozen=True, slots=True)
class Match:
    """What the register has for a row."""

    known: ExternalReference | None
    """What the row's external key stands for."""
    same: Any
    """The record of the row's name."""
    candidate: Any
    """A record of the row alone, which is written when there is neither, and what the row says of it."""
    said: dict[str, tuple[Any, Any]]


def plan_rows(table: Table, readings: Sequence[Reading], names: Names, source: str, seen: Seen) -> list[Planned]:
    """What becomes of these rows, in their order, in a constant number of statements."""
    link(table, readings, names)
    known = referenced(table, readings, names, source)
    candidates = [candidate_of(table, reading) for reading in readings]
    standing = _standing(table, [record for record, _ in candidates], names.sight)
    planned = []
    for reading, (candidate, said) in zip(readings, candidates, strict=True):
        identity = _identity(table, candidate)
        if identity[0] is not None:
            seen.check(reading, table.identity[0].removesuffix("_id"), identity)
        if reading.key:
            seen.check(reading, KEY_HEADER, (reading.kind, reading.key))
        match = Match(known.get((reading.kind, reading.key)), standing.get(identity), candidate, said)
        planned.append(decide(table, reading, match, source))
    return planned


def link(table: Table, readings: Sequence[Reading], names: Names) -> None:
    """Find the records that the rows name; a row that names none or more than one is refused."""
    for to, (wanted, keys) in wanted_names(readings, table).items():
        names.load(to, wanted, keys)
    for reading in readings:
        for part in table.parts:
            if isinstance(part, Link):
                _link(part, reading, names)


def _link(part: Link, reading: Reading, names: Names) -> None:
    key, name = reading.keys.get(part.field), reading.names.get(part.field)
    header = part.key if key else part.header
    try:
        if key:
            reading.linked[part.field] = names.keyed(part.to, key)
        elif name and name[0] is not None:
            reading.linked[part.field] = names.named(part.to, name)
        elif part.field in reading.told:
            reading.linked[part.field] = None
    except BadCell as error:
        reading.refuse(header, str(error))


def referenced(
    table: Table, readings: Iterable[Reading], names: Names, source: str
) -> dict[tuple[str, str | None], ExternalReference]:
    """What the source system's keys of the rows stand for, whatever table it is in, by kind and key."""
    keys = {reading.key for reading in readings if reading.key}
    if not keys:
        return {}
    rows = ExternalReference.objects.filter(names.sight.of(ExternalReference), system=source, key__in=keys)
    return {(row.kind, row.key): row for row in rows.select_related(*([table.target] if table.target else []))}


def candidate_of(table: Table, reading: Reading) -> tuple[Any, dict[str, tuple[Any, Any]]]:
    """A record of the row alone, and what the row says of it by header."""
    record = _blank(table.model)
    return record, apply(table, reading, record)


def _blank(model: type[models.Model]) -> Any:
    """What `model()` gives, at a tenth of its cost: what the fields start with is asked once for all rows."""
    plain, made = _beginnings(model)
    record = model.__new__(model)
    record.__dict__.update(plain, _state=ModelState())
    for name, make in made:
        record.__dict__[name] = make()
    return record


@cache
def _beginnings(model: type[models.Model]) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
    """What every new record holds, and what is made anew for each."""
    fields = model._meta.concrete_fields
    made = [(field.attname, field.default) for field in fields if field.has_default() and callable(field.default)]
    return {field.attname: field.get_default() for field in fields}, made


def apply(table: Table, reading: Reading, record: Any) -> dict[str, tuple[Any, Any]]:
    """Put what the row says into the record; returns what it changed, old and new by header."""
    changes: dict[str, tuple[Any, Any]] = {}
    for part in table.parts:
        match part:
            case Column() if part.field in reading.values:
                _apply_value(part, reading.values[part.field], record, changes)
            case Values() if part.field in reading.entries:
                _apply_entries(part, reading.entries[part.field], record, changes)
            case Link() if part.field in reading.linked:
                _apply_link(part, reading.linked[part.field], record, changes)
            case Period() if part.field in reading.periods:
                _apply_period(part, reading, record, changes)
    if isinstance(record, Relation) and record.kind in SYMMETRIC and record.source_id and record.target_id:
        # Such an edge is kept once, from the smaller id to the greater.
        record.source, record.target = sorted((record.source, record.target), key=lambda asset: asset.pk)
    return changes


def _apply_value(part: Column, value: Any, record: Any, changes: dict[str, tuple[Any, Any]]) -> None:
    if value is None and not (target := record._meta.get_field(part.field)).null:
        value = target.get_default()
    old = getattr(record, part.field)
    if old != value:
        changes[part.header] = (old, value)
        setattr(record, part.field, value)


def _apply_entries(part: Values, entries: dict[str, Any], record: Any, changes: dict[str, tuple[Any, Any]]) -> None:
    held = dict(getattr(record, part.field))
    for name, written in entries.items():
        old = held.get(name)
        value = _like(old, written) if isinstance(written, str) and isinstance(old, bool | int | float) else written
        if old != value or (value is None and name in held):
            changes[f"{part.prefix}.{name}"] = (old, value)
        if value is None:
            held.pop(name, None)
        else:
            held[name] = value
    setattr(record, part.field, held)


def _like(old: bool | int | float, written: str) -> Any:
    """The old value where it is what was written: text files do not tell numbers from text."""
    if isinstance(old, bool):
        return old if written.lower() == str(old).lower() else written
    try:
        return old if float(written) == old else written
    except ValueError:
        return written


def _apply_link(part: Link, other: Any, record: Any, changes: dict[str, tuple[Any, Any]]) -> None:
    old = getattr(record, f"{part.field}_id")
    if old != (other.pk if other else None):
        shown = getattr(record, part.field) if old else None
        changes[part.header] = (shown and str(shown), other and str(other))
        setattr(record, f"{part.field}_id", other.pk if other else None)
        record._state.fields_cache[part.field] = other  # what assigning it does, but for checks that are made already


def _apply_period(part: Period, reading: Reading, record: Any, changes: dict[str, tuple[Any, Any]]) -> None:
    held = getattr(record, part.field)
    old = {"lower": held.lower if held else None, "upper": held.upper if held else None}
    new = old | reading.periods[part.field]
    for header, end in ((part.start, "lower"), (part.end, "upper")):
        if old[end] != new[end]:
            changes[header] = (old[end], new[end])
    if new["upper"] is not None and new["lower"] is not None and new["upper"] <= new["lower"]:
        reading.refuse(part.end, f"{new['upper'].isoformat()} is not after {new['lower'].isoformat()}: a period lasts")
    elif new["lower"] is not None:
        setattr(record, part.field, DateTimeTZRange(new["lower"], new["upper"], "[)"))


def _identity(table: Table, record: Any) -> tuple[Any, ...]:
    return tuple(
        (record.period.lower if record.period else None) if path == "period.lower" else getattr(record, path)
        for path in table.identity
    )


def _standing(table: Table, wanted: Sequence[Any], sight: Reach) -> dict[tuple[Any, ...], Any]:
    """Records of the register by what makes them the same as a candidate."""
    rows = table.model._default_manager.filter(sight.of(table.model))
    for path in table.identity:
        if path != "period.lower":
            values = {getattr(record, path) for record in wanted}
            if path == table.identity[0]:
                values.discard(None)
            if None not in values:
                rows = rows.filter(**{f"{path}__in": values})
    related = [part.field for part in table.parts if isinstance(part, Link)]
    return {_identity(table, record): record for record in rows.select_related(*related)}


def decide(table: Table, reading: Reading, match: Match, source: str) -> Planned:
    """What becomes of a row."""
    known, same = match.known, match.same
    planned = Planned(table.name, reading.number, Action.REFUSED)
    existing = getattr(known, table.target) if known is not None and table.target else None
    if known is not None and existing is None:
        reading.refuse(KEY_HEADER, f"{source} uses the key {reading.key!r} for a record of another table")
    elif existing is not None and same is not None and same.pk != existing.pk:
        reading.refuse(KEY_HEADER, f"{source} uses the key {reading.key!r} for {existing}, and {same} has this name")
    elif reading.key and not table.target:
        reading.refuse(KEY_HEADER, f"rows of {table.name} have no external key: leave it empty")
    record = existing or same
    if record is None:
        refuse_incomplete(reading, table)
    if not reading.refusal:
        planned.record = match.candidate if record is None else record
        planned.changes = match.said if record is None else apply(table, reading, record)
        _remember_key(planned, reading, known, source, table)
    if reading.refusal:
        planned.refuse(reading.column, reading.refusal)
    elif record is None:
        planned.action = Action.CREATE
    else:
        planned.action = Action.CHANGE if planned.changes else Action.UNCHANGED
    return planned


def _remember_key(
    planned: Planned, reading: Reading, known: ExternalReference | None, source: str, table: Table
) -> None:
    if reading.key and known is None:
        planned.changes[KEY_HEADER] = (None, reading.key)
        planned.reference = ExternalReference(system=source, kind=reading.kind, key=reading.key)
