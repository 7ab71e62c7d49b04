"""`manage.py import_assets FILE`: the register from a file, rehearsed with --dry-run."""

from __future__ import annotations

import zoneinfo
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError

from assets.exceptions import AssetsError
from assets.importing import TABLES, Action, ImportResult, Planned, as_dict, import_file


class Command(BaseCommand):
    help = "Import assets, designs, items, sensors, events and the rest of the register from CSV, XLSX or JSON"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--table", choices=list(TABLES), help="of a file of one table that is not named after it")
        parser.add_argument("--source", default="file", help="the system whose external keys stand in the file")
        parser.add_argument("--dry-run", action="store_true", help="say for each row what would happen; change nothing")
        parser.add_argument("--skip-bad", action="store_true", help="write the good rows even if some are refused")
        parser.add_argument("--encoding", help="of a CSV file that is not UTF-8: cp1252, utf-16")
        parser.add_argument("--timezone", help="of instants that name none: Europe/Berlin")
        parser.add_argument("--json", action="store_true", help="one line of JSON for each row, then the totals")

    def handle(self, *args: Any, **options: Any) -> None:
        self._json, self._dry_run = options["json"], options["dry_run"]
        try:
            result = import_file(
                path=options["file"],
                source=options["source"],
                table=options["table"],
                dry_run=options["dry_run"],
                skip_bad=options["skip_bad"],
                encoding=options["encoding"],
                zone=_zone(options["timezone"]),
                report=self._report,
            )
        except AssetsError as error:
            raise CommandError(f"{error} Nothing was changed.") from error
        self._conclude(result)

    def _report(self, planned: Planned) -> None:
        """Every row as JSON; for a person those that are refused, and in a dry run those that would change."""
        if self._json:
            self.stdout.write(orjson.dumps(as_dict(planned)).decode())
        elif planned.action is Action.REFUSED or (self._dry_run and planned.action is not Action.UNCHANGED):
            self.stdout.write(_sentence(planned))

    def _conclude(self, result: ImportResult) -> None:
        if self._json:
            totals = {table: dict(counts) for table, counts in result.counts.items()}
            self.stdout.write(orjson.dumps({"counts": totals, "written": result.written}).decode())
        else:
            for table, counts in result.counts.items():
                said = ", ".join(f"{counts[action]} {action}" for action in Action if counts[action])
                self.stdout.write(f"{table}: {said}")
            self.stdout.write("Written." if result.written else "Nothing was changed.")
        if result.count(Action.REFUSED) and not result.written and not self._dry_run:
            raise CommandError("Some rows were refused: correct them, or leave them out with --skip-bad.")


def _sentence(planned: Planned) -> str:
    where = f"{planned.table}, row {planned.row}"
    if planned.action is Action.REFUSED:
        return f"{where}{planned.column and f', {planned.column}'}: refused: {planned.reason}"
    if planned.action is Action.CREATE:
        return f"{where}: create"
    said = "; ".join(f"{header}: {old!s} -> {new!s}" for header, (old, new) in planned.changes.items())
    return f"{where}: change {said}"


def _zone(name: str | None) -> zoneinfo.ZoneInfo | None:
    if name is None:
        return None
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise CommandError(f"{name!r} is not a time zone: use a name such as Europe/Berlin.") from error
