"""`test`: pytest under the project's bootstrap. manage.py calls it without Django; this lists it among the commands."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from config.bootstrap import run_tests


class Command(BaseCommand):
    help = "Run the tests with pytest on engines of their own; arguments are pytest's, and --full runs everything"
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("arguments", nargs="*", help="passed to pytest")

    def handle(self, *args: Any, arguments: list[str], **options: Any) -> None:
        sys.exit(run_tests(arguments))
