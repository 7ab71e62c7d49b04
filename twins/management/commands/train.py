"""`train [DESIGN ...]`: learn models of health from the recorded failures, and say how good each proved to be."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from assets.models import Design
from twins.exceptions import PredictionUnavailable
from twins.models import ModelStatus
from twins.services.training import Trained, train_designs


class Command(BaseCommand):
    help = "Learn a model of health for each design with enough recorded failures, or for the designs named by code."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("design", nargs="*", help="codes of designs; without any, all with enough failures")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--trials", type=int, help="budget of a search for better trees; default: the design's plan"
        )

    def handle(self, *, design: list[str], seed: int, trials: int | None, **_: Any) -> None:
        designs = list(Design.objects.filter(code__in=design).order_by("pk")) if design else None
        if unknown := sorted(set(design) - {known.code for known in designs or ()}):
            raise CommandError(f"There is no design with the code {unknown[0]!r}.")
        trained = False
        try:
            for result in train_designs(designs=designs, now=timezone.now(), seed=seed, trials=trials):
                self.stdout.write(_line(result))
                trained = True
        except PredictionUnavailable as error:
            raise CommandError(str(error)) from error
        if not trained:
            self.stdout.write("No design has enough recorded failures; ageing curves speak until more are recorded.")


def _line(result: Trained) -> str:
    if result.model is None:
        return result.reason
    numbers = result.model.metrics
    if not numbers:
        return f"{result.design}: refused: {result.reason}"
    told = (
        f"{result.design}: {numbers['failures']:.0f} failures in {numbers['lives']:.0f} lives, error on unseen items "
        f"{numbers['rmse']:.3g} {result.design.life_unit} (a constant: {numbers['rmse_of_a_constant']:.3g}), "
        f"80 % interval held {numbers['coverage_80']:.0%}, horizon {result.model.horizon:g}"
    )
    return told if result.model.status == ModelStatus.CHAMPION else f"{told}. Refused: {result.reason}"
