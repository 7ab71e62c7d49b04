"""`manage.py export_assets FILE`: the register as a file that can be imported again."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assets.importing import TABLES, export_csv, export_json, export_xlsx, tables_named


class Command(BaseCommand):
    help = "Export the register to CSV (one table), XLSX or JSON, by the suffix of the file"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; default: all")
        parser.add_argument("--source", default="file", help="the system whose external keys are written")

    def handle(self, *args: Any, **options: Any) -> None:
        path, source = options["file"], options["source"]
        if unknown := set(options["tables"]) - set(TABLES):
            raise CommandError(f"There is no table {sorted(unknown)[0]!r}: use {', '.join(TABLES)}.")
        tables = tables_named(options["tables"])
        match path.suffix.lower():
            case ".csv" if len(tables) == 1:
                with path.open("w", newline="", encoding="utf-8") as file:
                    count = export_csv(tables[0], file, source=source)
            case ".csv":
                raise CommandError("A CSV file holds one table: name it, or export XLSX or JSON.")
            case ".json":
                with path.open("wb") as binary:
                    count = export_json(tables, binary, source=source)
            case ".xlsx":
                with path.open("wb") as binary:
                    count = export_xlsx(tables, binary, source=source)
            case _:
                raise CommandError(f"{path.name} is not a CSV, XLSX or JSON file: name one of them.")
        self.stdout.write(f"{count} rows to {path}.")
