"""How much a file may hold: bounds that hold before and while it is read, so that no file can exhaust the machine."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one file; the defaults take a register of a hundred thousand assets and half a million sensors."""

    bytes: int = 128 * MEBIBYTE
    """Of a CSV or JSON file, and of a workbook as it lies on the disk a quarter of it."""
    unpacked_bytes: int = 256 * MEBIBYTE
    """Of everything in a workbook, which is a zip archive."""
    rows: int = 1_000_000
    columns: int = 200
    cell_characters: int = 10_000

    @property
    def workbook_bytes(self) -> int:
        return self.bytes // 4
