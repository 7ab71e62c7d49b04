"""What types and designs declare binds what is made to them; types pass it down, the nearest one holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from assets.exceptions import AlreadyExists, AssetsError, InvalidHierarchy, InvalidValue
from assets.models import (
    Asset,
    AssetType,
    Design,
    FailureCode,
    Item,
    MaintenanceEvent,
    ParameterDefinition,
    Sensor,
    SensorTemplate,
)
from assets.selectors import declared_by_designs, declared_by_types, failure_modes_of
from assets.services import (
    NewAsset,
    change_asset,
    change_records,
    create_assets,
    create_items,
    create_records,
    equip_assets,
    record_events,
    revise_design,
    save_record,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Snapshot = Callable[[], dict[str, Any]]


@pytest.fixture
def types(db: None) -> list[AssetType]:
    """Machine over bearing over rolling bearing."""
    machine = AssetType(code="machine", name="Machine", iso14224="M")
    bearing = AssetType(code="bearing", name="Bearing", parent=machine)
    return create_records(records=[machine, bearing, AssetType(code="rolling", name="Rolling bearing", parent=bearing)])


@pytest.fixture
def made(types: list[AssetType]) -> Design:
    machine, bearing, rolling = types
    design = save_record(record=Design(type=rolling, code="6324", name="6324"))
    create_records(
        records=[
            ParameterDefinition(type=machine, subject="asset", name="speed", unit="/min", minimum=0.0, maximum=4000.0),
            ParameterDefinition(type=bearing, subject="asset", name="speed", unit="/min", minimum=0.0, maximum=3000.0),
            ParameterDefinition(design=design, subject="asset", name="fit", kind="choice", choices=["tight", "loose"]),
            ParameterDefinition(type=bearing, subject="item", name="batch", kind="text", required=True),
            ParameterDefinition(type=bearing, subject="item", name="honed", kind="boolean"),
            ParameterDefinition(type=bearing, subject="acceptance", name="runout", unit="um", maximum=5.0),
        ]
    )
    return design


def asset(design: Design, **attributes: Any) -> Asset:
    return create_assets(rows=[NewAsset(tag="B", name="b", level="part", design=design, attributes=attributes)])["B"]


def test_paths_of_types_follow_their_parents(types: list[AssetType]) -> None:
    machine, bearing, rolling = (AssetType.objects.get(pk=one.pk) for one in types)
    assert (machine.path, rolling.path) == ([machine.pk], [machine.pk, bearing.pk, rolling.pk])
    bearing.parent = None
    save_record(record=bearing)
    assert AssetType.objects.get(pk=rolling.pk).path == [bearing.pk, rolling.pk]


@pytest.mark.parametrize("below", [0, 1, 2])
def test_a_type_never_stands_below_itself(types: list[AssetType], register: Snapshot, below: int) -> None:
    before = register()
    top = types[0]
    top.parent = types[below]
    with pytest.raises(InvalidHierarchy, match="cannot stand below itself"):
        save_record(record=top)
    with pytest.raises(IntegrityError), transaction.atomic():
        AssetType.objects.filter(pk=top.pk).update(parent=types[below])
    assert register() == before


def test_the_nearest_declaration_holds(made: Design, types: list[AssetType], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        found = declared_by_designs(ParameterDefinition, [made.pk])[made.pk]
    assert [(one.subject, one.name, one.maximum) for one in found] == [
        ("acceptance", "runout", 5.0),
        ("asset", "fit", None),
        ("asset", "speed", 3000.0),
        ("item", "batch", None),
        ("item", "honed", None),
    ]
    with django_assert_num_queries(1):
        by_type = declared_by_types(ParameterDefinition, [one.pk for one in types])
    assert [[one.maximum for one in by_type[each.pk] if one.name == "speed"] for each in types] == [
        [4000.0], [3000.0], [3000.0],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"speed": 3000.5}, r"Row 0, attributes.speed: 3000.5 is outside of 0.0 to 3000.0 /min"),
        ({"speed": "fast"}, "'fast' is no number in /min"),
        ({"speed": True}, "True is no number"),
        ({"fit": "wide"}, "'wide' is none of tight, loose"),
        ({"fit": 3}, "3 is no text"),
        ({"free": "a\0"}, "NUL"),
        ({"free": "\ud800"}, "half of a pair"),
        ({"free": "x" * 70_000}, "more than the 65536"),
        ({"free": float("inf")}, "infinity"),
    ],
)
def test_an_attribute_that_does_not_fit_is_refused(
    made: Design, register: Snapshot, attributes: dict[str, Any], words: str
) -> None:
    before = register()
    with pytest.raises(InvalidValue, match=words):
        asset(made, **attributes)
    assert register() == before


def test_what_nobody_declares_is_free_and_what_stood_before_stays(made: Design) -> None:
    place = asset(made, speed=1500, fit="tight", colour=["grey", {"ral": 7035}])
    assert Asset.objects.get().attributes == {"speed": 1500, "fit": "tight", "colour": ["grey", {"ral": 7035}]}
    save_record(record=ParameterDefinition(design=made, subject="asset", name="colour", kind="text"))
    assert Asset.objects.get().attributes["colour"] == ["grey", {"ral": 7035}]
    with pytest.raises(InvalidValue, match=r"attributes.colour: .* is no text"):
        change_asset(asset=place)


def test_a_build_record_is_typed_and_a_failed_test_is_kept(made: Design, register: Snapshot) -> None:
    before = register()
    for build, words in (({}, "build.batch: is missing"), ({"batch": "a", "honed": 1}, "neither true nor false")):
        with pytest.raises(InvalidValue, match=words):
            create_items(items=[Item(design=made, serial_number="1", build=build)])
    with pytest.raises(InvalidValue, match=r"acceptance.runout: 'bad' is no number in um"):
        create_items(items=[Item(design=made, serial_number="1", build={"batch": "a"}, acceptance={"runout": "bad"})])
    assert register() == before
    create_items(items=[Item(design=made, serial_number="1", build={"batch": "a"}, acceptance={"runout": 7.5})])
    assert Item.objects.get().acceptance == {"runout": 7.5}


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"unit": "rpm"}, InvalidValue, "Row 0, unit: 'rpm' is no UCUM code"),
        ({"minimum": 2.0, "maximum": 1.0}, InvalidValue, "minimum: is above the maximum"),
        ({"kind": "text", "unit": "mm"}, InvalidValue, "unit: only a number has a unit and limits"),
        ({"kind": "choice"}, InvalidValue, "choices: a choice has some"),
        ({"name": "fit"}, AlreadyExists, "already declares one of that name"),
    ],
)
def test_a_declaration_without_sense_is_refused(
    made: Design, fields: dict[str, Any], error: type[AssetsError], words: str
) -> None:
    with pytest.raises(error, match=words):
        save_record(record=ParameterDefinition(**{"design": made, "subject": "asset", "name": "new", **fields}))
    with pytest.raises(InvalidValue, match="either to a type or to a design"):
        save_record(record=ParameterDefinition(design=made, type=made.type, subject="asset", name="both"))


def test_codes_of_events_are_those_that_the_design_declares(made: Design, types: list[AssetType]) -> None:
    place = asset(made)
    event = MaintenanceEvent(asset=place, kind="failure", mode="anything", started_at=NOW)
    record_events(events=[event])
    create_records(
        records=[
            FailureCode(type=types[0], code="VIB", name="Vibration"),
            FailureCode(design=made, code="spalling"),
            FailureCode(design=made, code="2.2", kind="cause"),
        ]
    )
    assert failure_modes_of([made.pk]) == {made.pk: ["VIB", "spalling"]}
    good = MaintenanceEvent(asset=place, kind="failure", mode="VIB", cause="2.2", started_at=NOW)
    bad = [
        MaintenanceEvent(asset=place, kind="failure", mode="rust", started_at=NOW),
        MaintenanceEvent(asset=place, kind="failure", mode="VIB", cause="VIB", started_at=NOW),
    ]
    for one, words in zip(bad, ("Row 1, mode: 'rust' .* VIB, spalling", "Row 1, cause: 'VIB' .* 2.2"), strict=True):
        with pytest.raises(InvalidValue, match=words):
            record_events(events=[good, one])
    assert MaintenanceEvent.objects.count() == 1
    record_events(events=[good])


def test_assets_get_the_sensors_that_are_missing(made: Design, types: list[AssetType]) -> None:
    create_records(
        records=[
            SensorTemplate(type=types[0], name="temperature", quantity="temperature", unit="K"),
            SensorTemplate(design=made, name="temperature", quantity="temperature", unit="Cel", valid_max=120.0),
            SensorTemplate(type=types[1], name="hours", quantity="time", unit="h", role="usage"),
        ]
    )
    place = asset(made)
    Sensor.objects.create(asset=place, name="hours", quantity="mine", unit="h")
    assert [sensor.name for sensor in equip_assets(assets=[place])] == ["temperature"]
    assert equip_assets(assets=[place]) == []
    rows = Sensor.objects.order_by("name").values_list("name", "quantity", "unit", "valid_max")
    assert list(rows) == [("hours", "mine", "h", None), ("temperature", "temperature", "Cel", 120.0)]


def test_a_revision_starts_as_a_copy(made: Design) -> None:
    save_record(record=FailureCode(design=made, code="spalling"))
    revised = revise_design(design=made, revision="B")
    assert (revised.based_on, revised.revision, revised.code) == (made, "B", made.code)
    assert failure_modes_of([revised.pk]) == {revised.pk: ["spalling"]}
    assert [one.name for one in revised.parameterdefinitions.all()] == ["fit"]
    with pytest.raises(AlreadyExists, match="choose another revision"):
        revise_design(design=made, revision="B")


def _statements(count: int, design: Design) -> list[int]:
    things = [Item(design=design, serial_number=f"{count}-{n}", build={"batch": "a"}) for n in range(count)]
    rows = [NewAsset(tag=f"{count}-{n}", name="n", level="part", design=design) for n in range(count)]
    with CaptureQueriesContext(connection) as making:
        create_items(items=things)
    with CaptureQueriesContext(connection) as changing:
        change_records(records=things)
    places = list(create_assets(rows=rows).values())
    with CaptureQueriesContext(connection) as equipping:
        assert len(equip_assets(assets=places)) == count
    return [len(making), len(changing), len(equipping)]


def test_a_thousand_typed_rows_take_as_many_statements_as_ten(made: Design) -> None:
    save_record(record=SensorTemplate(design=made, name="t", quantity="temperature"))
    assert _statements(1000, made) == _statements(10, made) == [6, 9, 8]
