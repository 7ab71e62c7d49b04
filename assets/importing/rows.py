"""A row of a file, and how much a file may hold, so that none can exhaust the machine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.exceptions import UnreadableFile

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """Where a row stands, and what stands under each header."""

    number: int
    """As a person counts in the file: headers are row 1 of a sheet, the first object of a JSON list is 1."""
    cells: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one file; the defaults take a register of a hundred thousand assets and half a million sensors."""

    bytes: int = 128 * MEBIBYTE
    """Of a CSV or JSON file."""
    workbook_bytes: int = 32 * MEBIBYTE
    """Of a workbook, which is a zip archive, as it lies on the disk."""
    unpacked_bytes: int = 256 * MEBIBYTE
    """Of everything in a workbook."""
    rows: int = 1_000_000
    """Of one table."""
    columns: int = 200
    cell_characters: int = 10_000


def named_after(path: Path) -> str:
    """The table that a file of one table is named after: "sensors-2026.csv" holds sensors."""
    return re.split(r"[-.\s]", path.stem.lower())[0]


def checked_headers(where: str, cells: Sequence[Any], limits: Limits) -> list[str]:
    """The headers of a sheet, lower case, without empty ones at the end; raises UnreadableFile for doubtful ones."""
    headers = ["" if cell is None else str(cell).strip() for cell in cells]
    while headers and not headers[-1]:
        headers.pop()
    if not headers:
        raise UnreadableFile(f"{where}, row 1: there are no headers: name the columns in the first row.")
    if len(headers) > limits.columns:
        raise UnreadableFile(f"{where}, row 1: {len(headers)} columns are more than {limits.columns}: remove some.")
    for place, header in enumerate(headers, 1):
        if not header:
            raise UnreadableFile(f"{where}, row 1, column {place}: the header is empty: name the column or remove it.")
        if header in headers[: place - 1]:
            raise UnreadableFile(f"{where}, row 1: the header {header[:100]!r} stands there twice: remove one column.")
    return headers


def numbered(where: str, number: int, headers: Sequence[str], cells: Sequence[Any]) -> Row | None:
    """The row of these cells, None when all are empty; raises UnreadableFile for more cells than headers."""
    if all(cell is None or cell == "" for cell in cells):
        return None
    if any(cell not in (None, "") for cell in cells[len(headers) :]):
        raise UnreadableFile(
            f"{where}, row {number}: {len(cells)} cells stand under {len(headers)} headers: "
            "quote cells that hold the delimiter, or name the further columns."
        )
    return Row(number, dict(zip(headers, cells, strict=False)))
