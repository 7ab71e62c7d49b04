"""A row's page of changes says who, when, from where and why, and each field before and after, for every table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assets import models, services
from assets.history import origin
from assets.models import Asset, Item, version_models

Plant = dict[str, Asset]


def history(row: Any) -> str:
    return reverse(f"admin:twins_assets_{row._meta.model_name}_history", args=[row.pk])


# Triggers stamp a change at its commit, so these tests commit.
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_change_is_told_with_both_values(client: Client) -> None:
    boss = User.objects.create_superuser("boss")
    client.force_login(boss)
    plant = services.create_assets(rows=[wish("A"), wish("B")])
    asset = plant["A"]
    asset.name, asset.parent, asset.attributes = "Kessel <1>", plant["B"], {"load": 5, "oil": "VG 46"}
    with origin(source="admin", user=boss, request="r-17", reason="audit"):
        services.change_assets(assets=[asset])
    page = client.get(history(asset))
    newest, first = page.context["changes"]
    assert (newest["kind"], first["kind"]) == ("changed", "created")
    made = newest["made"]
    assert (made.actor, made.source, made.request, made.reason) == ("boss", "admin", "r-17", "audit")
    assert sorted((line["label"], line["old"], line["new"]) for line in newest["differences"]) == [
        ("attributes: load", "", "5"),
        ("attributes: oil", "", "VG 46"),
        ("name", "asset A", "Kessel <1>"),
        ("parent", "", "B asset B"),
    ]
    text = page.content.decode()
    assert "<del>asset A</del>" in text
    assert "<ins>Kessel &lt;1&gt;</ins>" in text
    assert "r-17" in text


def test_a_relation_is_told_in_words(client: Client) -> None:
    client.force_login(User.objects.create_superuser("boss"))
    plant = services.create_assets(rows=[wish("A"), wish("B")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    [relation] = services.relate_assets(
        relations=[services.NewRelation(source=plant["A"], target=plant["B"], kind="feeds", start=start, note="")]
    )
    page = client.get(history(relation))
    assert page.context["title"] == "What became of A feeds B"
    told = {line["label"]: line["new"] for line in page.context["changes"][0]["differences"]}
    assert told["period"] == "from Jan. 1, 2026, midnight"
    services.end_relations(relations=[relation], at=datetime(2026, 2, 1, tzinfo=UTC))
    told = {line["label"]: line["new"] for line in client.get(history(relation)).context["changes"][0]["differences"]}
    assert told["period"] == "from Jan. 1, 2026, midnight to Feb. 1, 2026, midnight"


def wish(tag: str) -> services.NewAsset:
    return services.NewAsset(tag=tag, name=f"asset {tag}", level="system")


def test_what_lies_outside_of_a_role_is_not_named_in_a_history(client: Client, ada: User) -> None:
    plant = services.create_assets(rows=[wish("A"), wish("SECRET")])
    services.move_asset(asset=plant["A"], parent=plant["SECRET"])
    services.give_role(role="viewer", user=ada, asset=plant["A"])
    text = client.get(history(plant["A"])).content.decode()
    assert "SECRET" not in text
    assert f"no. {plant['SECRET'].pk}" in text
    assert client.get(history(plant["SECRET"])).status_code == 302


def test_every_table_of_the_register_has_its_pages() -> None:
    assert set(version_models()) <= set(admin.site._registry)


def test_a_long_history_takes_the_statements_of_a_short_one(client: Client) -> None:
    client.force_login(User.objects.create_superuser("boss"))
    plant = services.create_assets(rows=[wish("A"), wish("B"), wish("C")])
    asset = plant["A"]

    def statements(times: int) -> int:
        for number in range(times):
            asset.name, asset.parent = f"name {number}", plant["BC"[number % 2]]
            services.change_assets(assets=[asset])
        with CaptureQueriesContext(connection) as taken:
            page = client.get(history(asset))
        assert len(page.context["changes"]) <= 100
        return len(taken)

    few = statements(3)
    assert statements(110) == few
    assert few <= 15


def test_the_pages_open_for_each_table(
    client: Client, plant: Plant, items: list[Item], day: Callable[[int], datetime]
) -> None:
    client.force_login(User.objects.create_superuser("boss"))
    place = plant["T1-DE"]
    services.install_items(installations=[services.NewInstallation(asset=place, item=items[0], start=day(1))])
    services.create_sensors(sensors=[models.Sensor(asset=place, name="VIB", quantity="vibration")])
    services.record_events(events=[models.MaintenanceEvent(asset=place, kind="failure", started_at=day(9))])
    other = plant["T2-DE"]
    services.relate_assets(
        relations=[services.NewRelation(source=place, target=other, kind="feeds", start=day(1), note="n")]
    )
    design = items[0].design
    services.create_records(records=[models.ParameterDefinition(design=design, subject="asset", name="load")])
    services.create_records(records=[models.SensorTemplate(design=design, name="VIB", quantity="vibration")])
    services.create_records(records=[models.FailureCode(design=design, code="WEAR")])
    services.create_records(records=[models.ExternalReference(system="SAP", key="1", asset=place)])
    services.give_role(role="viewer", user=User.objects.create_user("bob"), asset=place)
    for model in version_models():
        row = model._default_manager.last()
        name = f"admin:twins_assets_{model._meta.model_name}"
        for address in (reverse(f"{name}_changelist"), reverse(f"{name}_change", args=[row.pk]), history(row)):
            assert client.get(address).status_code == 200, address
        assert client.get(reverse(f"{name}_changelist"), {"q": "bear"}).status_code == 200
        assert client.get(history(row)).context["changes"][0]["kind"] == "created"
