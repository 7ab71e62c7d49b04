"""`replay [DESIGN ...]`: what the last half year's warnings would have been, by models that knew only what came before.

A line a design: failures warned of and missed, how long before, and warnings that were wrong. Nothing is stored.
"""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from assets.models import Design
from twins.exceptions import PredictionUnavailable
from twins.services.replay import Replayed, replay


class Command(BaseCommand):
    help = "Replay the past with models trained only on what was known: catches, lead times, false alarms."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("design", nargs="*", help="codes of designs; without any, all that can be learned from")
        parser.add_argument("--days", type=int, default=182, help="how far back the replay begins")
        parser.add_argument("--retrain", type=int, default=30, metavar="DAYS", help="how often models are trained anew")

    def handle(self, *, design: list[str], days: int, retrain: int, **_: Any) -> None:
        if days < 1 or retrain < 1:
            raise CommandError("Days are whole numbers from 1 on.")
        designs = list(Design.objects.filter(code__in=design).order_by("pk")) if design else None
        if unknown := sorted(set(design) - {known.code for known in designs or ()}):
            raise CommandError(f"There is no design with the code {unknown[0]!r}.")
        end = timezone.now()
        start = end - timedelta(days=days)
        try:
            for one in replay(designs=designs, start=start, end=end, retrained=timedelta(days=retrain)):
                self.stdout.write(_line(one))
        except PredictionUnavailable as error:
            raise CommandError(str(error)) from error


def _line(one: Replayed) -> str:
    record, unit = one.record, one.design.life_unit
    if not one.learned:
        return f"{one.design}: nothing could be learned; {one.failures} failures were not warned of"
    told = f"{one.design}: {one.failures - record.missed} of {one.failures} failures were warned of"
    if record.median_lead is not None:
        told += f", median {record.median_lead:.3g} {unit} before"
    return f"{told}; {record.false} of {record.judged} warnings were wrong, {record.open} are open"
