"""Every change is kept, whoever made it and however, with who, when and why; a past instant reads exactly as it did."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Count
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from psycopg.conninfo import make_conninfo

from assets.exceptions import InvalidValue
from assets.history import Difference, as_of, changes_of, origin, past_tables, request_id, settle
from assets.models import (
    Asset,
    AssetType,
    Change,
    Design,
    ImportDraft,
    Installation,
    Item,
    Sensor,
    Version,
    version_models,
)
from assets.services import (
    NewAsset,
    NewInstallation,
    change_asset,
    create_assets,
    install_items,
    move_asset,
    replace_item,
)
from tests.waiting import PATIENCE, wait_for_lock

pytestmark = pytest.mark.django_db
commits = pytest.mark.django_db(transaction=True)
Plant = dict[str, Asset]


def now() -> datetime:
    """The clock that stamps: the database's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        instant: datetime = cursor.fetchone()[0]
    return instant


def versions(model: type[Any]) -> list[tuple[Any, ...]]:
    kept: Any = version_models()[model]
    return list(kept.objects.order_by("version").values_list("gone", "id", "change__source"))


@contextmanager
def another() -> Iterator[psycopg.Connection]:
    """A session of its own, as another process has it."""
    address = make_conninfo(os.environ["DATABASE_URL"], dbname=str(connection.settings_dict["NAME"]))
    with psycopg.connect(address) as session:
        yield session


def test_every_table_of_the_register_keeps_its_history() -> None:
    kept = version_models()
    tables = {model for model in apps.get_app_config("twins_assets").get_models() if not issubclass(model, Version)}
    assert tables - {Change, ImportDraft} == set(kept)
    with connection.cursor() as cursor:
        for model, copy in kept.items():
            names = [field.column for field in model._meta.local_concrete_fields]
            assert names == [field.column for field in copy._meta.local_concrete_fields if field.column in names]
            cursor.execute(
                "SELECT array_agg(tgname::text ORDER BY tgname) FROM pg_trigger"
                " WHERE tgrelid = %s::regclass AND tgname LIKE 'twins_assets_history_%%'",
                [model._meta.db_table],
            )
            events = ("delete", "insert", "truncate", "update")
            assert cursor.fetchone()[0] == [f"twins_assets_history_{event}" for event in events], model
            assert copy._meta.db_table.startswith("twins_assets_")


@commits
def test_whoever_writes_and_however_is_kept() -> None:
    kinds = AssetType.objects.bulk_create([AssetType(code=code, name=code) for code in "abc"])
    AssetType.objects.filter(code__in="ab").update(name="new")
    AssetType.objects.filter(code="a").delete()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE twins_assets_assettype SET name = 'raw' WHERE code = 'b'")
        with cursor.copy("COPY twins_assets_assettype (code, name, iso14224, path) FROM STDIN") as copy:
            for code in ("d", "e"):
                copy.write_row((code, code, "", []))
        cursor.execute(
            "INSERT INTO twins_assets_assettype (code, name, iso14224, path) VALUES ('d', 'x', '', '{}')"
            " ON CONFLICT (code) DO UPDATE SET name = 'upserted'"
        )
    a, b, c = (kind.pk for kind in kinds)
    d, e = AssetType.objects.filter(code__in="de").order_by("code").values_list("pk", flat=True)
    assert versions(AssetType) == [
        (False, a, "sql"), (False, b, "sql"), (False, c, "sql"), (False, a, "sql"), (False, b, "sql"), (True, a, "sql"),
        (False, b, "sql"), (False, d, "sql"), (False, e, "sql"), (False, d, "sql"),
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE twins_assets_assettype CASCADE")
    assert {row[:2] for row in versions(AssetType)[-4:]} == {(True, b), (True, c), (True, d), (True, e)}


def test_what_is_written_and_does_not_change_leaves_nothing() -> None:
    design = Design.objects.create(type=AssetType.objects.create(code="a", name="a"), code="D", name="D")
    Design.objects.filter(pk=design.pk).update(parameters={"bore": 1})
    before = Change.objects.count(), len(versions(Design))
    Design.objects.update(parameters={"bore": 1})
    Design.objects.filter(code="nobody").update(name="x")
    design.refresh_from_db()
    design.save()
    assert (Change.objects.count(), len(versions(Design))) == before
    Design.objects.update(parameters={"bore": 1.0})  # another number for whoever reads it as text
    assert len(versions(Design)) == before[1] + 1


def test_a_row_that_gets_another_id_is_gone_under_the_old_one() -> None:
    kind = AssetType.objects.create(code="a", name="a")
    AssetType.objects.filter(pk=kind.pk).update(id=kind.pk + 1000)
    assert {row[:2] for row in versions(AssetType)[1:]} == {(True, kind.pk), (False, kind.pk + 1000)}


def test_a_refused_change_leaves_no_history(plant: Plant) -> None:
    before = Change.objects.count(), len(versions(Asset))
    with pytest.raises(InvalidValue):
        create_assets(rows=[NewAsset(tag="X", name="x", level="part", criticality=9)])
    with transaction.atomic():
        Asset.objects.update(name="nobody sees it")
        transaction.set_rollback(True)
    assert (Change.objects.count(), len(versions(Asset))) == before


def test_a_plan_made_for_one_row_does_not_serve_a_hundred_thousand(plant: Plant) -> None:
    Asset.objects.filter(pk=plant["P"].pk).update(name="one row first")
    Sensor.objects.bulk_create(Sensor(asset=plant["P"], name=f"S{number}", quantity="x") for number in range(4000))
    Sensor.objects.filter(name="S1").update(quantity="y")
    started = time.perf_counter()
    Sensor.objects.update(quantity="z")
    # Every row with every row would be sixteen million comparisons.
    assert time.perf_counter() - started < 20
    assert len(versions(Sensor)) == 8001


# Who, where from and why


def test_a_service_says_who_through_which_door_and_why(plant: Plant) -> None:
    ada = User.objects.create_user("ada")
    with origin(source="import", user=ada, request="r-1", reason="audit 2026"):
        plant["T1"].name = "Train one"
        change_asset(asset=plant["T1"])
    change = Change.objects.get(request="r-1")
    assert (change.user, change.actor, change.source, change.reason) == (ada, "ada", "import", "audit 2026")
    assert changes_of(Asset, [plant["P"].pk])[plant["P"].pk][0].change.source == "service"
    ada.delete()
    change.refresh_from_db()
    assert (change.user, change.actor) == (None, "ada")


def test_an_inner_origin_adds_to_an_outer_one_and_ends(plant: Plant) -> None:
    with origin(source="command x", reason="outer"):
        with origin(reason="inner"):
            move_asset(asset=plant["T1-DE"], parent=plant["T2-PU"])
        move_asset(asset=plant["T1-DE"], parent=plant["T1-PU"])
    move_asset(asset=plant["T1-DE"], parent=plant["T2-PU"])
    said = Change.objects.order_by("-id").values_list("source", "reason")[:3]
    assert list(said) == [("service", ""), ("command x", "outer"), ("command x", "inner")]


def test_services_of_one_request_and_transaction_are_one_change(plant: Plant) -> None:
    before = Change.objects.count()
    with transaction.atomic(), origin(source="admin", request="r-2"):
        move_asset(asset=plant["T1-DE"], parent=plant["T2-PU"])
        move_asset(asset=plant["T1-NDE"], parent=plant["T2-PU"])
        Asset.objects.filter(pk=plant["P"].pk).update(name="beside the services")
    assert Change.objects.count() == before + 1
    with transaction.atomic():
        for reason in ("one", "two"):
            with origin(reason=reason):
                Asset.objects.filter(pk=plant["P"].pk).update(name=reason)
                create_assets(rows=[NewAsset(tag=reason, name=reason, level="system")])
    assert list(Change.objects.order_by("-id").values_list("reason", flat=True)[:2]) == ["two", "one"]


@commits
def test_a_setting_of_one_transaction_is_not_the_next_one_s(plant: Plant) -> None:
    with origin(source="import", request="r-3"):
        move_asset(asset=plant["T1-DE"], parent=plant["T2-PU"])
    Asset.objects.filter(pk=plant["P"].pk).update(name="x")
    assert list(Change.objects.order_by("-id").values_list("source", "request")[:2]) == [("sql", ""), ("import", "r-3")]


def test_the_origin_follows_an_asynchronous_request_into_its_thread(plant: Plant) -> None:
    async def request(name: str, tag: str) -> None:
        with origin(source="graphql", request=name):
            await asyncio.sleep(0.01)
            await sync_to_async(create_assets)(rows=[NewAsset(tag=tag, name=tag, level="system")])

    async def both() -> None:
        await asyncio.gather(*(request(f"r-{number}", f"A{number}") for number in range(5)))

    async_to_sync(both)()
    kept: Any = version_models()[Asset]
    made = kept.objects.filter(tag__startswith="A").values_list("tag", "change__request")
    assert dict(made) == {f"A{number}": f"r-{number}" for number in range(5)}


def test_the_admin_says_the_user_and_the_request(client: Client, plant: Plant) -> None:
    ada = User.objects.create_superuser("ada")
    client.force_login(ada)
    page = reverse("admin:twins_assets_assettype_add")
    inlines = {
        f"{inline}-{kind}_FORMS": "0"
        for inline in ("parameterdefinitions", "sensortemplates", "failurecodes")
        for kind in ("TOTAL", "INITIAL")
    }
    form = {"code": "seal", "name": "Seal", "parent": "", "iso14224": "", **inlines}
    assert client.post(page, form, headers={"X-Request-ID": "proxy-77"}).status_code == 302
    change = Change.objects.latest("id")
    assert (change.user, change.source, change.request) == (ada, "admin", "proxy-77")


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "é", "a\nb", "<script>"])
def test_an_id_of_a_request_that_cannot_be_one_is_replaced(given: str) -> None:
    assert len(request_id({"X-Request-ID": given})) == 32
    assert request_id({"X-Request-ID": "abc-1"}) == "abc-1"


def test_reading_tells_the_database_nothing_and_a_service_tells_it_once(
    plant: Plant, items: list[Item], day: Any
) -> None:
    install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[0], start=day(1))])
    with origin(source="graphql", request="r"), CaptureQueriesContext(connection) as asked:
        list(Asset.objects.all())
    assert len(asked) == 1
    with origin(source="graphql", request="r"), CaptureQueriesContext(connection) as asked:
        replace_item(asset=plant["T1-DE"], item=items[1], at=day(2), reason="worn")
    assert sum("set_config" in each["sql"] for each in asked) == 1


# What was


@commits
def test_the_past_is_what_it_was_after_a_move_too(plant: Plant) -> None:
    before = now()
    path = plant["T1-DE"].path
    move_asset(asset=plant["T1-PU"], parent=plant["T2"])
    after = now()
    Asset.objects.filter(tag="T1-NDE").delete()
    assert as_of(Asset, before).get(tag="T1-DE").path == path
    assert as_of(Asset, after).get(tag="T1-DE").path == [plant[t].pk for t in ("P", "T2", "T1-PU", "T1-DE")]
    under = {at: set(as_of(Asset, at).filter(parent__tag="T2").values_list("tag", flat=True)) for at in (before, after)}
    assert under == {before: {"T2-PU"}, after: {"T1-PU", "T2-PU"}}
    assert as_of(Asset, after).filter(tag="T1-NDE").exists()
    assert not as_of(Asset, now()).filter(tag="T1-NDE").exists()


@commits
def test_the_past_is_a_queryset_with_joins_counts_and_subqueries(plant: Plant) -> None:
    kind = AssetType.objects.create(code="pump", name="Pump")
    Asset.objects.filter(level="product").update(type=kind)
    before = now()
    AssetType.objects.filter(pk=kind.pk).update(name="Renamed")
    Asset.objects.filter(tag="T2-PU").update(level="system")
    past = as_of(Asset, before)
    assert [row.type.name for row in past.filter(type__code="pump").select_related("type").order_by("tag")] == [
        "Pump",
        "Pump",
    ]
    assert past.count() == 9
    assert dict(past.values_list("level").annotate(Count("id")).order_by()) == {"system": 3, "product": 2, "part": 4}
    assert past.filter(parent__in=as_of(Asset, before).filter(level="product")).count() == 4
    assert past.filter(pk__in=Asset.objects.filter(level="product")).count() == 2  # inside of the past
    assert Sensor.objects.filter(asset__in=as_of(Asset, before)).count() == 0
    assert [row.tag for row in past.subtree_of([plant["T1-PU"].pk]).order_by("tag")[:2]] == ["T1-DE", "T1-NDE"]  # type: ignore[attr-defined]
    assert past.aggregate(n=Count("id", filter=None))["n"] == 9


@commits
def test_a_statement_of_one_s_own_reads_the_past_too(plant: Plant) -> None:
    before = now()
    Asset.objects.filter(tag="P").update(name="Renamed")
    settle(before)
    text, parameters = past_tables("SELECT name FROM twins_assets_asset WHERE tag = %s", ["P"], before)
    with connection.cursor() as cursor:
        cursor.execute(text, parameters)
        assert cursor.fetchall() == [("Plant",)]


def test_the_past_is_read_only(plant: Plant) -> None:
    past = as_of(Asset, now())
    for attempt in (
        lambda: past.update(name="x"), lambda: past.filter(tag="P").delete(), lambda: past.create(tag="x"),
        lambda: past.bulk_create([]), past.select_for_update, lambda: past.prefetch_related("sensors"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match="The past is read only"):
            attempt()
    assert not Asset.objects.filter(name="x").exists()


def test_an_instant_without_zone_is_refused(plant: Plant) -> None:
    with pytest.raises(InvalidValue, match="no time zone"):
        as_of(Asset, datetime(2026, 1, 1))  # noqa: DTZ001


@commits
def test_history_begins_with_what_stood_and_nothing_is_known_before(plant: Plant) -> None:
    begun = Change.objects.filter(source="service").earliest("id").made_at
    assert begun is not None
    Change.objects.filter(made_at__lt=begun).delete()
    Change.objects.update(source="baseline")
    assert as_of(Asset, begun).count() == 9
    with pytest.raises(InvalidValue, match="history is kept since"):
        as_of(Asset, begun - timedelta(microseconds=1))
    assert [each.kind for each in changes_of(Asset, [plant["P"].pk])[plant["P"].pk]] == ["kept"]


@commits
def test_what_an_installation_was_known_to_be_then(
    plant: Plant, items: list[Item], day: Callable[[int], datetime]
) -> None:
    """Valid time is the period, known time the change: what was found out later was not known before."""
    from assets.selectors import current_installations

    place = plant["T1-DE"]
    install_items(installations=[NewInstallation(asset=place, item=items[0], start=day(1))])
    believed = now()
    Installation.objects.filter(asset=place).update(item=items[1])  # the serial number was read wrongly
    corrected = now()
    replace_item(asset=place, item=items[2], at=day(5), reason="worn")

    def installed(at: datetime, known: datetime | None) -> str | None:
        found = current_installations([place.pk], at=at, known=known).get(place.pk)
        return found and found.item.serial_number

    assert installed(day(3), believed) == "S0"
    assert installed(day(3), corrected) == installed(day(3), None) == "S1"
    assert installed(day(7), believed) == "S0"
    assert installed(day(7), None) == "S2"
    assert installed(datetime(2025, 1, 1, tzinfo=UTC), None) is None


# When


@commits
def test_a_change_has_the_instant_of_its_commit_and_not_of_its_statement(plant: Plant) -> None:
    with another() as slow:
        slow.execute("UPDATE twins_assets_asset SET name = 'slow' WHERE tag = 'T1'")
        Asset.objects.filter(tag="T2").update(name="quick")
        between = now()
        seen = dict(Asset.objects.filter(tag__in=("T1", "T2")).values_list("tag", "name"))
        assert seen == {"T1": "Train T1", "T2": "quick"}
        assert dict(as_of(Asset, between).filter(tag__in=seen).values_list("tag", "name")) == seen
        slow.commit()
    assert dict(as_of(Asset, between).filter(tag__in=seen).values_list("tag", "name")) == seen
    assert as_of(Asset, now()).get(tag="T1").name == "slow"


@commits
def test_two_changes_of_one_row_in_one_transaction_are_told_and_seen_as_one(plant: Plant) -> None:
    before = now()
    with transaction.atomic():
        for name in ("one", "two"):
            Asset.objects.filter(tag="P").update(name=name)
        assert as_of(Asset, now()).get(tag="P").name == "Plant"  # not committed, so not known
    stamp = Change.objects.latest("id").made_at
    assert stamp is not None and before < stamp < now()
    assert as_of(Asset, stamp - timedelta(microseconds=1)).get(tag="P").name == "Plant"
    assert as_of(Asset, stamp).get(tag="P").name == "two"
    assert [each.differences for each in changes_of(Asset, [plant["P"].pk])[plant["P"].pk][:2]] == [
        (Difference("name", "one", "two"),),
        (Difference("name", "Plant", "one"),),
    ]


@commits
def test_what_asks_waits_for_those_that_are_committing(plant: Plant) -> None:
    asked, answered = now(), threading.Event()

    def ask() -> None:
        as_of(Asset, asked)
        answered.set()
        connection.close()

    with another() as committing:
        committing.execute("SELECT pg_advisory_xact_lock(hashtextextended('twins_assets.history', 0))")
        waiting = threading.Thread(target=ask)
        waiting.start()
        wait_for_lock()
        assert not answered.wait(0.1)
        committing.commit()
        assert answered.wait(PATIENCE)
        waiting.join()


@commits
def test_readers_and_writers_at_once_agree_on_every_instant(plant: Plant) -> None:
    """Writers commit in any order; a reader that keeps commits out for a moment reads what that instant is for ever."""
    stop, seen = threading.Event(), []

    def write(number: int) -> None:
        with another() as session:
            while not stop.is_set():
                for place in range(3):
                    session.execute(
                        "UPDATE twins_assets_asset SET name = %s WHERE tag = %s",
                        [f"{number} {time.monotonic_ns()}", ("T1-DE", "T1-NDE", "T2-DE")[(place + number) % 3]],
                    ) if place < 1 + number % 2 else None
                session.commit()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    lock = "pg_advisory_lock_shared(hashtextextended('twins_assets.history', 0))"
    until = time.monotonic() + PATIENCE
    # A machine under load may start the writers late: what counts is how many states were read.
    while (len(seen) < 25 or len({frozenset(rows) for _, rows in seen}) < 4) and time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {lock}")
            try:
                seen.append((now(), set(Asset.objects.values_list("pk", "name"))))
            finally:
                cursor.execute(f"SELECT {lock.replace('lock_', 'unlock_')}")
    stop.set()
    for writer in writers:
        writer.join()
    for instant, rows in seen:
        assert set(as_of(Asset, instant).values_list("pk", "name")) == rows
    stamps = list(Change.objects.order_by("id").values_list("made_at", flat=True))
    assert None not in stamps and len(set(stamps)) == len(stamps)
    assert len({frozenset(rows) for _, rows in seen}) >= 4


# What became of a row


@commits
def test_changes_tell_who_when_why_before_and_after(plant: Plant) -> None:
    ada, asset = User.objects.create_user("ada"), plant["T1-DE"]
    with origin(source="admin", user=ada, request="r-9", reason="relabelled"):
        asset.name, asset.criticality = "Bearing", 5
        change_asset(asset=asset)
    move_asset(asset=asset, parent=plant["T2-PU"])
    Asset.objects.filter(pk=asset.pk).delete()
    told = changes_of(Asset, [asset.pk, plant["P"].pk])
    deleted, moved, changed, created = told[asset.pk]
    assert [each.kind for each in told[asset.pk]] == ["deleted", "changed", "changed", "created"]
    assert changed.differences == (
        Difference("name", "Drive-end bearing", "Bearing"),
        Difference("criticality", 3, 5),
    )
    assert (changed.change.user, changed.change.request, changed.change.reason) == (ada, "r-9", "relabelled")
    assert Difference("parent_id", plant["T1-PU"].pk, plant["T2-PU"].pk) in moved.differences
    assert Difference("tag", None, "T1-DE") in created.differences
    assert Difference("tag", "T1-DE", None) in deleted.differences
    instants = [each.made_at for each in told[asset.pk]]
    assert instants == sorted(instants, reverse=True)
    assert [each.kind for each in told[plant["P"].pk]] == ["created"]


def test_the_newest_changes_are_told_against_what_was_before_them(plant: Plant) -> None:
    for number in range(5):
        Asset.objects.filter(tag="P").update(name=str(number))
    with CaptureQueriesContext(connection) as asked:
        told = changes_of(Asset, [asset.pk for asset in plant.values()], limit=2)
    assert len(asked) == 1
    assert [each.differences for each in told[plant["P"].pk]] == [
        (Difference("name", "3", "4"),),
        (Difference("name", "2", "3"),),
    ]
