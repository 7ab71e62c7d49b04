"""`export_schema`: the GraphQL schema as SDL, for code generators and reviewers; to a file with --output."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from twins.graphql.schema import sdl


class Command(BaseCommand):
    help = "Write the GraphQL schema as SDL on standard output, or to a file."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", type=Path, help="file to write, instead of standard output")

    def handle(self, *, output: Path | None, **_: Any) -> None:
        if output is None:
            self.stdout.write(sdl(), ending="")
            return
        try:
            output.write_text(sdl(), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{output} cannot be written: {error.strerror}.") from None
