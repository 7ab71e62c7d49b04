"""JSON files: an object of tables, each a list of objects; or one such list, whose table is named otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from assets.exceptions import UnreadableFile
from assets.importing.rows import Row, named_after


def read_document(path: Path, table: str | None) -> Iterator[tuple[str, Iterator[Row]]]:
    """The tables of a JSON file and their rows; raises UnreadableFile for anything of another shape."""
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise UnreadableFile(f"{path.name}, line {error.lineno}, column {error.colno}: {error.msg}.") from error
    if isinstance(content, list):
        content = {table or named_after(path): content}
    if not isinstance(content, dict) or not all(isinstance(rows, list) for rows in content.values()):
        raise UnreadableFile(f"{path.name}: it must be one object of lists, such as {{'assets': [{{'tag': 'P-12'}}]}}.")
    for name, rows in content.items():
        if table in (None, name):
            yield name, _rows(name, rows)


def _rows(table: str, rows: list[Any]) -> Iterator[Row]:
    for number, cells in enumerate(rows, 1):
        if not isinstance(cells, dict):
            raise UnreadableFile(f"{table}, row {number}: it must be an object of column names and values.")
        yield Row(number, cells)
