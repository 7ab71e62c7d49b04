"""Each service refuses an actor whose role does not reach what it touches, and nothing has changed then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets import services as s
from assets.exceptions import NotAllowed
from assets.models import Asset, AssetType, Change, Design, ExternalReference, Item, MaintenanceEvent, Role, Sensor

Plant = dict[str, Asset]
Day = Callable[[int], datetime]
KEEPERS = {Role.PLANNER, Role.ENGINEER, Role.INTEGRATOR, Role.ADMINISTRATOR}


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada")


def _deeds(plant: Plant, items: list[Item], design: Design, day: Day, train: str) -> dict[str, Callable[..., Any]]:
    """A call of each service about one train, each possible after those before it."""
    part, other, pump = plant[f"{train}-DE"], plant[f"{train}-NDE"], plant[f"{train}-PU"]
    first, second = items[:2] if train == "T1" else items[2:]

    def changed(name: str) -> Asset:
        fresh = Asset.objects.get(pk=part.pk)
        fresh.name = name
        return fresh

    def event() -> MaintenanceEvent:
        return MaintenanceEvent(asset=part, kind="inspection", started_at=day(3))

    def edited_sensor() -> Sensor:
        sensor = Sensor.objects.get(name=f"S-{train}")
        sensor.quantity = "changed"
        return sensor

    return {
        "create": lambda **a: s.create_assets(
            rows=[s.NewAsset(tag=f"N{train}", name="n", level="part")], under=pump, **a
        ),
        "change": lambda **a: s.change_asset(asset=changed("n"), **a),
        "move": lambda **a: s.move_asset(asset=part, parent=plant[train], **a),
        "install": lambda **a: s.install_items(
            installations=[s.NewInstallation(asset=part, item=first, start=day(1))], **a
        ),
        "replace": lambda **a: s.replace_item(asset=part, item=second, at=day(2), reason="worn", **a),
        "remove": lambda **a: s.remove_item(asset=part, at=day(3), reason="worn", **a),
        "sensor": lambda **a: s.create_sensors(sensors=[Sensor(asset=part, name=f"S-{train}", quantity="q")], **a),
        "edit": lambda **a: s.save_record(record=edited_sensor(), **a),
        "event": lambda **a: s.record_events(events=[event()], **a),
        "key": lambda **a: s.save_record(record=ExternalReference(system="SAP", key=train, asset=part), **a),
        "relate": lambda **a: s.relate_assets(
            relations=[s.NewRelation(source=part, target=other, kind="cools", start=day(1))], **a
        ),
        "retire": lambda **a: s.retire_assets(assets=[part], at=day(9), **a),
    }


@pytest.mark.parametrize("role", list(Role))
def test_a_role_writes_in_its_subtree_and_nowhere_else(
    ada: User, plant: Plant, items: list[Item], design: Design, day: Day, register: Callable[[], Any], role: Role
) -> None:
    s.give_role(role=role, user=ada, asset=plant["T1"])
    inside = _deeds(plant, items, design, day, "T1")
    outside = _deeds(plant, items, design, day, "T2")
    for name in inside:
        if role in KEEPERS:
            inside[name](actor=ada)
        before = register()
        with pytest.raises(NotAllowed, match="ada may not"):
            outside[name](actor=ada)
        assert register() == before, name
        outside[name]()  # the system itself may, and what comes next needs it
    assert Change.objects.filter(user=ada).exists() == (role in KEEPERS)


def test_who_moves_an_asset_may_change_where_it_stood_and_where_it_comes_to_stand(ada: User, plant: Plant) -> None:
    for tag in ("T1-DE", "T2-PU"):
        s.give_role(role=Role.PLANNER, user=ada, asset=plant[tag])
    refused = [(plant["T1-DE"], plant["T2-PU"]), (plant["T2-DE"], plant["T1-PU"]), (plant["T2-DE"], None)]
    for asset, parent in refused:
        with pytest.raises(NotAllowed):
            s.move_asset(asset=asset, parent=parent, actor=ada)
        changed = Asset.objects.get(pk=asset.pk)
        changed.parent = parent
        with pytest.raises(NotAllowed):
            s.change_asset(asset=changed, actor=ada)
        assert Asset.objects.get(pk=asset.pk).parent_id == asset.parent_id
    s.give_role(role=Role.PLANNER, user=ada, asset=plant["T1-PU"])
    assert s.move_asset(asset=plant["T1-DE"], parent=plant["T2-PU"], actor=ada).parent_id == plant["T2-PU"].pk


def test_what_is_shared_is_written_with_a_role_in_the_whole_register(ada: User, plant: Plant, design: Design) -> None:
    s.give_role(role=Role.ADMINISTRATOR, user=ada, asset=plant["P"])
    kind = AssetType.objects.get()
    for record in (AssetType(code="x", name="x"), kind, design, Design(type=kind, code="y", name="y")):
        with pytest.raises(NotAllowed, match="need a role in all of it"):
            s.save_record(record=record, actor=ada)
    with pytest.raises(NotAllowed):
        s.create_assets(rows=[s.NewAsset(tag="TOP", name="t", level="system")], actor=ada)
    s.give_role(role=Role.PLANNER, user=ada)
    s.save_record(record=AssetType(code="x", name="x"), actor=ada)
    s.create_assets(rows=[s.NewAsset(tag="TOP", name="t", level="system")], actor=ada)


def test_what_cannot_be_seen_cannot_be_named(
    ada: User, plant: Plant, items: list[Item], design: Design, day: Day
) -> None:
    s.install_items(installations=[s.NewInstallation(asset=plant["T2-DE"], item=items[0], start=day(1))])
    s.remove_item(asset=plant["T2-DE"], at=day(2), reason="out")
    secret = Design.objects.create(type=design.type, code="SECRET", name="x")
    Asset.objects.filter(tag="T2-PU").update(design=secret)
    s.give_role(role=Role.PLANNER, user=ada, asset=plant["T1"])
    with pytest.raises(NotAllowed, match="may not use item"):
        s.install_items(installations=[s.NewInstallation(asset=plant["T1-DE"], item=items[0], start=day(3))], actor=ada)
    with pytest.raises(NotAllowed, match="may not use design"):
        s.create_items(items=[Item(design=secret, serial_number="1")], actor=ada)
    with pytest.raises(NotAllowed, match="may not use design"):
        s.create_assets(
            rows=[s.NewAsset(tag="N", name="n", level="part", design=secret)], under=plant["T1-PU"], actor=ada
        )
    event = MaintenanceEvent(asset=plant["T1-DE"], item=items[0], kind="failure", started_at=day(3))
    with pytest.raises(NotAllowed, match="may not use item"):
        s.record_events(events=[event], actor=ada)


def test_a_sensor_is_not_taken_away_to_another_subtree(ada: User, plant: Plant) -> None:
    [sensor] = s.create_sensors(sensors=[Sensor(asset=plant["T2-DE"], name="S", quantity="q")])
    s.give_role(role=Role.PLANNER, user=ada, asset=plant["T1"])
    sensor.asset = plant["T1-DE"]
    with pytest.raises(NotAllowed):
        s.save_record(record=sensor, actor=ada)
    assert Sensor.objects.get().asset_id == plant["T2-DE"].pk


def test_an_actor_costs_as_many_statements_for_a_thousand_rows_as_for_ten(ada: User, plant: Plant) -> None:
    s.give_role(role=Role.PLANNER, user=ada, asset=plant["T1"])
    counts = []
    for count in (10, 1000):
        sensors = [Sensor(asset=plant["T1-DE"], name=f"{count} {n}", quantity="q") for n in range(count)]
        with CaptureQueriesContext(connection) as asked:
            s.create_sensors(sensors=sensors, actor=ada)
        counts.append(len(asked))
    assert counts[0] == counts[1]
