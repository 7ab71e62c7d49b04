"""`lake`: the lake for other programs, and its care. Every verb is a service; this prints what came of it."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from twins.conf import settings
from twins.exceptions import BackupError, LakeError
from twins.lake import MANIFEST, public_name
from twins.services import backup, publication, verification


class Command(BaseCommand):
    help = "The Parquet lake: manifest and export for other programs, check, rebuild, backup and restore"

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

        def verb(name: str, summary: str) -> ArgumentParser:
            return verbs.add_parser(name, help=summary, description=summary)

        verb("manifest", "write manifest.json into the lake: the live files and how the newest batch wins")
        export = verb("export", "write readings into one .csv or .parquet file")
        export.add_argument("target", metavar="FILE", type=Path)
        export.add_argument("--sensor", metavar="UUID", action="append", help="may be repeated; default: all sensors")
        export.add_argument("--start", metavar="TIME", type=_instant, help="first instant, included")
        export.add_argument("--end", metavar="TIME", type=_instant, help="last instant, not included")
        verb("check", "compare every file with its hash and look for files that nothing names")
        verb("rebuild", "make roll-ups and latest readings again from the readings")
        verb("backup", "copy database and lake of one instant").add_argument("target", metavar="DIR", type=Path)
        verb("restore", "bring a backup into an empty installation").add_argument("source", metavar="DIR", type=Path)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        try:
            self.stdout.write(getattr(self, f"_{verb}")(options))
        except (LakeError, BackupError) as error:
            raise CommandError(str(error)) from error

    def _manifest(self, options: dict[str, Any]) -> str:
        made = publication.publish_manifest(now=timezone.now())
        rows = sum(file["rows"] for file in made["files"])
        files, until = len(made["files"]), made["readable_until"]
        return f"{MANIFEST} in {public_name(settings().LAKE)}: {files} files, {rows} rows, readable until {until}"

    def _export(self, options: dict[str, Any]) -> str:
        chosen = {"sensors": _keys(options["sensor"]), "start": options["start"], "end": options["end"]}
        return f"{options['target']}: {publication.export_readings(target=options['target'], **chosen)} readings"

    def _check(self, options: dict[str, Any]) -> str:
        found = verification.check_lake()
        for orphan in found.orphans:
            self.stdout.write(f"nothing names {orphan}: the sweep removes it once it is old")
        if found.faults:
            raise CommandError("\n".join([*found.faults, "Restore the lake from a backup."]))
        return f"{found.files} files, {found.rows} rows, {found.bytes} bytes: every hash is right"

    def _rebuild(self, options: dict[str, Any]) -> str:
        files, sensors = verification.rebuild_lake()
        return f"roll-ups of {files} files and latest readings of {sensors} sensors made again"

    def _backup(self, options: dict[str, Any]) -> str:
        made = backup.back_up(target=options["target"], now=timezone.now())
        return (
            f"{options['target']}: {made.rows} rows of the database, {made.files} files of the lake, {made.bytes} bytes"
        )

    def _restore(self, options: dict[str, Any]) -> str:
        made = backup.restore(source=options["source"])
        return f"{made.rows} rows and {made.files} files restored: every row count and hash is that of the backup"


def _instant(text: str) -> datetime:
    found = parse_datetime(text)
    if found is None:
        raise ValueError(f"{text} is no time: write 2026-01-31T12:00:00Z.")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _keys(uuids: list[str] | None) -> list[int] | None:
    if uuids is None:
        return None
    from twins.selectors.sensors import sensor_keys

    known = sensor_keys(uuid.lower() for uuid in uuids)
    if unknown := [uuid for uuid in uuids if uuid.lower() not in known]:
        raise CommandError(f"The sensor {unknown[0]} is not registered.")
    return list(known.values())
