"""Files as they come from outside: any usual shape is read, anything doubtful is refused with its place."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from assets.exceptions import UnreadableFile
from assets.importing.delimited import neutralise
from assets.importing.rows import Limits
from assets.importing.sheets import read_sheets

HEADERS = ["tag", "name"]


def _rows(path: Path, **options: Any) -> list[tuple[int, dict[str, Any]]]:
    [(_, rows)] = read_sheets(path, **options)
    return [(row.number, row.cells) for row in rows]


def _workbook(path: Path, rows: Sequence[Sequence[Any]], sheet: str = "Assets") -> Path:
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False}) as workbook:
        page = workbook.add_worksheet(sheet)
        for number, row in enumerate(rows):
            page.write_row(number, 0, row)
    return path


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("tag,name\nP-1,Lüfter\n".encode(), {}),
        ("\ufefftag;name\r\nP-1;Lüfter\r\n".encode(), {}),
        ("tag\tname\nP-1\tLüfter\n".encode(), {}),
        ("tag,name\nP-1,Lüfter\n".encode("cp1252"), {"encoding": "cp1252"}),
        ("tag,name\nP-1,Lüfter\n".encode("utf-16"), {"encoding": "utf-16"}),
        (b'[{"tag": "P-1", "name": "L\\u00fcfter"}]', {}),
    ],
)
def test_the_usual_shapes_of_text_are_read(tmp_path: Path, content: bytes, options: dict[str, str]) -> None:
    path = tmp_path / ("assets.json" if content.startswith(b"[") else "assets.csv")
    path.write_bytes(content)
    [(number, cells)] = _rows(path, **options)
    assert (number, cells) == (1 if path.suffix == ".json" else 2, {"tag": "P-1", "name": "Lüfter"})


def test_a_workbook_gives_its_sheets_with_numbers_and_text(tmp_path: Path) -> None:
    path = _workbook(
        tmp_path / "plant.xlsx", [[*HEADERS, "criticality"], ["P-1", "Lüfter", 3], [], ["=G1+S2", "", 2.5]]
    )
    assert _rows(path) == [
        (2, {"tag": "P-1", "name": "Lüfter", "criticality": 3}),
        (4, {"tag": "=G1+S2", "name": "", "criticality": 2.5}),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "row 1: there are no headers"),
        (b"tag,tag\nA,B\n", "'tag' stands there twice"),
        (b"tag,,name\nA,B,C\n", "row 1, column 2: the header is empty"),
        (b"tag,name\nA,B,C\n", "row 2: 3 cells stand under 2 headers"),
        (b'tag,name\nA,"B\n', "row 2"),
        ("tag,name\nA,B\nC,Lüfter\n".encode("cp1252"), "row 3: it is not text in UTF-8 (byte 0xfc)"),
        (b"tag,name\nA,\0\n", "NUL"),
    ],
)
def test_a_broken_csv_file_is_refused_with_its_row(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "assets.csv"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile) as refused:
        _rows(path)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "line 1"),
        (b'{"assets": {}}', "object of lists"),
        (b'{"assets": [1]}', "assets, row 1: it must be an object"),
        (b"[" * 100_000, "line 1"),
        (b"\xff\xfe", "line 1"),
    ],
)
def test_a_broken_json_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "assets.json"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=words):
        [list(rows) for _, rows in read_sheets(path)]


def test_files_beyond_the_limits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "assets.csv"
    path.write_text("tag\n" + "A\n" * 100)
    with pytest.raises(UnreadableFile, match="more than 10 rows"):
        _rows(path, limits=Limits(rows=10))
    with pytest.raises(UnreadableFile, match="204 bytes, more than 100"):
        _rows(path, limits=Limits(bytes=100))
    path.write_text("tag\n" + "A" * 11_000)
    with pytest.raises(UnreadableFile, match="row 2, tag: the cell has 11000 characters"):
        _rows(path)
    path.write_text(",".join(f"h{number}" for number in range(201)))
    with pytest.raises(UnreadableFile, match="201 columns"):
        _rows(path)


def _packed(path: Path, member: str, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
    return path


def _bomb(folder: Path) -> Path:
    return _packed(folder / "bomb.xlsx", "xl/worksheets/sheet1.xml", b"0" * (300 * 1024 * 1024))


def _far_away(folder: Path) -> Path:
    with xlsxwriter.Workbook(folder / "far.xlsx") as workbook:
        page = workbook.add_worksheet("assets")
        page.write("A1", "tag")
        page.write("XFD1048576", "x")
    return folder / "far.xlsx"


def _entities(folder: Path) -> Path:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    text = f'<?xml version="1.0"?><!DOCTYPE sst [<!ENTITY l0 "ha">{laughs}]><sst count="1"><si><t>&l9;</t></si></sst>'
    path = _workbook(folder / "laughs.xlsx", [HEADERS, ["A", "B"]])
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"xl/sharedStrings.xml": text.encode()}).items():
            archive.writestr(name, content)
    return path


def _formula(folder: Path) -> Path:
    with xlsxwriter.Workbook(folder / "formula.xlsx") as workbook:
        page = workbook.add_worksheet("assets")
        page.write("A1", "tag")
        page.write_formula("A2", "=1+1")
    return folder / "formula.xlsx"


def _cut(folder: Path) -> Path:
    path = _workbook(folder / "cut.xlsx", [HEADERS, ["A", "B"]])
    path.write_bytes(path.read_bytes()[:-200])
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_bomb, "unfolds to more"),
        (_far_away, "unfolds to more"),
        (_entities, "not a workbook that can be read"),
        (_formula, "cell A2: it is a formula"),
        (_cut, "not a whole XLSX workbook"),
        (lambda folder: _packed(folder / "other.xlsx", "readme.txt", b"hello"), "not a workbook"),
    ],
)
def test_a_hostile_workbook_is_refused(tmp_path: Path, make: Callable[[Path], Path], words: str) -> None:
    with pytest.raises(UnreadableFile, match=words):
        [list(rows) for _, rows in read_sheets(make(tmp_path))]


def test_a_format_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="not a CSV, XLSX or JSON file"):
        read_sheets(tmp_path / "assets.ods")
    with pytest.raises(UnreadableFile, match="cannot be read"):
        read_sheets(tmp_path / "assets.csv")


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2", "@SUM(A1)", "\t=1", "'=1", "plain", "it's"])
def test_text_that_a_spreadsheet_would_compute_is_neutralised_and_comes_back(tmp_path: Path, text: str) -> None:
    path = tmp_path / "assets.csv"
    written = neutralise(text)
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r"))
    path.write_text(f'tag\n"{written}"\n')
    assert _rows(path) == [(2, {"tag": text})]
