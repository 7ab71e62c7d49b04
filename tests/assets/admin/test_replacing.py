"""An item is replaced from the page of its asset in one step, by a spare or by a new one; refused, nothing changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from assets.models import Asset, Item
from assets.selectors import current_installations
from assets.services import NewInstallation, give_role, install_items

Plant = dict[str, Asset]
Snapshot = Callable[[], dict[str, Any]]
Day = Callable[[int], datetime]


def page(asset: Asset) -> str:
    return reverse("admin:twins_assets_asset_replace", args=[asset.pk])


def answers(**changed: Any) -> dict[str, Any]:
    return {"item": "", "serial_number": "", "reason": "worn", "at_0": "2026-01-05", "at_1": "00:00:00", **changed}


@pytest.fixture
def worn(plant: Plant, items: list[Item], day: Day) -> Asset:
    """A bearing with an item in it since the first."""
    install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[0], start=day(1))])
    return plant["T1-DE"]


def test_a_spare_comes_in_where_the_worn_one_came_out(
    planner: Client, worn: Asset, items: list[Item], day: Day
) -> None:
    asset_page = planner.get(reverse("admin:twins_assets_asset_change", args=[worn.pk])).content.decode()
    assert page(worn) in asset_page
    assert planner.get(page(worn)).status_code == 200
    assert planner.post(page(worn), answers(item=items[1].pk)).status_code == 302
    first, second = worn.installations.order_by("period")
    assert (first.item, first.period.upper, first.removal_reason) == (items[0], day(5), "worn")
    assert (second.item, second.period.lower, second.period.upper) == (items[1], day(5), None)


def test_a_new_item_is_made_to_the_design_of_the_old_one(planner: Client, worn: Asset, items: list[Item]) -> None:
    assert planner.post(page(worn), answers(serial_number="NEW-1")).status_code == 302
    there = current_installations([worn.pk])[worn.pk].item
    assert (there.serial_number, there.design) == ("NEW-1", items[0].design)


def test_where_nothing_is_an_item_is_installed(planner: Client, plant: Plant, items: list[Item]) -> None:
    assert planner.post(page(plant["T2-DE"]), answers(item=items[2].pk)).status_code == 302
    assert current_installations([plant["T2-DE"].pk])[plant["T2-DE"].pk].item == items[2]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "Choose an item from stock or give the serial number"),
        ({"item": 1, "serial_number": "X"}, "Choose an item from stock or give the serial number"),
        ({"item": 1, "reason": ""}, "This field is required"),
        ({"item": 1, "at_0": "2025-12-31"}, "choose a later time"),
        ({"serial_number": "NEW-1", "at_0": "2025-12-31"}, "choose a later time"),
        ({"serial_number": "S1"}, "already exists for this design"),
        ({"item": 0}, "S0 is what is there now"),
    ],
)
def test_a_refusal_stays_on_the_page_and_nothing_changes(
    planner: Client, worn: Asset, items: list[Item], register: Snapshot, changed: dict[str, Any], words: str
) -> None:
    if "item" in changed:
        changed = {**changed, "item": items[changed["item"]].pk}
    before = register()
    response = planner.post(page(worn), answers(**changed))
    assert response.status_code == 200
    assert words in response.content.decode()
    assert register() == before


def test_the_choice_offers_what_is_free(planner: Client, worn: Asset, items: list[Item]) -> None:
    query = {"app_label": "twins_assets", "model_name": "installation", "field_name": "item", "term": "S"}
    found = planner.get(reverse("admin:autocomplete"), query).json()["results"]
    assert [each["text"] for each in found] == ["S1", "S2", "S3"]


def test_a_viewer_and_a_stranger_replace_nothing(
    client: Client, ada: User, worn: Asset, plant: Plant, items: list[Item], register: Snapshot
) -> None:
    give_role(role="viewer", user=ada, asset=plant["T1"])
    give_role(role="planner", user=ada, asset=plant["T2"])
    before = register()
    assert client.post(page(worn), answers(item=items[1].pk)).status_code == 403
    assert page(worn) not in client.get(reverse("admin:twins_assets_asset_change", args=[worn.pk])).content.decode()
    assert client.post(page(plant["P"]), answers(item=items[1].pk)).status_code == 302  # not there for her
    assert register() == before
