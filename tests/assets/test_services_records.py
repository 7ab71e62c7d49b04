"""Sensors, items and events come in many at a time, all or none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets.exceptions import AlreadyExists, InvalidValue
from assets.models import Asset, Design, Item, MaintenanceEvent, Sensor
from assets.services import create_items, create_sensors, record_events, save_record

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Snapshot = Callable[[], dict[str, Any]]


def test_rows_come_back_with_their_ids_in_order(plant: dict[str, Asset], items: list[Item]) -> None:
    sensors = create_sensors(sensors=[Sensor(asset=plant["T1"], name=name, quantity="power") for name in "BAC"])
    assert [(sensor.pk, sensor.name) for sensor in sensors] == list(
        Sensor.objects.order_by("pk").values_list("pk", "name")
    )
    events = record_events(events=[MaintenanceEvent(asset=plant["T1"], kind="failure", started_at=NOW)])
    assert list(MaintenanceEvent.objects.values_list("pk", "kind")) == [(events[0].pk, "failure")]
    assert [item.serial_number for item in Item.objects.order_by("pk")] == ["S0", "S1", "S2", "S3"]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "Row 1, name"),
        ("role", "guess", "Row 1, role"),
        ("expected_interval", 0.0, "expected_interval: give more than 0"),
        ("expected_interval", float("nan"), "Row 1, expected_interval: nan"),
        ("valid_max", float("inf"), "Row 1, valid_max"),
    ],
)
def test_a_bad_sensor_refuses_all(
    plant: dict[str, Asset], register: Snapshot, field: str, value: object, words: str
) -> None:
    before = register()
    good, bad = (Sensor(asset=plant["T1"], name=name, quantity="power") for name in ("A", "B"))
    setattr(bad, field, value)
    with pytest.raises(InvalidValue, match=words):
        create_sensors(sensors=[good, bad])
    assert register() == before


def test_names_and_serial_numbers_are_taken_once(
    plant: dict[str, Asset], design: Design, items: list[Item], register: Snapshot
) -> None:
    create_sensors(sensors=[Sensor(asset=plant["T1"], name="A", quantity="power")])
    before = register()
    with pytest.raises(AlreadyExists, match="sensor of that name"):
        create_sensors(sensors=[Sensor(asset=plant["T1"], name=name, quantity="power") for name in "BA"])
    with pytest.raises(AlreadyExists, match="serial number already"):
        create_items(items=[Item(design=design, serial_number=number) for number in ("new", "S1")])
    assert register() == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"kind": "party"}, "Row 0, kind"),
        ({"started_at": datetime(2026, 1, 1)}, "Row 0, started_at.*no time zone"),  # noqa: DTZ001
        ({"ended_at": datetime(2025, 1, 1, tzinfo=UTC)}, "ended_at: is before the start"),
        ({"downtime_hours": -1.0}, "downtime_hours: give 0 or more"),
    ],
)
def test_a_bad_event_is_refused(plant: dict[str, Asset], register: Snapshot, more: dict[str, Any], words: str) -> None:
    before = register()
    fields = {"kind": "failure", "started_at": NOW, **more}
    with pytest.raises(InvalidValue, match=words):
        record_events(events=[MaintenanceEvent(asset=plant["T1"], **fields)])
    assert register() == before


def test_a_changed_record_keeps_the_same_rules(design: Design, items: list[Item]) -> None:
    items[0].serial_number = "S1"
    with pytest.raises(AlreadyExists):
        save_record(record=items[0])
    items[0].serial_number = "S9"
    assert save_record(record=items[0]) is items[0]
    assert Item.objects.get(pk=items[0].pk).serial_number == "S9"
    design.expected_life = -1.0
    with pytest.raises(InvalidValue, match="expected_life: give more than 0"):
        save_record(record=design)


def _statements(count: int, asset: Asset, design: Design) -> list[int]:
    calls: list[Callable[[], Any]] = [
        lambda: create_sensors(sensors=[Sensor(asset=asset, name=f"{count}-{n}", quantity="q") for n in range(count)]),
        lambda: create_items(items=[Item(design=design, serial_number=f"{count}-{n}") for n in range(count)]),
        lambda: record_events(
            events=[MaintenanceEvent(asset=asset, kind="failure", started_at=NOW) for _ in range(count)]
        ),
    ]
    counts = []
    for call in calls:
        with CaptureQueriesContext(connection) as captured:
            assert len(call()) == count
        counts.append(len(captured))
    return counts


def test_a_thousand_rows_take_as_many_statements_as_ten(plant: dict[str, Asset], design: Design) -> None:
    assert _statements(1000, plant["T1"], design) == _statements(10, plant["T1"], design) == [5, 6, 5]
