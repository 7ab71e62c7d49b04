"""A planner of one subtree finds that subtree in the admin, and nothing else can be opened or saved."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assets.models import Asset, Grant, Item, ParameterDefinition, Sensor
from assets.services import create_records, create_sensors, give_role, save_record

Plant = dict[str, Asset]


@pytest.fixture
def ada(ada: User, plant: Plant, items: list[Item]) -> User:
    """Ada, in a plant with a sensor at each asset and items in stock."""
    create_sensors(sensors=[Sensor(asset=asset, name=f"S-{tag}", quantity="x") for tag, asset in plant.items()])
    return ada


def listed(client: Client, model: str) -> set[str]:
    response = client.get(reverse(f"admin:twins_assets_{model}_changelist"))
    return {str(row) for row in response.context["cl"].result_list}


def change(client: Client, row: Any) -> int:
    return client.get(reverse(f"admin:twins_assets_{row._meta.model_name}_change", args=[row.pk])).status_code


def test_lists_and_pages_end_where_the_role_ends(client: Client, ada: User, plant: Plant) -> None:
    give_role(role="planner", user=ada, asset=plant["T1-PU"])
    assert listed(client, "asset") == {"T1-PU Pump", "T1-DE Drive-end bearing", "T1-NDE Non-drive-end bearing"}
    assert listed(client, "sensor") == {f"S-{tag} of {tag}" for tag in ("T1-PU", "T1-DE", "T1-NDE")}
    assert change(client, plant["T1-DE"]) == 200
    for foreign in (plant["T1"], plant["T2-DE"], Sensor.objects.get(name="S-T2")):
        assert change(client, foreign) == 302  # Django's answer for a row that is not there
    assert client.get(reverse("admin:twins_assets_assettype_changelist")).status_code == 200


def test_who_has_no_role_is_told_why_lists_are_empty(client: Client, ada: User, plant: Plant) -> None:
    for model in ("asset", "item", "assettype"):
        page = client.get(reverse(f"admin:twins_assets_{model}_changelist"))
        assert list(page.context["cl"].result_list) == []
        assert "ask an administrator for one" in page.content.decode()
    give_role(role="viewer", user=ada, asset=plant["T1-DE"])
    page = client.get(reverse("admin:twins_assets_asset_changelist"))
    assert "ask an administrator" not in page.content.decode()


def test_a_viewer_reads_declared_values_with_their_units_and_no_braces(
    client: Client, ada: User, plant: Plant, items: list[Item]
) -> None:
    create_records(
        records=[ParameterDefinition(type=items[0].design.type, subject="item", name="clearance", unit="um")]
    )
    items[0].build = {"clearance": 12.5, "cutter": "C5"}
    save_record(record=items[0])
    give_role(role="viewer", user=ada)
    text = client.get(reverse("admin:twins_assets_item_change", args=[items[0].pk])).content.decode()
    assert "<td>clearance (um)</td><td>12.5</td>" in text
    assert "<td>cutter</td><td>C5</td>" in text
    assert "{&quot;" not in text


def test_the_search_for_a_parent_finds_visible_assets_only(client: Client, ada: User, plant: Plant) -> None:
    give_role(role="planner", user=ada, asset=plant["T1-PU"])
    query = {"app_label": "twins_assets", "model_name": "asset", "field_name": "parent", "term": "T"}
    found = client.get(reverse("admin:autocomplete"), query).json()["results"]
    assert {each["text"].split()[0] for each in found} == {"T1-PU", "T1-DE", "T1-NDE"}


def test_a_viewer_opens_and_cannot_save(client: Client, ada: User, plant: Plant) -> None:
    give_role(role="viewer", user=ada, asset=plant["T1"])
    response = client.get(reverse("admin:twins_assets_asset_change", args=[plant["T1-DE"].pk]))
    assert (response.status_code, response.context["has_change_permission"]) == (200, False)
    address = reverse("admin:twins_assets_asset_change", args=[plant["T1-DE"].pk])
    assert client.post(address, {"tag": "X"}).status_code == 403
    assert Asset.objects.get(pk=plant["T1-DE"].pk).tag == "T1-DE"


def test_without_a_role_there_is_nothing(client: Client, ada: User) -> None:
    assert listed(client, "asset") == listed(client, "item") == set()


def test_roles_are_given_on_their_page_by_who_administers_there(client: Client, ada: User, plant: Plant) -> None:
    give_role(role="administrator", user=ada, asset=plant["T1"])
    bob = User.objects.create_user("bob")
    page = reverse("admin:twins_assets_grant_add")
    form = {"role": "viewer", "user": bob.pk, "group": "", "asset": plant["T1-PU"].pk}
    assert client.post(page, form).status_code == 302
    refused = client.post(page, form | {"asset": plant["T2"].pk})
    assert "ada may not give and take roles at asset" in refused.content.decode()
    assert [grant.asset for grant in Grant.objects.filter(user=bob)] == [plant["T1-PU"]]
    made = Grant.objects.get(user=bob)
    assert client.post(reverse("admin:twins_assets_grant_delete", args=[made.pk]), {"post": "yes"}).status_code == 302
    assert not Grant.objects.filter(user=bob).exists()


def test_rights_cost_a_page_one_statement(client: Client, ada: User, plant: Plant) -> None:
    address = reverse("admin:twins_assets_asset_change", args=[plant["T1-DE"].pk])
    counts = []
    for tag in ("T1", "T2", "P"):
        give_role(role="planner", user=ada, asset=plant[tag])
        with CaptureQueriesContext(connection) as asked:
            assert client.get(address).status_code == 200
        counts.append(len(asked))
        assert sum("twins_assets_grant" in each["sql"] for each in asked) == 1
    assert len(set(counts)) == 1
    assert counts[0] <= 15
