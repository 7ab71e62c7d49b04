"""`up`: everything on this machine. manage.py calls the supervisor without Django; this lists it among the commands."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand

from config import supervisor


class Command(BaseCommand):
    help = "Start PostgreSQL, Valkey, the web server and the worker, and watch them"
    requires_system_checks = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        supervisor.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        sys.exit(supervisor.run(argparse.Namespace(**options)))
