"""CSV files: of any usual delimiter, in UTF-8 unless said otherwise.

A spreadsheet takes text that begins like a formula for one, whoever has written it. So such text is written with an
apostrophe before it, and read without.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from assets.exceptions import UnreadableFile
from assets.importing.rows import Limits, Row, checked_headers, numbered

_DELIMITERS = ",;\t|"
_FORMULA_LIKE = re.compile(r"'*[=+\-@\t\r]")


def neutralise(text: str) -> str:
    """Text as a cell that no spreadsheet computes."""
    return f"'{text}" if _FORMULA_LIKE.match(text) else text


def _as_meant(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and _FORMULA_LIKE.match(cell) else cell


def read_delimited(path: Path, encoding: str, limits: Limits) -> Iterator[Row]:
    """The rows of a CSV file; raises UnreadableFile for what is not text or not a table."""
    try:
        with path.open(encoding=encoding, newline="") as file:
            first = file.readline(1 + limits.columns * 1000)
            file.seek(0)
            yield from _rows(csv.reader(file, delimiter=_delimiter(first), strict=True), limits)
    except UnicodeError as error:
        raise UnreadableFile(_not_text(path, encoding, error)) from error
    except LookupError as error:
        raise UnreadableFile(f"{encoding!r} is not an encoding: use utf-8, utf-16, cp1252 or latin-1.") from error
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read ({error.strerror}): correct the path.") from error


def _rows(reader: Iterator[list[str]], limits: Limits) -> Iterator[Row]:
    where, number = "CSV", 1
    try:
        headers = checked_headers(where, next(reader, []), limits)
        for number, cells in enumerate(reader, 2):
            if "\x00" in "".join(cells):
                raise UnreadableFile(f"{where}, row {number}: it holds a NUL character: this is not a text file.")
            if row := numbered(where, number, headers, list(map(_as_meant, cells))):
                yield row
    except csv.Error as error:
        raise UnreadableFile(f"{where}, row {number + 1}: {error}: correct the quotes around the cell.") from error


def _delimiter(line: str) -> str:
    """The one that stands most often in the headers."""
    return max(_DELIMITERS, key=line.count)


def _not_text(path: Path, encoding: str, error: UnicodeError) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return f"{path.name} is not text in {encoding} ({error}): save it as UTF-8."
    name = "UTF-8" if encoding == "utf-8-sig" else encoding
    return (
        f"{path.name}{_line_of(path, encoding)}: it is not text in {name} "
        f"(byte {error.object[error.start]:#04x}): save it as UTF-8, or name its encoding, for example cp1252."
    )


def _line_of(path: Path, encoding: str) -> str:
    """Where the first line stands that is not text; only byte-wise encodings can tell."""
    if not encoding.lower().startswith(("utf-8", "utf8", "ascii")):
        return ""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return f", row {number}"
    return ""
