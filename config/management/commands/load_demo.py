"""`load_demo`: load the demo plant, learn from its history and assess it; once, and repairable when interrupted."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from config.demo import load


class Command(BaseCommand):
    help = "Load a power plant that ages, with two years of history; does nothing when it is there."

    def handle(self, **options: Any) -> None:
        load(now=timezone.now(), say=self._say)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
