"""Loading on the real database: what is interrupted is repeated, and nothing is there twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.compute as pc
import pytest

from assets.models import Asset, Design, EventKind, Installation, Item, MaintenanceEvent, Sensor
from config.demo.history import SEED, instant, measure_history
from config.demo.loader import CHUNK, load_history, load_readings
from config.demo.register import DemoPlant, find_plant, lake_keys, register_plant, sync_register
from config.demo.simulation import Simulation
from twins.models import Batch
from twins.selectors.readings import scan_readings
from twins.services.compaction import compact_hot_tail

NOW = datetime(2026, 3, 1, 14, 37, 5, 123456, tzinfo=UTC)
ORIGIN = NOW.replace(microsecond=0)

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """Stands for a process that is gone."""


def _register_rows() -> list[int]:
    return [m.objects.count() for m in (Asset, Design, Item, Installation, Sensor, MaintenanceEvent)]


@pytest.fixture
def plant(simulation: Simulation) -> DemoPlant:
    return register_plant(simulation=simulation, origin=ORIGIN)


def test_the_register_holds_the_plant_and_what_happened_in_two_years(plant: DemoPlant, simulation: Simulation) -> None:
    assert Asset.objects.count() == 1 + 2 + 12 + 62
    assert Asset.objects.filter(level="part").count() == 62
    assert Sensor.objects.count() == 249
    assert Installation.objects.filter(period__upper_inf=True).count() == 62
    assert Item.objects.exclude(build={}).count() == Item.objects.count()
    failures = [h for h in simulation.happenings if h.kind == "failure" and h.start > -730]
    recorded = MaintenanceEvent.objects.filter(kind=EventKind.FAILURE)
    assert recorded.count() == len(failures)
    assert not recorded.filter(item=None).exists()
    assert sorted(recorded.values_list("started_at", flat=True)) == sorted(instant(ORIGIN, h.start) for h in failures)


def test_a_failed_items_installation_ends_with_its_failure(plant: DemoPlant) -> None:
    for event in MaintenanceEvent.objects.filter(kind=EventKind.FAILURE):
        installation = Installation.objects.get(item=event.item_id, asset=event.asset_id)
        assert installation.period.upper == event.started_at
        assert installation.removal_reason == event.mode


def test_an_interrupted_registration_leaves_nothing(simulation: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(**_: object) -> None:
        raise Killed

    monkeypatch.setattr("config.demo.register.record_events", dies)
    with pytest.raises(Killed):
        register_plant(simulation=simulation, origin=ORIGIN)
    assert _register_rows() == [0] * 6
    assert find_plant() is None


def test_readings_sent_again_after_a_kill_are_there_once(plant: DemoPlant, simulation: Simulation) -> None:
    load_readings(plant=plant, simulation=simulation, last=1)
    compact_hot_tail()
    load_readings(plant=plant, simulation=simulation, last=2)
    assert Batch.objects.count() == 2
    values, there = measure_history(simulation)
    keys = lake_keys(plant)
    table = scan_readings(sensors=keys)
    assert table.num_rows == there[: 2 * CHUNK].sum()
    assert pc.max(table["time"]).as_py() == instant(ORIGIN, (2 * CHUNK - 1) / 6 - 730)
    chosen = there[: 2 * CHUNK, 17]
    assert (scan_readings(sensors=[keys[17]])["value"].to_numpy() == values[: 2 * CHUNK, 17][chosen]).all()


@pytest.mark.full
def test_a_load_killed_in_the_middle_goes_on_with_its_first_now() -> None:
    def kill(line: str) -> None:
        if "accepted" in line:
            raise Killed

    with pytest.raises(Killed):
        load_history(now=NOW, say=kill)
    before, batches = _register_rows(), Batch.objects.count()
    said: list[str] = []
    plant = load_history(now=NOW + timedelta(hours=5), say=said.append)
    assert (plant.origin, plant.seed, plant.loaded) == (ORIGIN, SEED, False)
    assert _register_rows() == before
    assert Batch.objects.count() == batches
    assert not any("registered" in line for line in said)
    assert pc.max(scan_readings(sensors=lake_keys(plant)[:3])["time"]).as_py() == ORIGIN


def test_what_happens_later_enters_the_register_once(plant: DemoPlant, fresh: Callable[[], Simulation]) -> None:
    later = fresh()
    later.run(until=60.0)
    due = [h for h in later.happenings if h.kind in ("failure", "preventive") and 0 < h.start <= 59]
    before = _register_rows()
    came = sync_register(plant=plant, simulation=later, day=59.0)
    after = _register_rows()
    assert len(due) >= 1
    assert came == len([h for h in due if h.end <= 59])
    assert sync_register(plant=plant, simulation=later, day=59.0) == 0
    assert _register_rows() == after
    assert after[2] == before[2] + came
    assert Installation.objects.filter(period__upper_inf=True).count() == 62 - (len(due) - came)


def test_a_position_that_a_planner_changed_is_left_alone(plant: DemoPlant, fresh: Callable[[], Simulation]) -> None:
    from assets.services import create_items, replace_item

    later = fresh()
    later.run(until=60.0)
    first = next(h for h in later.happenings if h.kind == "failure" and h.start > 0 and h.end < 59)
    open_now = {s.column: s for s in later.stints() if s.train == first.train}
    asset = Asset.objects.get(tag=_tag(first.train, first.column))
    assert open_now
    mine = create_items(items=[Item(design=asset.design, serial_number="mine")])[0]
    replace_item(asset=asset, item=mine, at=ORIGIN + timedelta(minutes=1), reason="by hand")
    sync_register(plant=plant, simulation=later, day=59.0)
    assert Installation.objects.get(asset=asset, period__upper_inf=True).item == mine


def _tag(train: int, column: int) -> str:
    from config.demo.plant import POSITIONS, TRAINS

    return f"{TRAINS[train]}-{POSITIONS[column].tag}"


def test_readings_of_a_sensor_that_was_taken_away_are_left_out(plant: DemoPlant, simulation: Simulation) -> None:
    Sensor.objects.filter(asset__tag="U1", name="grid_voltage").delete()
    keys = lake_keys(plant)
    assert keys.count(0) == 1
    load_readings(plant=plant, simulation=simulation, last=1)
    assert set(scan_readings(sensors=keys)["sensor"].to_pylist()) == set(keys) - {0}
    assert np.all(np.asarray(keys) >= 0)
