"""What is done to many assets is asked first, done by the services as one, and refused as one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from assets.models import Asset, Item
from assets.services import NewInstallation, give_role, install_items

Plant = dict[str, Asset]
Snapshot = Callable[[], dict[str, Any]]
INDEX = "admin:twins_assets_asset_changelist"


def act(client: Client, action: str, assets: list[Asset], **answers: Any) -> Any:
    chosen = {"action": action, "_selected_action": [asset.pk for asset in assets], **answers}
    return client.post(reverse(INDEX), chosen)


def test_an_action_asks_before_it_does_anything(planner: Client, plant: Plant, register: Snapshot) -> None:
    before = register()
    for action in ("change_status", "change_criticality", "retire"):
        page = act(planner, action, [plant["T1-DE"], plant["T2-DE"]])
        assert "T1-DE Drive-end bearing" in page.content.decode()
        assert "2 selected" in page.content.decode()
    assert register() == before


def test_status_and_criticality_of_many_are_changed(planner: Client, plant: Plant) -> None:
    chosen = [plant["T1-DE"], plant["T2-DE"]]
    assert act(planner, "change_status", chosen, apply=1, status="standby").status_code == 302
    assert act(planner, "change_criticality", chosen, apply=1, criticality="5").status_code == 302
    stored = Asset.objects.exclude(status="operating").order_by("tag").values_list("tag", "status", "criticality")
    assert list(stored) == [("T1-DE", "standby", 5), ("T2-DE", "standby", 5)]


def test_what_is_retired_takes_along_what_is_below_and_in_it(
    planner: Client, plant: Plant, items: list[Item], day: Callable[[int], datetime], register: Snapshot
) -> None:
    install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[0], start=day(3))])
    before, when = register(), {"at_0": "2026-01-02", "at_1": "00:00:00", "reason": "train is sold", "apply": 1}
    refused = act(planner, "retire", [plant["T1"]], **when)
    assert "choose a later time" in refused.content.decode()
    assert register() == before
    assert act(planner, "retire", [plant["T1"]], **{**when, "at_0": "2026-01-04"}).status_code == 302
    retired = Asset.objects.filter(status="retired", retired_at=day(4)).order_by("tag").values_list("tag", flat=True)
    assert list(retired) == ["T1", "T1-DE", "T1-NDE", "T1-PU"]
    row = plant["T1-DE"].installations.get()
    assert (row.period.upper, row.removal_reason) == (day(4), "train is sold")


def test_an_action_ends_where_the_role_does(client: Client, ada: User, plant: Plant, register: Snapshot) -> None:
    give_role(role="viewer", user=ada)
    give_role(role="planner", user=ada, asset=plant["T2"])
    before = register()
    refused = act(client, "change_status", [plant["T1-DE"], plant["T2-DE"]], apply=1, status="standby")
    assert "ada may not change the register" in refused.content.decode()
    assert register() == before


def test_the_selected_assets_are_exported(planner: Client, plant: Plant) -> None:
    text = act(planner, "export_selected", [plant["T1-DE"]]).content.decode()
    assert "T1-DE" in text
    assert "T2" not in text
