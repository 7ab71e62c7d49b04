"""The register as files: every table as it is imported, so that a file that comes back unchanged changes nothing."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import IO, Any
from uuid import UUID

import orjson
from django.db import models

from assets.importing.delimited import neutralise
from assets.importing.tables import KEY_HEADER, KIND_HEADER, TABLES, Column, Link, Period, Table, Values
from assets.models import Asset, ExternalReference

_CHUNK = 5_000
_SHEET_ROWS = 1_048_576


def export_csv(table: Table, file: IO[str], *, source: str, rows: models.QuerySet[Any] | None = None) -> int:
    """Write one table as CSV and return its number of rows; `source` is the system whose keys stand in it."""
    headers = headers_of(table, rows)
    writer = csv.writer(file)
    writer.writerow(headers)
    count = 0
    for record in _records(table, source, rows):
        writer.writerow([_cell(record.get(header)) for header in headers])
        count += 1
    return count


def export_json(
    tables: Sequence[Table], file: IO[bytes], *, source: str, rows: Mapping[str, models.QuerySet[Any]] | None = None
) -> int:
    """Write tables, or of each by its name the `rows`, as one JSON object of lists; empty values are left out."""
    count = 0
    file.write(b"{")
    for place, table in enumerate(tables):
        file.write(b",\n" if place else b"\n")
        file.write(orjson.dumps(table.name) + b": [")
        for number, record in enumerate(_records(table, source, (rows or {}).get(table.name))):
            said = {header: _plain(value) for header, value in record.items() if value not in (None, "")}
            file.write((b",\n" if number else b"\n") + orjson.dumps(said))
            count += 1
        file.write(b"]")
    file.write(b"}\n")
    return count


def export_xlsx(
    tables: Sequence[Table], file: IO[bytes], *, source: str, rows: Mapping[str, models.QuerySet[Any]] | None = None
) -> int:
    """Write tables, or of each by its name the `rows`, as the sheets of a workbook, text as text.

    Raises ValueError for more rows than a sheet takes.
    """
    import xlsxwriter

    count = 0
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "in_memory": False}
    with xlsxwriter.Workbook(file, options) as workbook:
        for table in tables:
            chosen = (rows or {}).get(table.name)
            sheet, headers = workbook.add_worksheet(table.name), headers_of(table, chosen)
            sheet.write_row(0, 0, headers)
            for number, record in enumerate(_records(table, source, chosen), 1):
                if number >= _SHEET_ROWS:
                    raise ValueError(f"{table.name} has more rows than a sheet takes: export CSV or JSON.")
                for place, header in enumerate(headers):
                    _write(sheet, number, place, _plain(record.get(header)))
                count += 1
    return count


def _write(sheet: Any, row: int, column: int, value: Any) -> None:
    if isinstance(value, bool | int | float):
        sheet.write(row, column, value)
    elif value not in (None, ""):
        sheet.write_string(row, column, _text(value))


def headers_of(table: Table, rows: models.QuerySet[Any] | None = None) -> list[str]:
    """Headers of an export: what the table always has, and one for each value that any of the rows, or any, holds."""
    found: list[str] = []
    for part in table.parts:
        match part:
            case Column():
                found.append(part.header)
            case Link():
                found += part.headers.values()
            case Period():
                found += (part.start, part.end)
            case Values():
                found += [f"{part.prefix}.{name}" for name in _names_held(_chosen(table, rows), part.field)]
    if table.target:
        found += (KIND_HEADER, KEY_HEADER)
    return list(dict.fromkeys(found))


def _names_held(rows: models.QuerySet[Any], field: str) -> list[str]:
    names = models.Func(field, function="jsonb_object_keys", output_field=models.TextField())
    return sorted(rows.order_by().values_list(names, flat=True).distinct())


def _chosen(table: Table, rows: models.QuerySet[Any] | None) -> models.QuerySet[Any]:
    everything: models.QuerySet[Any] = table.model._default_manager.all()
    return everything if rows is None else rows


def _records(table: Table, source: str, rows: models.QuerySet[Any] | None) -> Iterator[dict[str, Any]]:
    """What each record says under each header, by id, a chunk at a time."""
    chosen = _chosen(table, rows).order_by("pk")
    chosen = chosen.select_related(*_RELATED.get(table.name, ()))
    last = 0
    while chunk := list(chosen.filter(pk__gt=last)[:_CHUNK]):
        last = chunk[-1].pk
        keys = _keys(table, source, [record.pk for record in chunk])
        for record in chunk:
            yield _said(table, record) | keys.get(record.pk, {})


def _keys(table: Table, source: str, ids: list[int]) -> dict[int, dict[str, Any]]:
    """The source system's key of each record; of several kinds the first."""
    if not table.target:
        return {}
    rows = ExternalReference.objects.filter(system=source, **{f"{table.target}__in": ids}).order_by("-kind")
    return {
        owner: {KIND_HEADER: kind, KEY_HEADER: key}
        for owner, kind, key in rows.values_list(f"{table.target}_id", "kind", "key")
    }


def _said(table: Table, record: Any) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for part in table.parts:
        match part:
            case Column():
                said[part.header] = getattr(record, part.field)
            case Values():
                said |= {f"{part.prefix}.{name}": value for name, value in getattr(record, part.field).items()}
            case Link():
                said |= _named(part, getattr(record, part.field))
            case Period():
                said |= {part.start: record.period.lower, part.end: record.period.upper}
    if isinstance(record, Asset):
        said["site"] = record.root.tag if record.root else record.tag
    return said


def _named(part: Link, other: Any) -> dict[str, Any]:
    said = _NAMES[part.to](other) if other is not None else {}
    return {header: said.get(name) for name, header in part.headers.items()}


_NAMES: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "types": lambda type_: {"code": type_.code},
    "designs": lambda design: {"code": design.code, "revision": design.revision},
    "assets": lambda asset: {"tag": asset.tag, "site": asset.root.tag if asset.root else asset.tag},
    "items": lambda item: {
        "serial_number": item.serial_number, "design": item.design.code, "revision": item.design.revision,
    },
}  # fmt: skip
_RELATED: Mapping[str, tuple[str, ...]] = {
    "types": ("parent",),
    "designs": ("type", "based_on"),
    "parameters": ("type", "design"),
    "sensor_templates": ("type", "design"),
    "failure_codes": ("type", "design"),
    "assets": ("root", "parent__root", "type", "design"),
    "items": ("design",),
    "sensors": ("asset__root",),
    "relations": ("source__root", "target__root"),
    "installations": ("asset__root", "item__design"),
    "events": ("asset__root", "item__design"),
}


def _plain(value: Any) -> Any:
    """As JSON says it; instants in UTC."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, Decimal | UUID) else value


def _cell(value: Any) -> Any:
    value = _plain(value)
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, int | float | None) else neutralise(_text(value))


def _text(value: Any) -> str:
    """Choices and the like are joined; what has parts of its own is JSON."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "|".join(value)
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else str(value)


def tables_named(names: Sequence[str]) -> list[Table]:
    """The tables of these names, all when none is given, in the order in which they are imported."""
    return [table for name, table in TABLES.items() if not names or name in names]
