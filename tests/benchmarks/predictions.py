"""How well life left is predicted, over the whole path: files, register, ingest, lake, training, assessment, GraphQL.

Cross-validation on the engines that failed (5 folds by engine; rows of age 20 and more with 6 to 145 cycles left) is
what decisions are made by: the product's own, in which everything that is learned, from what is usual to the width of
the intervals, is learned without the engines it is judged on. The official test is only printed. The cap of 125 cycles
belongs to this benchmark.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from asgiref.sync import async_to_sync
from django.core.management.base import CommandError
from django.utils import timezone

from assets.models import Asset
from assets.permissions import Design, Rights
from config.benchmarks import Figure
from config.cmapss import CmapssError, Fleet, read_fleets
from config.management.commands.load_cmapss import load_fleet
from twins import ml
from twins.graphql.context import Context
from twins.graphql.schema import schema
from twins.models import Scope
from twins.services.assessment import assess_assets
from twins.services.compaction import compact_hot_tail
from twins.services.principals import Principal
from twins.services.training import train_design

CAP = 125.0
_CV_RMSE = {"fd001": 9.6, "fd003": 10.4}
_RMSE = {"fd001": 11.8, "fd003": 10.2}
_SCORE = {"fd001": 220.0, "fd003": 225.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cmapss", type=Path, required=True, help="folder of the C-MAPSS files")


def run(options: argparse.Namespace) -> Iterator[Figure]:
    try:
        fleets = read_fleets(options.cmapss)
    except CmapssError as error:
        raise CommandError(str(error)) from error
    for fleet in fleets:
        with _told(f"{fleet.name} loaded"):
            load_fleet(fleet)
        with _told(f"{fleet.name} compacted"):
            while compact_hot_tail():
                pass
        yield from _measure(fleet)


def _measure(fleet: Fleet) -> Iterator[Figure]:
    name = fleet.name.lower()
    with _told(f"{fleet.name} trained"):
        trained = train_design(design=Design.objects.get(code=f"turbofan-{fleet.name}"), now=timezone.now())
    if trained.training is None:
        raise CommandError(trained.reason)
    yield from _cross_validated(name, trained.training.proof)
    if fleet.left is None:
        return
    tags = [f"{fleet.name}-R{engine.number:03}" for engine in fleet.running]
    with _told(f"{fleet.name} assessed"):
        assess_assets(assets=list(Asset.objects.filter(tag__in=tags).values_list("id", flat=True)), now=timezone.now())
    answers = _ask(fleet.name)
    yield from _official(name, np.array([answers[tag] for tag in tags]), np.array(fleet.left))


def _cross_validated(name: str, proof: ml.Proof) -> Iterator[Figure]:
    judged = proof.exact & (proof.age + 1 >= 20) & (proof.left >= 6) & (proof.left <= 145)
    error = np.minimum(proof.predicted, CAP) - np.minimum(proof.left, CAP)
    yield Figure(name=f"{name}_cv_rmse", value=_rms(error[judged]), unit="cycles", goal=_at_most(_CV_RMSE, name))
    within = judged & (proof.left < CAP)
    held = (proof.low <= proof.left) & (proof.left <= proof.high)
    yield Figure(
        name=f"{name}_coverage_80",
        value=float(held[within].mean()),
        unit="share",
        goal=("within", (0.77, 0.83)),
        digits=3,
    )


def _official(name: str, predicted: Any, truth: Any) -> Iterator[Figure]:
    error = np.minimum(predicted, CAP) - np.minimum(truth, CAP)
    # The score of the PHM 2008 challenge: late predictions cost more than early ones.
    score = float(np.where(error < 0, np.exp(-error / 13) - 1, np.exp(error / 10) - 1).sum())
    yield Figure(name=f"{name}_rmse_capped", value=_rms(error), unit="cycles", goal=_at_most(_RMSE, name))
    yield Figure(name=f"{name}_score_capped", value=score, unit="points", goal=_at_most(_SCORE, name), digits=0)
    yield Figure(name=f"{name}_rmse_raw", value=_rms(predicted - truth), unit="cycles")
    yield Figure(name=f"{name}_rmse_le125", value=_rms((predicted - truth)[truth <= CAP]), unit="cycles")


def _at_most(limits: dict[str, float], name: str) -> tuple[Literal["<="], float] | None:
    """A goal where one was set; other data sets of the folder are measured without."""
    return ("<=", limits[name]) if name in limits else None


def _ask(system: str) -> dict[str, float]:
    """Tag to median life left of every engine that is assessed, as a client of the API is told it."""
    context = Context(principal=Principal(scopes=frozenset([Scope.READ]), rights=Rights.all()))
    answer = async_to_sync(schema.execute)(_QUERY, {"system": system}, context_value=context)
    if answer.errors or not answer.data:
        raise CommandError(f"The API did not answer: {answer.errors}")
    engines = answer.data["system"]["products"]["nodes"]
    return {engine["tag"]: engine["health"]["rul"]["p50"] for engine in engines if engine["health"]}


_QUERY = """query ($system: String!) {
  system(tag: $system) { products(first: 1000) { nodes { tag health { rul { p50 } } } } }
}"""


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say on standard error how long it took; the figures are on standard output."""
    begun = time.monotonic()
    yield
    print(f"{what} in {time.monotonic() - begun:.1f} s", file=sys.stderr)


def _rms(error: Any) -> float:
    return float(np.sqrt(np.mean(np.square(error))))
