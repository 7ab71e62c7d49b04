"""One import from file to register: rehearsed or for good, whole or without its bad rows, always in one transaction."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import tzinfo
from itertools import islice
from pathlib import Path
from typing import Any, Final

from django.db import transaction

from assets.history import origin
from assets.importing.hierarchy import plan_assets
from assets.importing.names import Names
from assets.importing.planning import Action, Planned, Seen, plan_rows
from assets.importing.reading import TableReader, checked_table
from assets.importing.rows import Limits, Row
from assets.importing.sheets import given_sheets, read_sheets
from assets.importing.tables import TABLES, Table
from assets.importing.values import CellReader
from assets.importing.writing import Writer

_CHUNK: Final = 20_000
MOST_LISTED: Final = 1_000
"""Refused rows that a result lists; all are counted."""

Report = Callable[[Planned], None]


@dataclass
class ImportResult:
    """What an import did, or would do."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """Rows by table and action."""
    refused: list[Planned] = field(default_factory=list)
    """The first refused rows, at most `MOST_LISTED`."""
    written: bool = False

    def count(self, action: Action) -> int:
        """Rows of all tables that came to this."""
        return sum(counts[action] for counts in self.counts.values())

    def add(self, planned: Planned) -> None:
        self.counts.setdefault(planned.table, Counter())[planned.action] += 1
        if planned.action is Action.REFUSED and len(self.refused) < MOST_LISTED:
            self.refused.append(planned)


def import_file(
    *,
    path: Path,
    source: str,
    table: str | None = None,
    dry_run: bool = False,
    skip_bad: bool = False,
    encoding: str | None = None,
    zone: tzinfo | None = None,
    limits: Limits | None = None,
    actor: Any = None,
    report: Report = lambda planned: None,
) -> ImportResult:
    """Import a CSV, XLSX or JSON file; `source` is the system whose keys stand in it.

    A dry run does everything and takes it back, so what it says of a row is what would happen. Without `skip_bad` one
    refused row keeps all others out. `actor` is the user whose wish it is, None the system itself: a row that no role
    of theirs allows is refused. `report` is told of every row. Raises UnreadableFile for a file that is no table; then
    nothing was written either.
    """
    with origin(source="import", reason=f"{path.name} of {source}"):
        sheets = read_sheets(path, table=table, encoding=encoding, limits=limits)
        return _import(sheets, source, Wish(dry_run, skip_bad, zone), actor, report)


def import_rows(
    *,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    source: str,
    dry_run: bool = False,
    limits: Limits | None = None,
    actor: Any = None,
    report: Report = lambda planned: None,
) -> ImportResult:
    """The same for rows that are at hand, each a value by header, by the table they are of; all are written or none."""
    with origin(reason=f"rows of {source}"):
        return _import(given_sheets(tables, limits=limits), source, Wish(dry_run), actor, report)


@dataclass(frozen=True)
class Wish:
    """How an import is meant."""

    dry_run: bool = False
    skip_bad: bool = False
    zone: tzinfo | None = None


def _import(
    sheets: list[tuple[str, Iterable[Row]]], source: str, wish: Wish, actor: Any, report: Report
) -> ImportResult:
    result = ImportResult()

    def tell(planned: Planned) -> None:
        result.add(planned)
        report(planned)

    with _without_collecting(), transaction.atomic():
        for sheet, rows in _in_order(sheets):
            _import_table(rows, TableReader(sheet, CellReader(wish.zone)), source, Writer(actor), tell)
        result.written = not wish.dry_run and (wish.skip_bad or not result.count(Action.REFUSED))
        if not result.written:
            transaction.set_rollback(True)
    return result


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Hundreds of thousands of rows are made and kept; to look through all of them again and again takes half of an
    import. What they do not keep is given back by counting references all the same."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _in_order(sheets: list[tuple[str, Iterable[Row]]]) -> list[tuple[Table, Iterable[Row]]]:
    """The tables in the order in which they can be written."""
    found = {checked_table(name).name: rows for name, rows in sheets}
    return [(table, found[name]) for name, table in TABLES.items() if name in found]


def _import_table(rows: Iterable[Row], reader: TableReader, source: str, writer: Writer, tell: Report) -> None:
    table, seen, sight = reader.table, Seen(), writer.sight
    if table.name == "assets":  # a parent may stand anywhere in the file
        placed = plan_assets([reader.read(row) for row in rows], Names(source, sight), source)
        writer.write_assets(placed)
        for each in placed:
            tell(each.planned)
        return
    for chunk in _chunks(rows):
        planned = plan_rows(table, [reader.read(row) for row in chunk], Names(source, sight), source, seen)
        writer.write_rows(table, planned)
        for row in planned:
            tell(row)


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    left = iter(rows)
    while chunk := list(islice(left, _CHUNK)):
        yield chunk


def as_dict(planned: Planned) -> dict[str, Any]:
    """A row's difference as JSON says it."""
    return {
        "table": planned.table,
        "row": planned.row,
        "action": str(planned.action),
        "changes": {header: {"old": _said(old), "new": _said(new)} for header, (old, new) in planned.changes.items()},
        "column": planned.column,
        "reason": planned.reason,
    }


def _said(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | None) else str(value)
