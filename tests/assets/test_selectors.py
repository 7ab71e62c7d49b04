"""Selectors answer for many assets in one statement, and say the same as walking the tree by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from assets.models import Asset, Item, MaintenanceEvent, Sensor
from assets.selectors import ancestors, current_installations, installation_history, latest_events, sensors_of, subtree
from assets.services import NewInstallation, create_sensors, install_items, record_events

Day = Callable[[int], datetime]


def tags(found: dict[int, list[Asset]]) -> list[list[str]]:
    return [[asset.tag for asset in assets] for assets in found.values()]


def test_subtrees_come_with_parents_before_children(plant: dict[str, Asset], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        found = subtree([plant["T1"].pk, plant["T1-PU"].pk, plant["T2-DE"].pk])
    assert {key: [asset.tag for asset in assets] for key, assets in found.items()} == {
        plant["T1"].pk: ["T1", "T1-PU", "T1-DE", "T1-NDE"],
        plant["T1-PU"].pk: ["T1-PU", "T1-DE", "T1-NDE"],
        plant["T2-DE"].pk: ["T2-DE"],
    }


def test_ancestors_come_from_the_top_down(plant: dict[str, Asset], django_assert_num_queries: Any) -> None:
    asked = [plant["P"].pk, plant["T1-DE"].pk, plant["T2-DE"].pk]
    with django_assert_num_queries(1):
        found = ancestors(asked)
    assert {key: [asset.tag for asset in assets] for key, assets in found.items()} == {
        plant["P"].pk: [],
        plant["T1-DE"].pk: ["P", "T1", "T1-PU"],
        plant["T2-DE"].pk: ["P", "T2", "T2-PU"],
    }


def test_what_is_installed_now_and_at_an_instant(
    plant: dict[str, Asset], items: list[Item], day: Day, django_assert_num_queries: Any
) -> None:
    here, there = plant["T1-DE"], plant["T2-DE"]
    wishes = [
        NewInstallation(asset=here, item=items[0], start=day(1), end=day(3)),
        NewInstallation(asset=here, item=items[1], start=day(3)),
    ]
    install_items(installations=wishes)
    keys = [here.pk, there.pk]
    with django_assert_num_queries(1):
        now = {key: str(row.item.design.type) for key, row in current_installations(keys).items()}
    assert now == {here.pk: "Rolling bearing"}
    assert current_installations(keys)[here.pk].item == items[1]
    assert current_installations(keys, at=day(2))[here.pk].item == items[0]
    with django_assert_num_queries(1):
        assert [row.item for row in installation_history(keys)[here.pk]] == [items[1], items[0]]


def test_sensors_and_events_are_grouped_by_asset(
    plant: dict[str, Asset], day: Day, django_assert_num_queries: Any
) -> None:
    here, there = plant["T1-DE"], plant["T2-DE"]
    create_sensors(sensors=[Sensor(asset=here, name=name, quantity="power") for name in "BA"])
    times = [day(1) + timedelta(hours=number) for number in range(5)]
    record_events(events=[MaintenanceEvent(asset=here, kind="inspection", started_at=time) for time in times])
    with django_assert_num_queries(1):
        sensors = sensors_of([here.pk, there.pk])
    assert {key: [sensor.name for sensor in rows] for key, rows in sensors.items()} == {
        here.pk: ["A", "B"],
        there.pk: [],
    }
    with django_assert_num_queries(1):
        events = latest_events([here.pk, there.pk], limit=2)
    assert [event.started_at for event in events[here.pk]] == times[:2:-1]
    assert events[there.pk] == []
