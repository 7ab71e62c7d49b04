"""XLSX files: taken apart by a process of its own, because a workbook can be made to unfold to any size.

The archive is unpacked once to see that it is as large as it says and free of formulas, whose values nobody has
checked; then a child with little memory and little time turns the sheets into lines of JSON.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import orjson

from assets.exceptions import UnreadableFile
from assets.importing import workbook_child
from assets.importing.rows import Limits, Row, checked_headers, numbered

_CHUNK = 1024 * 1024
_FORMULA = re.compile(rb"<c\s[^>]*?r=[\"']([A-Z]+[0-9]+)[\"'][^>]*>\s*<f[\s/>]")
_KEPT = 200  # bytes of one chunk that are looked at again with the next one


def read_workbook(path: Path, table: str | None, limits: Limits) -> Iterator[tuple[str, Iterator[Row]]]:
    """The sheets of a workbook by name, lower case; raises UnreadableFile for one that is broken, or too large."""
    _check_archive(path, limits)
    with tempfile.TemporaryFile() as lines:
        _take_apart(path, lines)
        lines.seek(0)
        for name, count in orjson.loads(lines.readline()):
            sheet = name.strip().lower()
            wanted = table in (None, sheet)
            rows = _rows(name, lines, count, limits)
            if wanted:
                yield sheet, rows
            for _ in rows:  # the next sheet stands behind what nobody has asked for
                pass


def _check_archive(path: Path, limits: Limits) -> None:
    left = limits.unpacked_bytes
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as file:
                    left -= _unpack(path, member.filename, file, left)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise UnreadableFile(f"{path.name} is not a whole XLSX workbook ({error}): save it again.") from error


def _unpack(path: Path, name: str, file: IO[bytes], left: int) -> int:
    """Bytes of one member of the archive; zipfile compares them with what the archive says of itself."""
    size, tail = 0, b""
    while chunk := file.read(_CHUNK):
        size += len(chunk)
        if size > left:
            raise UnreadableFile(f"{path.name} unfolds to more than a workbook may hold: split it into smaller files.")
        if name.startswith("xl/worksheets/") and (found := _FORMULA.search(tail + chunk)):
            cell = found.group(1).decode()
            raise UnreadableFile(f"{path.name}, {Path(name).stem}, cell {cell}: it is a formula: paste values instead.")
        tail = chunk[-_KEPT:]
    return size


def _take_apart(path: Path, lines: IO[bytes]) -> None:
    command = [sys.executable, workbook_child.__file__, str(path)]
    done = subprocess.run(command, stdout=lines, stderr=subprocess.PIPE, timeout=300, check=False)
    if done.returncode == workbook_child.TOO_LARGE or done.returncode < 0:
        raise UnreadableFile(f"{path.name} unfolds to more than a workbook may hold: remove what is not needed in it.")
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1][:300]
        raise UnreadableFile(f"{path.name} is not a workbook that can be read ({reason}): save it again as XLSX.")


def _rows(sheet: str, lines: IO[bytes], count: int, limits: Limits) -> Iterator[Row]:
    if not count:
        return
    headers = checked_headers(sheet, orjson.loads(lines.readline()), limits)
    for number in range(2, count + 1):
        if row := numbered(sheet, number, headers, orjson.loads(lines.readline())):
            yield row
