"""`models [DESIGN]`: which models there are, how they do, and putting another one in force."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from assets.models import Design
from twins.exceptions import ModelRefused
from twins.models import HealthModel
from twins.services.promotion import promote_model, roll_back


class Command(BaseCommand):
    help = "List the models of health, newest first; promote one by its number, or step back to the one before."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("design", nargs="?", help="code of a design; without it, all")
        parser.add_argument("--promote", type=int, metavar="MODEL", help="put this model in force")
        parser.add_argument("--roll-back", action="store_true", help="put the design's model before this one in force")

    def handle(self, *, design: str | None, promote: int | None, roll_back: bool, **_: Any) -> None:
        try:
            if promote is not None:
                self._promote(promote)
            if roll_back:
                self._roll_back(design)
        except ModelRefused as error:
            raise CommandError(str(error)) from error
        rows = HealthModel.objects.select_related("design").defer("artefact")
        for row in rows.filter(design__code=design) if design else rows:
            self.stdout.write(_line(row))

    def _promote(self, number: int) -> None:
        model = HealthModel.objects.filter(pk=number).first()
        if model is None:
            raise CommandError(f"There is no model {number}.")
        promote_model(model=model)

    def _roll_back(self, code: str | None) -> None:
        for design in _designs(code):
            roll_back(design=design)


def _designs(code: str | None) -> list[Design]:
    found = list(Design.objects.filter(code=code)) if code else []
    if not found:
        raise CommandError("Name the design to roll back by its code.")
    return found


def _line(row: HealthModel) -> str:
    told = f"{row.pk} {row.design} {row.status} of {row.trained_at:%Y-%m-%d %H:%M}"
    if row.scope:
        told += f", learned from all of type {row.scope}"
    if row.metrics:
        told += f", error {row.metrics['rmse']:.3g} of {row.metrics['rmse_of_a_constant']:.3g} {row.life_unit}"
    if row.later.get("failures"):
        told += f"; on {row.later['failures']} failures since: {row.later['rmse']:.3g}"
    if drifted := [name for name, value in row.later.get("psi", {}).items() if value > DRIFTED]:
        told += f"; drifted: {', '.join(sorted(drifted))}"
    return f"{told}. {row.reason}".rstrip()


DRIFTED = 0.25
"""Population stability index from which on an input is no longer what was learned from (Siddiqi 2006)."""
