"""What a file says, before anybody asks what it means: named tables of rows, each with its number in the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assets.exceptions import UnreadableFile
from assets.importing.delimited import read_delimited
from assets.importing.documents import read_document
from assets.importing.rows import Limits, Row, named_after
from assets.importing.workbooks import read_workbook

_KINDS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".xlsx": "xlsx"}


def read_sheets(
    path: Path, *, table: str | None = None, encoding: str | None = None, limits: Limits | None = None
) -> list[tuple[str, Iterable[Row]]]:
    """The tables of a CSV, XLSX or JSON file by name, each with its rows, which can be gone through once.

    A CSV file holds one table: `table`, or what its name begins with ("sensors-2026.csv"); of the others `table`
    chooses one. `encoding` is UTF-8 unless said otherwise. Raises UnreadableFile, with the row where there is one, for
    another format, bytes that are not text and anything beyond the limits. Of a CSV file it does so while the rows are
    gone through, so whoever writes what they say must be able to take it back.
    """
    limits = limits or Limits()
    kind = _KINDS.get(path.suffix.lower())
    if kind is None:
        raise UnreadableFile(f"{path.name} is not a CSV, XLSX or JSON file: save it as one of them.")
    _check_size(path, limits.workbook_bytes if kind == "xlsx" else limits.bytes)
    if kind == "csv":
        name = table or named_after(path)
        return [(name, _bounded(name, read_delimited(path, encoding or "utf-8-sig", limits), limits))]
    found = read_document(path, table) if kind == "json" else read_workbook(path, table, limits)
    return [(name, list(_bounded(name, rows, limits))) for name, rows in found]


def given_sheets(
    tables: Mapping[str, Sequence[Mapping[str, Any]]], *, limits: Limits | None = None
) -> list[tuple[str, Iterable[Row]]]:
    """The same of rows that somebody holds already, each a value by header; raises UnreadableFile likewise."""
    limits = limits or Limits()
    return [
        (name, list(_bounded(name, (Row(number, dict(cells)) for number, cells in enumerate(rows, 1)), limits)))
        for name, rows in tables.items()
    ]


def _check_size(path: Path, most: int) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read ({error.strerror}): correct the path.") from error
    if size > most:
        raise UnreadableFile(f"{path.name} has {size} bytes, more than {most}: split it into smaller files.")


def _bounded(table: str, rows: Iterable[Row], limits: Limits) -> Iterator[Row]:
    most = limits.cell_characters
    for count, row in enumerate(rows, 1):
        if count > limits.rows:
            raise UnreadableFile(f"{table}: more than {limits.rows} rows: split the file.")
        if len(row.cells) > limits.columns:
            raise UnreadableFile(f"{table}, row {row.number}: more than {limits.columns} columns: remove some.")
        for name, cell in row.cells.items():
            if isinstance(cell, str) and len(cell) > most:
                raise UnreadableFile(
                    f"{table}, row {row.number}, {name[:100]}: the cell has {len(cell)} characters, more than {most}: "
                    "shorten it."
                )
        yield row
