"""Roles on a subtree: one predicate decides which rows of every table are seen, and which may be changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from assets.exceptions import AlreadyExists, InvalidValue, NotAllowed
from assets.groups import PLANNERS
from assets.models import (
    Asset,
    AssetType,
    Design,
    ExternalReference,
    FailureCode,
    Grant,
    Installation,
    Item,
    MaintenanceEvent,
    Relation,
    Role,
    Sensor,
    version_models,
)
from assets.permissions import EVERYWHERE, RIGHTS, Action, Reach, predicate_sql, require, rights_of
from assets.services import (
    NewAsset,
    NewInstallation,
    create_assets,
    create_sensors,
    give_role,
    install_items,
    record_events,
    take_role,
)

Plant = dict[str, Asset]
TABLES = list(version_models())
MAY = {
    "viewer": "view",
    "planner": "view record change",
    "engineer": "view record change approve",
    "integrator": "view record change import",
    "administrator": "view record change import approve administer",
}


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.fixture
def furnished(plant: Plant, items: list[Item], day: Callable[[int], datetime]) -> Plant:
    """In each train a sensor, an item with a design of its own, an event; two items and a design in stock."""
    for number, train in enumerate(("T1", "T2")):
        part, item = plant[f"{train}-DE"], items[number]
        kind = AssetType.objects.get(code="bearing")
        item.design = Design.objects.create(type=kind, code=train, name=f"Only in {train}")
        item.save()
        create_sensors(sensors=[Sensor(asset=part, name=train, quantity="vibration", unit="mm/s")])
        install_items(installations=[NewInstallation(asset=part, item=item, start=day(1))])
        record_events(events=[MaintenanceEvent(asset=part, item=item, kind="failure", note=train, started_at=day(2))])
        FailureCode.objects.create(design=item.design, code=train)
        for target in (part, item):
            ExternalReference.objects.create(
                system="SAP", key=f"{train} {target._meta.model_name}", **{str(target._meta.model_name): target}
            )
        Relation.objects.create(source=plant[f"{train}-NDE"], target=part, kind="cools", period=(day(1), None))
    Relation.objects.create(source=plant["T1-DE"], target=plant["T2-DE"], kind="feeds", period=(day(1), None))
    Design.objects.create(type=AssetType.objects.get(code="bearing"), code="NEW", name="Not used yet")
    FailureCode.objects.create(type=AssetType.objects.get(code="bearing"), code="any bearing")
    return plant


def reach_of(user: User, action: Action = Action.VIEW) -> Reach:
    return rights_of(user).reach(action)


def rows(model: type[Model], reach: Reach, name: str) -> set[Any]:
    return set(model._default_manager.filter(reach.of(model)).values_list(name, flat=True))


def test_the_table_of_rights_is_what_the_roles_say() -> None:
    assert {role.value: " ".join(a.name.lower() for a in Action if a in RIGHTS[role]) for role in Role} == MAY


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("action", list(Action))
def test_a_role_holds_in_its_subtree_and_nowhere_else(ada: User, plant: Plant, role: Role, action: Action) -> None:
    give_role(role=role, user=ada, asset=plant["T1"])
    inside = {tag for tag in plant if tag.startswith("T1")} if action in RIGHTS[role] else set()
    assert rows(Asset, reach_of(ada, action), "tag") == inside
    for tag, asset in plant.items():
        if tag in inside:
            require(ada, action, [asset.pk])
        else:
            with pytest.raises(NotAllowed, match=f"ada may not {action} at asset {asset.pk}: "):
                require(ada, action, [plant["T1"].pk, asset.pk] if inside else [asset.pk])
    with pytest.raises(NotAllowed, match="outside of single assets"):
        require(ada, action, [None])


@pytest.mark.parametrize("role", list(Role))
def test_a_role_in_the_whole_register_holds_everywhere(ada: User, plant: Plant, role: Role) -> None:
    give_role(role=role, user=ada)
    for action in Action:
        assert reach_of(ada, action) == (EVERYWHERE if action in RIGHTS[role] else Reach())


def test_what_hangs_on_an_asset_is_seen_with_it(ada: User, furnished: Plant) -> None:
    give_role(role=Role.VIEWER, user=ada, asset=furnished["T1-PU"])
    reach = reach_of(ada)
    assert rows(Sensor, reach, "name") == {"T1"}
    assert rows(MaintenanceEvent, reach, "note") == {"T1"}
    assert rows(Installation, reach, "asset__tag") == {"T1-DE"}
    assert rows(Item, reach, "serial_number") == {"S0", "S2", "S3"}
    assert rows(Design, reach, "code") == {"T1", "NEW"}
    assert rows(AssetType, reach, "code") == {"bearing"}
    assert rows(Grant, reach, "asset__tag") == {"T1-PU"}
    assert rows(FailureCode, reach, "code") == {"T1", "any bearing"}
    assert rows(ExternalReference, reach, "key") == {"T1 asset", "T1 item"}
    assert rows(Relation, reach, "kind") == {"cools"}


def test_who_has_no_role_sees_nothing_of_any_table(ada: User, furnished: Plant) -> None:
    for user in (ada, AnonymousUser(), None):
        for model in TABLES:
            assert rows(model, rights_of(user).reach(Action.VIEW), "pk") == set()


def test_a_superuser_sees_everything_and_nobody_inactive_anything(furnished: Plant) -> None:
    root = User.objects.create_superuser("root")
    assert rights_of(root).reach(Action.ADMINISTER) == EVERYWHERE
    root.is_active = False
    assert not rights_of(root).reach(Action.VIEW)


def test_an_item_that_has_gone_elsewhere_is_seen_and_not_changed(
    ada: User, furnished: Plant, items: list[Item], day: Callable[[int], datetime]
) -> None:
    from assets.services import remove_item

    give_role(role=Role.PLANNER, user=ada, asset=furnished["T1"])
    own = reach_of(ada, Action.CHANGE)
    assert set(Item.objects.filter(own.own(Item)).values_list("serial_number", flat=True)) == {"S0", "S2", "S3"}
    remove_item(asset=furnished["T1-DE"], at=day(3), reason="swap")
    install_items(installations=[NewInstallation(asset=furnished["T2-NDE"], item=items[0], start=day(3))])
    assert set(Item.objects.filter(own.own(Item)).values_list("serial_number", flat=True)) == {"S2", "S3"}
    assert rows(Item, reach_of(ada), "serial_number") == {"S0", "S2", "S3"}


def test_types_and_designs_are_changed_with_a_right_on_the_whole_register_only(ada: User, furnished: Plant) -> None:
    give_role(role=Role.ADMINISTRATOR, user=ada, asset=furnished["P"])
    for model in (AssetType, Design):
        assert not model._default_manager.filter(reach_of(ada, Action.CHANGE).own(model)).exists()
    give_role(role=Role.PLANNER, user=ada)
    for model in (AssetType, Design):
        assert model._default_manager.filter(reach_of(ada, Action.CHANGE).own(model)).exists()


def test_roles_of_groups_count_and_add_up(ada: User, plant: Plant) -> None:
    group = Group.objects.create(name="day shift")
    give_role(role=Role.VIEWER, group=group, asset=plant["T2"])
    give_role(role=Role.ENGINEER, user=ada, asset=plant["T1-PU"])
    assert rows(Asset, reach_of(ada), "tag") == {"T1-PU", "T1-DE", "T1-NDE"}
    ada.groups.add(group)
    assert rows(Asset, reach_of(ada), "tag") == {"T1-PU", "T1-DE", "T1-NDE", "T2", "T2-PU", "T2-DE", "T2-NDE"}
    assert rows(Asset, reach_of(ada, Action.APPROVE), "tag") == {"T1-PU", "T1-DE", "T1-NDE"}


def test_planners_are_a_group_with_that_role_in_the_whole_register(ada: User) -> None:
    ada.groups.add(Group.objects.get(name=PLANNERS))
    assert rights_of(ada).grants == {(Role.PLANNER, None)}


@pytest.mark.parametrize("model", TABLES)
@pytest.mark.parametrize("tops", [None, [], ["T1-PU"], ["T1", "T2-DE"]])
def test_the_predicate_as_text_for_an_alias_selects_the_same_rows(
    furnished: Plant, model: type[Model], tops: list[str] | None
) -> None:
    reach = EVERYWHERE if tops is None else Reach(tops=tuple(furnished[tag].pk for tag in tops))
    text, parameters = predicate_sql(model, "t7", reach)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT t7.id FROM {model._meta.db_table} t7 WHERE {text}", parameters)
        found = {pk for (pk,) in cursor.fetchall()}
    assert found == rows(model, reach, "pk")


def test_the_predicate_walks_the_index_of_paths(plant: Plant) -> None:
    reach = Reach(tops=(plant["T1"].pk,))
    create_assets(rows=[NewAsset(tag=f"S{number}", name="s", level="system") for number in range(300)])
    with connection.cursor() as cursor:
        # Of what is there, not of what other tests have left or somebody has counted since.
        cursor.execute("SELECT gin_clean_pending_list('asset_path_gin')")
        cursor.execute("ANALYZE twins_assets_asset")
        cursor.execute("SET LOCAL enable_seqscan = off")
        text, parameters = predicate_sql(Asset, "t1", reach)
        cursor.execute(f"EXPLAIN SELECT 1 FROM twins_assets_asset t1 WHERE {text}", parameters)
        assert "asset_path_gin" in "\n".join(line for (line,) in cursor.fetchall())


def test_rights_take_one_statement_and_a_check_two_however_many_grants_and_assets(ada: User, plant: Plant) -> None:
    for tag in plant:
        give_role(role=Role.PLANNER, user=ada, asset=plant[tag])
    with CaptureQueriesContext(connection) as asked:
        rights_of(ada)
    assert len(asked) == 1
    with CaptureQueriesContext(connection) as asked:
        require(ada, Action.CHANGE, [asset.pk for asset in plant.values()])
    assert len(asked) == 2


def test_a_role_is_given_by_who_administers_there(ada: User, plant: Plant) -> None:
    bob = User.objects.create_user("bob")
    give_role(role=Role.ADMINISTRATOR, user=ada, asset=plant["T1"])
    grant = give_role(role=Role.VIEWER, user=bob, asset=plant["T1-PU"], actor=ada)
    with pytest.raises(NotAllowed):
        give_role(role=Role.VIEWER, user=bob, asset=plant["T2"], actor=ada)
    with pytest.raises(NotAllowed):
        give_role(role=Role.VIEWER, user=bob, actor=ada)
    with pytest.raises(NotAllowed):
        take_role(grant=grant, actor=bob)
    assert Grant.objects.filter(user=bob).get() == grant
    take_role(grant=grant, actor=ada)
    assert not Grant.objects.filter(user=bob).exists()


def test_a_grant_that_cannot_be_is_refused(ada: User, plant: Plant) -> None:
    give_role(role=Role.VIEWER, user=ada)
    with pytest.raises(AlreadyExists, match="held there already"):
        give_role(role=Role.VIEWER, user=ada)
    with pytest.raises(InvalidValue, match="either to a user or to a group"):
        give_role(role=Role.VIEWER)
    with pytest.raises(InvalidValue, match="role"):
        give_role(role="king", user=ada)
    with pytest.raises(IntegrityError), transaction.atomic():
        Grant.objects.create(role="viewer")
    assert Grant.objects.filter(user=ada).count() == 1


def test_the_command_gives_and_takes_roles(ada: User, plant: Plant) -> None:
    call_command("grant", "engineer", "--user", "ada", "--asset", "T1")
    assert rights_of(ada).grants == {(Role.ENGINEER, plant["T1"].pk)}
    call_command("grant", "viewer", "--user", "ada")
    call_command("grant", "engineer", "--user", "ada", "--asset", "T1", "--take")
    assert rights_of(ada).grants == {(Role.VIEWER, None)}
    with pytest.raises(CommandError, match="no asset 'T9'"):
        call_command("grant", "viewer", "--user", "ada", "--asset", "T9")
    with pytest.raises(CommandError, match="no user 'eve'"):
        call_command("grant", "viewer", "--user", "eve")
    with pytest.raises(CommandError, match="held there already"):
        call_command("grant", "viewer", "--user", "ada")


def test_a_parent_named_by_its_tag_must_lie_where_the_actor_may_change(
    plant: dict[str, Asset], django_user_model: Any
) -> None:
    user = django_user_model.objects.create_user("half")
    Grant.objects.create(user=user, role=Role.ENGINEER, asset=plant["T1"])
    foreign = NewAsset(tag="N", name="New", level="part", parent="T2-PU")
    with pytest.raises(NotAllowed):
        create_assets(rows=[foreign], under=plant["T1"], actor=user)
    assert not Asset.objects.filter(tag="N").exists()
