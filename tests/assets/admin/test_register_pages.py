"""The register's pages save through the services, and what a service refuses is an error on the page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assets.models import Asset, Design, ExternalReference, Item, MaintenanceEvent, Sensor
from assets.selectors import current_installations
from assets.services import (
    NewAsset,
    NewInstallation,
    NewRelation,
    create_assets,
    create_records,
    create_sensors,
    give_role,
    install_items,
    record_events,
    relate_assets,
)

Snapshot = Callable[[], dict[str, Any]]
INLINES = ("installations", "sensors", "events", "relations_out", "external_references")


def page(asset: Asset | None = None) -> str:
    if asset is None:
        return reverse("admin:twins_assets_asset_add")
    return reverse("admin:twins_assets_asset_change", args=[asset.pk])


def answers(asset: Asset, **changed: Any) -> dict[str, Any]:
    """What a browser posts for the page of an asset."""
    fields = {
        "tag": asset.tag, "name": asset.name, "level": asset.level, "status": asset.status, "criticality": "3",
        "parent": asset.parent_id or "", "type": "", "design": "", "attributes": "{}",
    }  # fmt: skip
    counts = {f"{inline}-{kind}_FORMS": "0" for inline in INLINES for kind in ("TOTAL", "INITIAL")}
    return {**fields, **counts, **changed}


def test_a_created_asset_has_its_place_in_the_tree(planner: Client, plant: dict[str, Asset]) -> None:
    new = Asset(tag="SEAL", name="Seal", level="part", parent=plant["T1-PU"])
    response = planner.post(page(), answers(new))
    assert response.status_code == 302
    stored = Asset.objects.get(tag="SEAL")
    assert stored.path == [*plant["T1-PU"].path, stored.pk]
    assert stored.root_id == plant["P"].pk


def test_an_asset_comes_with_its_sensors_item_and_events(
    planner: Client, plant: dict[str, Asset], items: list[Item]
) -> None:
    new = Asset(tag="SEAL", name="Seal", level="part", parent=plant["T1-PU"])
    rows = {
        "sensors-TOTAL_FORMS": "1", "sensors-0-name": "VIB", "sensors-0-quantity": "vibration",
        "sensors-0-unit": "mm/s", "sensors-0-role": "measurement", "sensors-0-privacy": "raw",
        "installations-TOTAL_FORMS": "1", "installations-0-item": items[0].pk,
        "installations-0-installed_at_0": "2026-01-02", "installations-0-installed_at_1": "00:00:00",
        "events-TOTAL_FORMS": "1", "events-0-kind": "failure", "events-0-started_at_0": "2026-01-03",
        "events-0-started_at_1": "00:00:00",
    }  # fmt: skip
    response = planner.post(page(), answers(new, **rows))
    assert response.status_code == 302
    asset = Asset.objects.get(tag="SEAL")
    assert [sensor.name for sensor in asset.sensors.all()] == ["VIB"]
    assert current_installations([asset.pk])[asset.pk].item == items[0]
    assert [event.kind for event in asset.events.all()] == ["failure"]


def test_a_moved_asset_takes_its_subtree_along(planner: Client, plant: dict[str, Asset]) -> None:
    response = planner.post(page(plant["T1-PU"]), answers(plant["T1-PU"], parent=plant["T2"].pk, name="Feed pump"))
    assert response.status_code == 302
    assert Asset.objects.get(tag="T1-PU").name == "Feed pump"
    assert Asset.objects.get(tag="T1-DE").path == [*plant["T2"].path, plant["T1-PU"].pk, plant["T1-DE"].pk]


@pytest.mark.parametrize(
    ("tag", "changed", "words"),
    [
        ("P", {"parent": "T1"}, "cannot move below"),
        ("T1", {"level": "part"}, "is a product and cannot stand below"),
        ("T1-DE", {"tag": "T2-DE"}, "already used in this tree"),
        ("T1-DE", {"criticality": "9"}, "criticality: give 1 (negligible) to 5 (essential)."),
    ],
)
def test_a_refusal_is_an_error_of_the_form_and_keeps_what_was_typed(
    planner: Client, plant: dict[str, Asset], register: Snapshot, tag: str, changed: dict[str, Any], words: str
) -> None:
    before = register()
    if "parent" in changed:
        changed = {"parent": plant[changed["parent"]].pk}
    response = planner.post(page(plant[tag]), answers(plant[tag], **{"name": "typed name", **changed}))
    text = response.content.decode()
    assert response.status_code == 200
    assert words in text
    assert 'value="typed name"' in text
    assert register() == before


def test_an_item_that_is_elsewhere_is_refused_and_nothing_else_is_saved(
    planner: Client, plant: dict[str, Asset], items: list[Item], day: Callable[[int], datetime], register: Snapshot
) -> None:
    install_items(installations=[NewInstallation(asset=plant["T2-DE"], item=items[0], start=day(1))])
    before = register()
    rows = {
        "installations-TOTAL_FORMS": "1", "installations-0-item": items[0].pk,
        "installations-0-installed_at_0": "2026-01-02", "installations-0-installed_at_1": "00:00:00",
    }  # fmt: skip
    response = planner.post(page(plant["T1-DE"]), answers(plant["T1-DE"], name="typed name", **rows))
    assert response.status_code == 200
    assert "S0 cannot be at &#x27;T1-DE&#x27;" in response.content.decode()
    assert register() == before


def test_an_item_is_replaced_in_one_step(
    planner: Client, plant: dict[str, Asset], items: list[Item], day: Callable[[int], datetime]
) -> None:
    asset = plant["T1-DE"]
    install_items(installations=[NewInstallation(asset=asset, item=items[0], start=day(1))])
    rows = {
        "installations-TOTAL_FORMS": "1", "installations-0-item": items[1].pk,
        "installations-0-installed_at_0": "2026-01-05", "installations-0-installed_at_1": "00:00:00",
        "installations-0-replaces_because": "worn",
    }  # fmt: skip
    response = planner.post(page(asset), answers(asset, **rows))
    assert response.status_code == 302
    first, second = asset.installations.order_by("period")
    assert (first.item, first.period.upper, first.removal_reason) == (items[0], day(5), "worn")
    assert (second.item, second.period.lower, second.period.upper) == (items[1], day(5), None)


def test_an_installation_is_ended_on_its_own_page(
    planner: Client, plant: dict[str, Asset], items: list[Item], day: Callable[[int], datetime]
) -> None:
    [row] = install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[0], start=day(3))])
    address = reverse("admin:twins_assets_installation_change", args=[row.pk])
    too_early = {"removed_at_0": "2026-01-02", "removed_at_1": "00:00:00", "removal_reason": "noise"}
    refused = planner.post(address, too_early)
    assert refused.status_code == 200
    assert "choose a later time" in refused.content.decode()
    assert planner.post(address, {**too_early, "removed_at_0": "2026-01-04"}).status_code == 302
    row.refresh_from_db()
    assert (row.period.upper, row.removal_reason) == (day(4), "noise")
    # What has ended is history: the page shows it and takes no change.
    assert planner.get(address).status_code == 200
    assert planner.post(address, too_early).status_code == 403


@pytest.mark.parametrize(
    "model", ["assettype", "design", "asset", "item", "installation", "sensor", "maintenanceevent"]
)
def test_every_list_and_page_opens_and_searches(
    planner: Client,
    plant: dict[str, Asset],
    items: list[Item],
    design: Design,
    day: Callable[[int], datetime],
    model: str,
) -> None:
    install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[0], start=day(3))])
    create_sensors(sensors=[Sensor(asset=plant["T1-DE"], name="VIB", quantity="vibration")])
    record_events(events=[MaintenanceEvent(asset=plant["T1-DE"], kind="failure", started_at=day(9))])
    index = reverse(f"admin:twins_assets_{model}_changelist")
    listing = planner.get(index, {"q": "x"})
    assert listing.status_code == 200
    rows = planner.get(index).context["cl"].result_list
    assert planner.get(reverse(f"admin:twins_assets_{model}_change", args=[rows[0].pk])).status_code == 200


def test_no_list_asks_for_each_of_its_rows(
    client: Client, plant: dict[str, Asset], items: list[Item], day: Callable[[int], datetime]
) -> None:
    head = User.objects.create_superuser("head")
    client.force_login(head)
    models = [model for model in admin.site._registry if model._meta.app_label == "twins_assets"]

    def one_more_of_each(tag: str, item: Item) -> None:
        asset = plant[tag]
        [installation] = install_items(installations=[NewInstallation(asset=asset, item=item, start=day(3))])
        [sensor] = create_sensors(sensors=[Sensor(asset=asset, name="VIB", quantity="vibration")])
        [event] = record_events(events=[MaintenanceEvent(asset=asset, item=item, kind="failure", started_at=day(9))])
        wish = NewRelation(source=asset, target=plant["P"], kind="feeds", start=day(1))
        [relation] = relate_assets(relations=[wish])
        targets = {"installation": installation, "sensor": sensor, "event": event, "relation": relation, "item": item}
        keys = [ExternalReference(system="SAP", key=f"{tag} {name}", **{name: row}) for name, row in targets.items()]
        create_records(records=keys)
        give_role(role="viewer", user=head, asset=asset)

    def statements() -> dict[str, int]:
        taken = {}
        for model in models:
            with CaptureQueriesContext(connection) as asked:
                name = f"admin:twins_assets_{model._meta.model_name}_changelist"
                assert client.get(reverse(name)).status_code == 200
            taken[model.__name__] = len(asked)
        return taken

    one_more_of_each("T1-DE", items[0])
    statements()  # looks up what a process looks up once
    few = statements()
    one_more_of_each("T2-DE", items[1])
    one_more_of_each("T2-NDE", items[2])
    assert statements() == few
    assert max(few.values()) <= 15


def test_assets_are_found_by_tag_name_and_serial_number(
    planner: Client, plant: dict[str, Asset], items: list[Item], day: Callable[[int], datetime]
) -> None:
    install_items(
        installations=[
            NewInstallation(asset=plant["T1-DE"], item=items[2], start=day(1), end=day(2)),
            NewInstallation(asset=plant["T1-DE"], item=items[2], start=day(3)),
        ]
    )
    index = reverse("admin:twins_assets_asset_changelist")

    def found(**asked: str) -> list[str]:
        return [asset.tag for asset in planner.get(index, asked).context["cl"].result_list]

    assert found(q="t1-nde") == ["T1-NDE"]
    assert found(q="non-drive") == ["T1-NDE", "T2-NDE"]
    assert found(q="S2") == ["T1-DE"]
    assert found(level__exact="product") == ["T1-PU", "T2-PU"]
    assert found(status__exact="retired") == []


def test_who_is_not_staff_is_sent_to_the_login(client: Client, plant: dict[str, Asset]) -> None:
    response = client.get(page(plant["P"]))
    assert response.status_code == 302
    assert response.url.startswith(reverse("admin:login"))


def test_nothing_of_the_register_is_deleted_by_hand(planner: Client, plant: dict[str, Asset]) -> None:
    assert planner.post(reverse("admin:twins_assets_asset_delete", args=[plant["T1-DE"].pk])).status_code == 403


def test_list_and_page_take_the_same_number_of_statements_for_any_number_of_rows(
    planner: Client, design: Design
) -> None:
    def statements(count: int) -> tuple[int, int]:
        made: dict[str, Any] = {"level": "part", "type": design.type, "design": design, "parent": f"{count}"}
        rows = [NewAsset(tag=f"{count}-{n}", name="p", **made) for n in range(count)]
        asset = create_assets(rows=[NewAsset(tag=f"{count}", name="top", level="part"), *rows])[f"{count}-0"]
        create_sensors(sensors=[Sensor(asset=asset, name=f"{n}", quantity="q") for n in range(count)])
        with CaptureQueriesContext(connection) as listing:
            assert planner.get(reverse("admin:twins_assets_asset_changelist")).status_code == 200
        with CaptureQueriesContext(connection) as form:
            assert planner.get(page(asset)).status_code == 200
        return len(listing), len(form)

    statements(2)  # looks up what a process looks up once
    few, many = statements(60), statements(200)  # more than a page each
    assert few == many
    assert max(many) <= 15
