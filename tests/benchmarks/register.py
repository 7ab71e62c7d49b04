"""How fast the register is with 100,000 assets and 400,000 sensors, made through the services that everybody uses."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from django.urls import reverse

from assets.models import Asset, Sensor
from assets.selectors import subtree
from assets.services import NewAsset, create_assets, create_sensors, move_asset
from config.benchmarks import Figure
from tests.benchmarks._import_against_copy import import_rows_vs_copy
from tests.benchmarks._pages import addresses, planner, visit

UNITS = 20
BELOW = 5000
SENSORS = 4
_TIMES = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--units", type=int, default=UNITS, help=f"trees of {BELOW} assets below one site")


def run(options: argparse.Namespace) -> Iterator[Figure]:
    units = _plant(options.units)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    asked = _milliseconds(lambda: len(subtree([units[0].pk])[units[0].pk]))
    yield Figure(name="subtree_5000_ms", value=asked, unit="ms", digits=1)
    yield from _pages()
    # There and back again, so that each move meets the same register.
    halls = [Asset.objects.get(tag="HALL-A"), Asset.objects.get(tag="HALL-B")]
    moved = _milliseconds(lambda: [move_asset(asset=units[0], parent=hall) for hall in halls]) / 2
    yield Figure(name="move_5000_ms", value=moved, unit="ms", digits=1)
    ratio = import_rows_vs_copy(options.units)
    yield Figure(name="import_rows_vs_copy", value=ratio, unit="ratio", goal=(">=", 0.1), digits=3)


def _pages() -> Iterator[Figure]:
    """The first page of the tree, and the worst of all pages of the register, with the statements each takes."""
    client = planner()
    first = visit(client, reverse("admin:twins_assets_asset_tree"))
    yield Figure(name="tree_first_page_ms", value=first.milliseconds, unit="ms", goal=("<=", 300), digits=1)
    yield Figure(name="tree_first_page_queries", value=first.statements, unit="statements", goal=("<=", 15), digits=0)
    visits = [first, *(visit(client, address) for address in addresses())]
    slowest = max(each.milliseconds for each in visits)
    yield Figure(name="worst_admin_page_ms", value=slowest, unit="ms", goal=("<=", 300), digits=1)
    most = max(each.statements for each in visits)
    yield Figure(name="worst_admin_page_queries", value=most, unit="statements", goal=("<=", 15), digits=0)


def _plant(count: int) -> list[Asset]:
    """A site of `count` units in hall A, each of BELOW assets with SENSORS sensors; says how long it took."""
    begun = time.monotonic()
    tops = [NewAsset(tag=tag, name=tag, level="system") for tag in ("SITE", "HALL-A", "HALL-B")]
    site = create_assets(rows=tops[:1])["SITE"]
    hall = create_assets(rows=tops[1:], under=site)["HALL-A"]
    units = []
    for unit in range(count):
        made = create_assets(rows=list(_rows(f"U{unit}")), under=hall)
        units.append(made[f"U{unit}"])
        create_sensors(sensors=[sensor for asset in made.values() for sensor in _sensors(asset)])
    print(f"{count * BELOW} assets in {time.monotonic() - begun:.1f} s", file=sys.stderr)
    return units


def _rows(unit: str) -> Iterator[NewAsset]:
    yield NewAsset(tag=unit, name=unit, level="product")
    for number in range(1, BELOW):
        # Ten parts below each, four levels deep.
        above = unit if number <= 10 else f"{unit}-{(number - 1) // 10}"
        yield NewAsset(tag=f"{unit}-{number}", name=f"Part {number}", level="part", parent=above)


def _sensors(asset: Asset) -> Iterator[Sensor]:
    for number in range(SENSORS):
        yield Sensor(asset=asset, name=f"t{number}", quantity="temperature", unit="Cel", valid_min=-40.0)


def _milliseconds(call: Callable[[], Any]) -> float:
    taken = []
    for _ in range(_TIMES):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1000
