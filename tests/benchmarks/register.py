"""How fast the register is with 100,000 assets and 400,000 sensors, made through the services that everybody uses."""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from django.urls import reverse

from assets.models import Asset
from assets.selectors import subtree
from assets.services import move_asset
from config.benchmarks import Figure
from tests.benchmarks import _plant
from tests.benchmarks._beliefs import believe
from tests.benchmarks._import_against_copy import import_rows_vs_copy
from tests.benchmarks._pages import Visit, Visitor

UNITS = 20
_TIMES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--units", type=int, default=UNITS, help=f"trees of {_plant.BELOW} assets below one site")


def run(options: argparse.Namespace) -> Iterator[Figure]:
    units = _plant.fill(options.units)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    asked = _milliseconds(lambda: len(subtree([units[0].pk])[units[0].pk]))
    yield Figure(name="subtree_5000_ms", value=asked, unit="ms", digits=1)
    yield from _pages(units)
    # There and back again, so that each move meets the same register.
    halls = [Asset.objects.get(tag="HALL-A"), Asset.objects.get(tag="HALL-B")]
    moved = _milliseconds(lambda: [move_asset(asset=units[0], parent=hall) for hall in halls]) / 2
    yield Figure(name="move_5000_ms", value=moved, unit="ms", digits=1)
    ratio = import_rows_vs_copy(options.units)
    yield Figure(name="import_rows_vs_copy", value=ratio, unit="ratio", goal=(">=", 0.1), digits=3)


def _pages(units: list[Asset]) -> Iterator[Figure]:
    """The first page of the tree, and the worst of all pages that three people open, with the statements it takes."""
    _forget_the_plant()
    desk = Visitor("desk", role="integrator")
    first, _ = desk.visit(reverse("admin:twins_assets_asset_tree"))
    yield Figure(name="tree_first_page_ms", value=first.milliseconds, unit="ms", goal=("<=", 300), digits=1)
    yield Figure(name="tree_first_page_queries", value=first.statements, unit="statements", goal=("<=", 15), digits=0)
    yield from _worst("admin", [first, *desk.tour("twins_assets", units[0])])
    below = Visitor("unit", role="planner", below=units[-1])
    yield from _worst("unit_admin", list(below.tour("twins_assets", units[-1])))
    believe()
    _forget_the_plant()
    yield from _worst("twins_admin", list(Visitor("head", role="administrator").tour("twins", units[0])))
    seen = desk.preview()
    yield Figure(name="import_preview_100_rows_ms", value=seen.milliseconds, unit="ms", goal=("<=", 300), digits=1)


def _forget_the_plant() -> None:
    """As the web server does when it starts: else all objects that made the plant are walked again and again."""
    gc.collect()
    gc.freeze()


def _worst(whose: str, visits: list[Visit]) -> Iterator[Figure]:
    slowest, most = max(each.milliseconds for each in visits), max(each.statements for each in visits)
    yield Figure(name=f"{whose}_pages", value=len(visits), unit="pages", digits=0)
    yield Figure(name=f"worst_{whose}_page_ms", value=slowest, unit="ms", goal=("<=", 300), digits=1)
    yield Figure(name=f"worst_{whose}_page_queries", value=most, unit="statements", goal=("<=", 15), digits=0)


def _milliseconds(call: Callable[[], Any]) -> float:
    taken = []
    for _ in range(_TIMES):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1000
