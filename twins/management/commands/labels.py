"""`labels [DESIGN ...]`: how recorded events became the failures that are learned from, each with its records."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from assets.models import Design
from twins.selectors.labels import Dismissed, Label, labels_of


class Command(BaseCommand):
    help = "Show per design which lives are learned from, how each ended, and which events made no failure and why."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("design", nargs="*", help="codes of designs; without any, all")

    def handle(self, *, design: list[str], **_: Any) -> None:
        chosen = Design.objects.filter(code__in=design) if design else Design.objects.all()
        designs = list(chosen.order_by("code", "revision"))
        if unknown := sorted(set(design) - {known.code for known in designs}):
            raise CommandError(f"There is no design with the code {unknown[0]!r}.")
        found = labels_of(designs, now=timezone.now())
        for known in designs:
            labels = found[known.pk]
            failed = sum(label.outcome == "failed" for label in labels.lives)
            self.stdout.write(f"{known}: {len(labels.lives)} lives, {failed} failures")
            for label in labels.lives:
                self.stdout.write(f"  {_life(label)}")
            for dismissed in labels.dismissed:
                self.stdout.write(f"  {_event(dismissed)}")


def _life(label: Label) -> str:
    place, life = label.installation, label.segment
    span = f"{life.start:%Y-%m-%d %H:%M} to {life.end:%Y-%m-%d %H:%M}"
    return f"{place.item} at {place.asset.tag}, {span}, {label.outcome}: {label.why} (installation {place.pk})"


def _event(dismissed: Dismissed) -> str:
    event = dismissed.event
    return f"event {event.pk} ({event.kind}, {event.started_at:%Y-%m-%d %H:%M}) is no label: {dismissed.why}"
