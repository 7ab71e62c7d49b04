"""Loads the plant and its two years once. Every step can be interrupted and repeated; nothing is doubled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
from django.db import connection

from assets.models import Asset, Design
from config.demo.history import SEED, history_days, measure_history, readings_table, simulate_history
from config.demo.plant import LAYOUT, POSITIONS, TRAINS
from config.demo.register import DemoPlant, find_plant, lake_keys, mark_loaded, register_plant
from config.demo.simulation import Simulation
from twins.ml import FEWEST_FAILURES
from twins.selectors.health import failures_of_designs
from twins.services.assessment import assess_assets
from twins.services.compaction import compact_hot_tail
from twins.services.ingestion import accept_readings
from twins.services.training import train_designs

Say = Callable[[str], None]
SOURCE = "demo"
CHUNK = 720
"""Instants in one batch: 120 days of all sensors, some 180,000 readings."""
_LOCK = 0x7457_1D5  # any number nobody else locks


def load(*, now: datetime, say: Say = print) -> None:
    """Load the demo plant with a history that ends at `now` (aware), then learn from it and assess it; only once.

    Interrupted, the next call goes on with the `now` of the first, so that no reading and no event is there twice.
    """
    if now.tzinfo is None:
        raise ValueError(f"{now} has no time zone: pass an aware datetime.")
    with _alone():
        plant = find_plant()
        if plant is not None and plant.loaded:
            say("The demo plant is already there.")
            return
        started = time.monotonic()
        plant = load_history(now=now, say=say)
        # The time goes on while the plant loads: what a worker assesses meanwhile must not be newer than this.
        _learn(plant, lambda: now + timedelta(seconds=time.monotonic() - started), _Watch(say))
        mark_loaded(plant)
        say("demo: the plant is ready")


def load_history(*, now: datetime, say: Say = print) -> DemoPlant:
    """Register the plant and put its two years into the lake, or what of it is missing; learns nothing yet."""
    watch, plant = _Watch(say), find_plant()
    seed = plant.seed if plant else SEED
    simulation = simulate_history(seed=seed)
    watch.tell(f"{len(simulation.happenings)} failures, replacements and cleanings happened since commissioning")
    if plant is None:
        plant = register_plant(simulation=simulation, origin=now.replace(microsecond=0).astimezone(UTC), seed=seed)
        watch.tell(f"registered {len(POSITIONS) * len(TRAINS)} parts and {len(LAYOUT.sensors)} sensors")
    count = load_readings(plant=plant, simulation=simulation)
    watch.tell(f"accepted {count:,} readings of two years")
    # A running worker compacts as well; what it holds is readable meanwhile.
    while compact_hot_tail():
        pass
    watch.tell("the readings are in the lake")
    return plant


def load_readings(*, plant: DemoPlant, simulation: Simulation, last: int | None = None) -> int:
    """Send the history in batches whose keys and content depend only on the plant; returns how many readings it has.

    `last` stops after so many batches.
    """
    keys = np.asarray(lake_keys(plant), dtype=np.int32)
    values, there = measure_history(simulation, seed=plant.seed)
    there[:, keys == 0] = False
    days, count = history_days(), 0
    for number, start in enumerate(range(0, len(days), CHUNK)[:last]):
        part = slice(start, start + CHUNK)
        readings = readings_table(
            origin=plant.origin, days=days[part], values=values[part], there=there[part], sensors=keys
        )
        count += accept_readings(readings=readings, source=SOURCE, key=f"history of {plant.root.pk}, {number}").accepted
    return count


class _Watch:
    """Says a line with the seconds it took."""

    def __init__(self, say: Say) -> None:
        self._say, self._since = say, time.monotonic()

    def tell(self, line: str) -> None:
        now = time.monotonic()
        self._say(f"demo: {line} ({now - self._since:.1f} s)")
        self._since = now


@contextmanager
def _alone() -> Iterator[None]:
    """One loader at a time; the lock ends with the connection, so a killed loader leaves none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def _learn(plant: DemoPlant, clock: Callable[[], datetime], watch: _Watch) -> None:
    """Train the designs of the plant's parts and assess every part, through the services that anybody uses.

    Designs that failed too seldom to learn from alone are left to the nightly training: learning from a whole family
    takes longer than a newcomer waits.
    """
    parts = Asset.objects.filter(root=plant.root.pk, design__isnull=False)
    often = [design for design, failures in failures_of_designs().items() if failures >= FEWEST_FAILURES]
    designs = Design.objects.filter(pk__in=parts.filter(design__in=often).values("design")).order_by("code", "pk")
    for trained in train_designs(designs=list(designs), now=clock()):
        watch.tell(trained.reason or f"{trained.design}: a model was learned")
    written = assess_assets(assets=list(parts.values_list("pk", flat=True)), now=clock())
    watch.tell(f"assessed {len(written)} assets")
