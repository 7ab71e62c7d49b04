"""A plant whose seals wear: 8 places, at each one seal that failed and one that runs. Models are imported late."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

if TYPE_CHECKING:
    from assets.models import Asset, Design

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(hours=12)
PLACES = 8


@dataclass(frozen=True)
class Plant:
    design: Design
    assets: dict[str, Asset]
    keys: dict[tuple[str, str], int]
    """Lake key by tag and name of the sensor."""
    now: datetime

    def part(self, number: int) -> Asset:
        return self.assets[f"S{number}"]

    @property
    def parts(self) -> list[int]:
        return [self.part(number).pk for number in range(PLACES)]


def wear(age: np.ndarray, lasts: float) -> np.ndarray:
    return (age / lasts) ** 3


@pytest.fixture
def seals(transactional_db: None) -> Plant:
    return make_plant(failures=PLACES)


@pytest.fixture
def plants(transactional_db: None) -> Callable[..., Plant]:
    return make_plant


def make_plant(*, failures: int, expected_life: float | None = 60.0) -> Plant:
    from assets.models import AssetType, Design, Sensor
    from assets.services import NewAsset, create_assets, create_sensors
    from twins.services.ingestion import accept_readings

    kind = AssetType.objects.create(code="seal", name="Seal")
    design = Design.objects.create(
        type=kind, code="SEAL", name="Seal", expected_life=expected_life, planning_horizon=30.0
    )
    rows = [NewAsset(tag="P", name="Plant", level="system")]
    for number in range(PLACES):
        rows.append(NewAsset(tag=f"T{number}", name=f"Pump {number}", level="product", parent="P"))
        rows.append(NewAsset(tag=f"S{number}", name="Seal", level="part", parent=f"T{number}", design=design))
    assets = create_assets(rows=rows)
    wanted = [(f"T{n}", "load", "setting") for n in range(PLACES)]
    wanted += [(f"S{n}", name, "measurement") for n in range(PLACES) for name in ("leak", "temperature")]
    sensors = create_sensors(
        sensors=[
            Sensor(asset=assets[tag], name=name, quantity=name, role=role, expected_interval=43_200)
            for tag, name, role in wanted
        ]
    )
    keys = {(tag, name): sensor.pk for (tag, name, _), sensor in zip(wanted, sensors, strict=True)}
    now = BEGIN + timedelta(days=100)
    plant = Plant(design, assets, keys, now)
    accept_readings(readings=_live(plant, failures), source="test", now=now)
    return plant


def _live(plant: Plant, failures: int) -> pa.Table:
    """Install, fail and replace; returns everything that was read."""
    from assets.models import Item, MaintenanceEvent
    from assets.services import NewInstallation, create_items, install_items, record_events

    rng = np.random.default_rng(5)
    days = np.arange(0, 100.01, 0.5)
    wishes, events, rows = [], [], []
    for number in range(PLACES):
        part = plant.part(number)
        lasts = float(rng.integers(45, 65))
        items = create_items(items=[Item(design=plant.design, serial_number=f"{number}-{index}") for index in range(2)])
        end = BEGIN + timedelta(days=lasts)
        if number < failures:
            wishes.append(NewInstallation(asset=part, item=items[0], start=BEGIN, end=end, removal_reason="failure"))
            events.append(MaintenanceEvent(asset=part, item=items[0], kind="failure", started_at=end))
            wishes.append(NewInstallation(asset=part, item=items[1], start=end))
            age = np.where(days <= lasts, days, days - lasts)
        else:
            wishes.append(NewInstallation(asset=part, item=items[0], start=BEGIN))
            age = days
        # The last place has aged most by now.
        worn = wear(age, lasts - 3 * number)
        rows += _columns(plant, number, days, worn, rng)
    install_items(installations=wishes)
    record_events(events=events)
    return _table(rows)


def _columns(plant: Plant, number: int, days: np.ndarray, worn: np.ndarray, rng: Any) -> list[Any]:
    load = rng.choice([50.0, 100.0], len(days))
    return [
        (plant.keys[f"T{number}", "load"], days, load),
        (plant.keys[f"S{number}", "leak"], days, 2 + 10 * worn + rng.normal(0, 0.5, len(days))),
        (plant.keys[f"S{number}", "temperature"], days, 40 + 0.2 * load + 8 * worn + rng.normal(0, 0.5, len(days))),
    ]


def _table(rows: list[Any]) -> pa.Table:
    begin = np.datetime64(BEGIN.replace(tzinfo=None), "us")
    times = [begin + (days * 86_400e6).astype(np.int64) for _, days, _ in rows]
    return pa.table(
        {
            "sensor": pa.array(np.concatenate([np.full(len(days), key, np.int32) for key, days, _ in rows])),
            "time": pa.array(np.concatenate(times)).cast(pa.timestamp("us", "UTC")),
            "value": pa.array(np.concatenate([values for _, _, values in rows])),
            "quality": pa.array(np.zeros(sum(len(days) for _, days, _ in rows), np.int32)),
        }
    )
