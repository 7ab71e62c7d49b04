"""Typed, dated edges, what is reached over them, the one selection of sensors, external keys, and retirement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.exceptions import AlreadyExists, AssetsError, InvalidHierarchy, InvalidValue
from assets.models import Asset, AssetType, ExternalReference, Installation, Item, Relation, Sensor
from assets.selectors import Reach, SensorSelection, reached, relations_of, select_sensors
from assets.services import (
    Move,
    NewAsset,
    NewInstallation,
    NewRelation,
    Replacement,
    create_assets,
    create_records,
    create_sensors,
    end_relations,
    install_items,
    move_assets,
    relate_assets,
    replace_items,
    retire_assets,
    retire_items,
    save_record,
)

Day = Callable[[int], datetime]
Snapshot = Callable[[], dict[str, Any]]


def feeds(source: Asset, target: Asset, start: datetime, end: datetime | None = None, kind: str = "feeds") -> Any:
    return NewRelation(source=source, target=target, kind=kind, start=start, end=end)


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([("T1", "T1", "feeds", 1, None)], InvalidValue, "Row 0, target: 'T1' cannot be related to itself"),
        ([("T1", "T2", "loves", 1, None)], InvalidValue, "Row 0, kind"),
        ([("T1", "T2", "feeds", 3, 3)], InvalidValue, "Row 0, end"),
        ([("P", "T2", "feeds", 3, None), ("T1", "T2", "feeds", 5, 6)], AlreadyExists, "Row 1: that 'T1' Feeds 'T2'"),
        ([("T1", "P", "cools", 1, 4), ("T1", "P", "cools", 3, None)], AlreadyExists, "Row 1"),
        ([("T2", "T1", "redundant_with", 2, 3)], AlreadyExists, "Row 0"),
    ],
)
def test_a_relation_without_sense_is_refused(
    plant: dict[str, Asset], day: Day, register: Snapshot, rows: list[Any], error: type[AssetsError], words: str
) -> None:
    t1, t2 = plant["T1"], plant["T2"]
    relate_assets(relations=[feeds(t1, t2, day(2)), feeds(t1, t2, day(1), day(9), "redundant_with")])
    before = register()
    with pytest.raises(error, match=words):
        relate_assets(relations=[feeds(plant[a], plant[b], day(s), e and day(e), kind) for a, b, kind, s, e in rows])
    assert register() == before


def test_a_relation_ends_and_may_begin_again(plant: dict[str, Asset], day: Day) -> None:
    [row] = relate_assets(relations=[feeds(plant["T2"], plant["T1"], day(1), kind="redundant_with")])
    assert (row.source, row.target) == (plant["T1"], plant["T2"])
    with pytest.raises(InvalidValue, match="does not hold since before"):
        end_relations(relations=[row], at=day(1))
    end_relations(relations=[row], at=day(3))
    relate_assets(relations=[feeds(plant["T1"], plant["T2"], day(3), kind="redundant_with")])
    keys = [plant["T1"].pk]
    assert [one.period.lower for one in relations_of(keys)[keys[0]]] == [day(3)]
    assert [one.period.lower for one in relations_of(keys, at=day(2))[keys[0]]] == [day(1)]


EDGES = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from(["feeds", "cools", "connected_to"]),
              st.integers(1, 5), st.integers(1, 5)),
    max_size=14,
)  # fmt: skip
REACHES = st.builds(
    Reach, steps=st.integers(1, 4), direction=st.sampled_from(["out", "in", "both"]),
    kinds=st.frozensets(st.sampled_from(["feeds", "cools", "connected_to"])),
    at=st.none() | st.integers(1, 6).map(lambda number: datetime(2026, 1, number, tzinfo=UTC)),
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(edges=EDGES, reach=REACHES)
def test_what_is_reached_agrees_with_a_walk(db: None, edges: list[Any], reach: Reach) -> None:
    with transaction.atomic():
        rows = [NewAsset(tag=str(n), name="n", level="part") for n in range(7)]
        places = list(create_assets(rows=rows).values())
        kept: list[Any] = []
        for a, b, kind, start, last in edges:
            end = None if last == 5 else datetime(2026, 1, start + last, tzinfo=UTC)
            try:
                since = datetime(2026, 1, start, tzinfo=UTC)
                relate_assets(relations=[feeds(places[a], places[b], since, end, kind)])
            except AssetsError:
                continue
            kept.append((a, b, kind, since, end))
        with CaptureQueriesContext(connection) as captured:
            found = reached([place.pk for place in places], reach=reach)
        assert len(captured) == 1
        assert found == {
            place.pk: {places[k].pk: s for k, s in _walk(n, kept, reach).items()} for n, place in enumerate(places)
        }
        transaction.set_rollback(True)


def _walk(start: int, edges: list[Any], reach: Reach) -> dict[int, int]:
    """Breadth first, by hand."""
    steps, edge = {start: 0}, {start}
    for number in range(1, reach.steps + 1):
        edge = {there for here in edge for there in _next(here, edges, reach)} - set(steps)
        steps |= dict.fromkeys(edge, number)
    del steps[start]
    return steps


def _next(here: int, edges: list[Any], reach: Reach) -> set[int]:
    found = set()
    for a, b, kind, since, end in edges:
        holds = end is None if reach.at is None else since <= reach.at and (end is None or reach.at < end)
        if not holds or (reach.kinds and kind not in reach.kinds):
            continue
        both = kind == "connected_to" or reach.direction == "both"
        if a == here and (both or reach.direction == "out"):
            found.add(b)
        if b == here and (both or reach.direction == "in"):
            found.add(a)
    return found


def test_all_vibration_sensors_on_bearings_of_anything_fed_by_a_pump(
    plant: dict[str, Asset], day: Day, django_assert_num_queries: Any
) -> None:
    part = AssetType(code="part", name="Part")
    bearing, seal = AssetType(code="bearing", name="B", parent=part), AssetType(code="seal", name="S", parent=part)
    create_records(records=[part, bearing, seal, AssetType(code="roller", name="R", parent=bearing)])
    roller = AssetType.objects.get(code="roller")
    Asset.objects.filter(tag__endswith="-DE").update(type=roller)
    Asset.objects.filter(tag__endswith="-NDE").update(type=seal)
    wanted = [Sensor(asset=plant[tag], name=name, quantity=name, unit=unit)
              for tag in ("T1-PU", "T1-DE", "T1-NDE", "T2-DE", "T2-NDE") for name, unit in
              (("vibration", "mm/s"), ("temperature", "Cel"))]  # fmt: skip
    create_sensors(sensors=wanted)
    pump = create_assets(rows=[NewAsset(tag="P-12", name="Pump", level="product")], under=plant["P"])["P-12"]
    relate_assets(relations=[feeds(pump, plant["T1"], day(1)), feeds(plant["T1"], plant["T2"], day(1))])
    selection = SensorSelection(
        assets=frozenset([pump.pk]), reach=Reach(kinds=frozenset(["feeds"])),
        types=frozenset([bearing.pk]), quantities=frozenset(["vibration"]),
    )  # fmt: skip
    with django_assert_num_queries(1):
        assert [(row.asset_id, row.name) for row in select_sensors(selection)] == [(plant["T1-DE"].pk, "vibration")]

    def found(**asked: Any) -> list[str]:
        rows = select_sensors(SensorSelection(**asked)).select_related("asset")
        return sorted(f"{row.asset.tag} {row.name}" for row in rows)

    t1 = frozenset([plant["T1"].pk])
    assert found(assets=t1, levels=frozenset(["part"]), units=frozenset(["Cel"])) == [
        "T1-DE temperature", "T1-NDE temperature",
    ]  # fmt: skip
    assert found(assets=t1, below=False) == []
    two = Reach(steps=2)
    assert found(assets=frozenset([pump.pk]), reach=two, names=frozenset(["vibration"])) == [
        "T1-DE vibration", "T1-NDE vibration", "T1-PU vibration", "T2-DE vibration", "T2-NDE vibration",
    ]  # fmt: skip
    assert found(assets=frozenset([pump.pk]), reach=two, below=False) == []
    assert len(found(types=frozenset([part.pk]))) == 8
    with pytest.raises(ValueError, match="reach needs assets"):
        SensorSelection(reach=two)


def test_an_external_key_names_one_row_and_a_row_has_one_key_of_a_kind(plant: dict[str, Asset]) -> None:
    asset = plant["T1"]
    save_record(record=ExternalReference(system="SAP", kind="floc", key="1", asset=asset))
    save_record(record=ExternalReference(system="SAP", kind="equipment", key="1", asset=asset))
    for reference, error, words in (
        (
            ExternalReference(system="SAP", kind="floc", key="1", asset=plant["T2"]),
            AlreadyExists,
            "already names a row",
        ),
        (ExternalReference(system="SAP", kind="floc", key="2", asset=asset), AlreadyExists, "asset already has a key"),
        (ExternalReference(system="SAP", key="3"), InvalidValue, "Row 0, target.*names 0"),
        (ExternalReference(system="SAP", key=" ", asset=asset), InvalidValue, "Row 0, key"),
        (ExternalReference(system="SAP", key="x" * 201, asset=asset), InvalidValue, "Row 0, key"),
    ):
        with pytest.raises(error, match=words):
            save_record(record=reference)
    with pytest.raises(IntegrityError), transaction.atomic():
        ExternalReference.objects.create(system="SAP", key="4")
    assert ExternalReference.objects.count() == 2


def test_retiring_takes_the_subtree_its_items_and_its_relations_along(
    plant: dict[str, Asset], items: list[Item], day: Day, register: Snapshot
) -> None:
    install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[0], start=day(3))])
    relate_assets(relations=[feeds(plant["T2"], plant["T1-PU"], day(1))])
    before = register()
    with pytest.raises(InvalidValue, match="choose a later time"):
        retire_assets(assets=[plant["T1"]], at=day(3))
    assert register() == before
    gone = retire_assets(assets=[plant["T1"]], at=day(5), reason="torn down")
    assert sorted(asset.tag for asset in gone) == ["T1", "T1-DE", "T1-NDE", "T1-PU"]
    assert set(Asset.objects.filter(status="retired").values_list("retired_at", flat=True)) == {day(5)}
    installed = Installation.objects.get()
    assert (installed.period.upper, installed.removal_reason) == (day(5), "torn down")
    assert Relation.objects.get().period.upper == day(5)
    with pytest.raises(InvalidHierarchy, match="which is retired"):
        create_assets(rows=[NewAsset(tag="new", name="n", level="part")], under=plant["T1"])
    with pytest.raises(InvalidValue, match="'T1-DE' is retired"):
        install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[1], start=day(6))])
    with pytest.raises(InvalidValue, match="'T1' is retired"):
        relate_assets(relations=[feeds(plant["T1"], plant["T2"], day(6))])
    install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[1], start=day(1), end=day(2))])


def test_a_retired_item_is_taken_out_and_goes_nowhere(plant: dict[str, Asset], items: list[Item], day: Day) -> None:
    install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[0], start=day(3))])
    retire_items(items=items[:2], at=day(4), reason="scrapped")
    assert Installation.objects.get().period.upper == day(4)
    assert list(Item.objects.filter(retired_at=day(4)).values_list("retirement_reason", flat=True)) == ["scrapped"] * 2
    with pytest.raises(InvalidValue, match="Row 0, item: S1 is retired"):
        install_items(installations=[NewInstallation(asset=plant["T2-DE"], item=items[1], start=day(5))])


@pytest.mark.parametrize("year", [1, 1899, 2200, 9999])
def test_an_instant_without_sense_is_refused(plant: dict[str, Asset], items: list[Item], year: int) -> None:
    wish = NewInstallation(asset=plant["T1-DE"], item=items[0], start=datetime(year, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidValue, match=r"Row 0, start: .* not between 1900 and 2200"):
        install_items(installations=[wish])
    items[0].made_at = wish.start
    with pytest.raises(InvalidValue, match=r"Row 0, made_at: .* not between"):
        save_record(record=items[0])


def test_a_relation_is_called_by_the_tags_that_are_known(plant: dict[str, Asset]) -> None:
    relate_assets(relations=[feeds(plant["T1"], plant["T2"], datetime(2026, 1, 1, tzinfo=UTC))])
    relation = Relation.objects.get()
    with CaptureQueriesContext(connection) as asked:
        assert str(relation) == f"asset {plant['T1'].pk} feeds asset {plant['T2'].pk}"
    assert len(asked) == 0
    assert str(Relation.objects.select_related("source", "target").get()) == "T1 feeds T2"


def test_moves_of_one_call_are_made_together(plant: dict[str, Asset]) -> None:
    moves = [Move(asset=plant["T2"], parent=plant["T1"]), Move(asset=plant["T1-PU"], parent=plant["T2"]),
             Move(asset=plant["T1"], parent=None)]  # fmt: skip
    moved = move_assets(moves=moves)
    t1, t2, pump = plant["T1"].pk, plant["T2"].pk, plant["T1-PU"].pk
    assert [asset.path for asset in moved] == [[t1, t2], [t1, t2, pump], [t1]]
    assert Asset.objects.get(tag="T1-DE").path == [t1, t2, pump, plant["T1-DE"].pk]
    with pytest.raises(InvalidHierarchy, match="cannot move below"):
        move_assets(moves=[Move(asset=plant["T1"], parent=plant["P"]), Move(asset=plant["P"], parent=plant["T2"])])


def test_a_host_that_passes_by_the_services_cannot_break_the_tree(plant: dict[str, Asset]) -> None:
    broken: list[Callable[[], Any]] = [
        lambda: Asset.objects.create(tag="x", name="x", level="part"),
        lambda: Asset.objects.filter(tag="T1").update(parent=plant["T2"]),
        lambda: Asset.objects.filter(tag="T1").update(level="part"),
        lambda: Asset.objects.filter(tag="T1").update(path=[1]),
    ]
    for write in broken:
        with pytest.raises(IntegrityError, match="does not follow its parent"), transaction.atomic():
            write()


def _statements(count: int, items: list[Item]) -> list[int]:
    design = items[0].design
    names = [f"{count}-{n}" for n in range(count)]
    places = list(create_assets(rows=[NewAsset(tag=n, name="p", level="part") for n in names]).values())
    top = create_assets(rows=[NewAsset(tag=f"top{count}", name="t", level="part")])[f"top{count}"]
    things = create_records(records=[Item(design=design, serial_number=f"{n}-{k}") for n in names for k in "ab"])
    one, two = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    install_items(
        installations=[NewInstallation(asset=a, item=i, start=one) for a, i in zip(places, things[::2], strict=True)]
    )
    with connection.cursor() as cursor:
        # As autovacuum would by then; what other tests left makes the planner believe in empty tables.
        cursor.execute("ANALYZE")
    calls: list[Callable[[], Any]] = [
        lambda: replace_items(replacements=[
            Replacement(asset=a, item=i, at=two, reason="worn") for a, i in zip(places, things[1::2], strict=True)
        ]),
        lambda: relate_assets(relations=[feeds(top, place, one) for place in places]),
        lambda: move_assets(moves=[Move(asset=place, parent=top) for place in places]),
        lambda: create_records(records=[ExternalReference(system="s", key=a.tag, asset=a) for a in places]),
        lambda: retire_items(items=things, at=datetime(2026, 1, 3, tzinfo=UTC), reason="old"),
        lambda: retire_assets(assets=[top], at=datetime(2026, 1, 3, tzinfo=UTC)),
    ]  # fmt: skip
    counts = []
    for call in calls:
        with CaptureQueriesContext(connection) as captured:
            call()
        counts.append(len(captured))
    return counts


def test_a_thousand_rows_take_as_many_statements_as_ten(items: list[Item]) -> None:
    assert _statements(1000, items) == _statements(10, items)
