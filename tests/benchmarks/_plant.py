"""A register as a large plant has it: trees of 5,000 assets, with all that is declared for them and hangs on them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from django.contrib.auth import get_user_model

from assets.models import (
    Asset,
    AssetType,
    Design,
    ExternalReference,
    FailureCode,
    Installation,
    Item,
    MaintenanceEvent,
    ParameterDefinition,
    Relation,
    Sensor,
    SensorTemplate,
)
from assets.services import (
    NewAsset,
    NewInstallation,
    NewRelation,
    change_asset,
    create_assets,
    create_items,
    create_records,
    create_sensors,
    give_role,
    install_items,
    record_events,
    relate_assets,
)

BELOW: Final = 5000
SENSORS: Final = 4
_ITEMS: Final = 2000  # assets of a tree with an item in them; every fourth had another before
_STOCK: Final = 500
_EVENTS: Final = 1500
_RELATIONS: Final = 500
_KEYS: Final = 1500
_OLD: Final = 300  # of each kind that the oldest part of the plant has seen
_CHANGES: Final = 120
_USERS: Final = 100
_BEGUN: Final = datetime(2016, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_KINDS: Final = (
    "Wälzlager", "Gleitringdichtung", "Elektromotor", "Kreiselpumpe", "Getriebe", "Regelventil", "Wärmetauscher",
    "Kompressor", "Transformator", "Förderband",
)  # fmt: skip
_MODES: Final = ("wear", "leakage", "fracture", "überhitzt")
_CAUSES: Final = ("lubrication", "overload", "assembly")


def fill(count: int) -> list[Asset]:
    """A site of `count` units in hall A, each of BELOW assets with SENSORS sensors; says how long it took."""
    begun = time.monotonic()
    designs = _designs()
    tops = [NewAsset(tag=tag, name=tag, level="system") for tag in ("SITE", "HALL-A", "HALL-B")]
    site = create_assets(rows=tops[:1])["SITE"]
    hall = create_assets(rows=tops[1:], under=site)["HALL-A"]
    units = []
    for unit in range(count):
        made = create_assets(rows=list(_rows(f"U{unit}", designs)), under=hall)
        units.append(made[f"U{unit}"])
        create_sensors(sensors=[sensor for asset in made.values() for sensor in _sensors(asset, SENSORS)])
        _live(f"U{unit}", list(made.values()), designs)
    _grow_old(Asset.objects.get(tag="U0-1"), designs[0])
    _name_elsewhere()
    _give_roles(units)
    print(f"{count * BELOW} assets in {time.monotonic() - begun:.1f} s", file=sys.stderr)
    return units


def _designs() -> list[Design]:
    """Three revisions of each kind, which declare what is measured, what may be said and how things fail."""
    [machine] = create_records(records=[AssetType(code="machine", name="Machine")])
    kinds = create_records(
        records=[AssetType(code=f"K{number}", name=name, parent=machine) for number, name in enumerate(_KINDS)]
    )
    create_records(records=list(_parameters(kinds)))
    create_records(
        records=[SensorTemplate(type=kind, **each) for kind in kinds for each in _measured(SENSORS)]  # as sensors are
    )
    create_records(
        records=[
            FailureCode(type=kind, kind=what, code=code, name=f"{code} of a {kind.name}")
            for kind in kinds
            for what, codes in (("mode", _MODES), ("cause", _CAUSES))
            for code in codes
        ]
    )
    return create_records(
        records=[
            Design(
                type=kind, code=f"{kind.code}-63{size}", revision=revision, name=f"{kind.name} 63{size}",
                manufacturer="Fördertechnik Süd", parameters={"rating": 40.0 + size}, expected_life=900.0 + size,
            )
            for kind in kinds
            for size in (14, 16)
            for revision in "ABC"
        ]
    )  # fmt: skip


def _parameters(kinds: Sequence[AssetType]) -> Iterator[ParameterDefinition]:
    for kind in kinds:
        for subject, name in (("design", "rating"), ("asset", "load"), ("item", "clearance"), ("acceptance", "noise")):
            yield ParameterDefinition(type=kind, subject=subject, name=name, unit="kN", minimum=0.0, maximum=500.0)
        for subject, name in (("asset", "medium"), ("item", "batch"), ("item", "supplier")):
            yield ParameterDefinition(type=kind, subject=subject, name=name, kind="text")
        yield ParameterDefinition(type=kind, subject="item", name="cutter", kind="choice", choices=["C3", "C5", "C7"])


def _rows(unit: str, designs: Sequence[Design]) -> Iterator[NewAsset]:
    yield NewAsset(tag=unit, name=f"Unit {unit}", level="product")
    for number in range(1, BELOW):
        # Ten parts below each, four levels deep.
        above = unit if number <= 10 else f"{unit}-{(number - 1) // 10}"
        design = designs[number % len(designs)]
        said = {"load": float(number % 400), "medium": "Kühlöl"}
        yield NewAsset(
            tag=f"{unit}-{number}", name=f"Part {number} {design.name}", level="part", parent=above, design=design,
            criticality=number % 5 + 1, attributes=said,
        )  # fmt: skip


def _sensors(asset: Asset, count: int) -> Iterator[Sensor]:
    return (Sensor(asset=asset, **each) for each in _measured(count))


def _measured(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {"name": f"t{number}", "quantity": "temperature", "unit": "Cel", "valid_min": -40.0}


def _live(unit: str, assets: Sequence[Asset], designs: Sequence[Design]) -> None:
    """Items come into the assets of a unit and out of them, things happen, and other systems know them."""
    places = assets[1 : 1 + _ITEMS]
    made = create_items(items=[_item(f"SN-{unit}-{n:05}", place.design) for n, place in enumerate(places)])
    gone = create_items(items=[_item(f"SX-{unit}-{n:05}", place.design) for n, place in enumerate(places[::4])])
    create_items(items=[_item(f"SP-{unit}-{n:05}", designs[n % len(designs)]) for n in range(_STOCK)])
    since = {place.pk: _BEGUN for place in places}
    stays = []
    for place, item in zip(places[::4], gone, strict=True):
        since[place.pk] = end = _BEGUN + (300 + place.pk % 900) * _DAY
        stays.append(NewInstallation(asset=place, item=item, start=_BEGUN, end=end, removal_reason="läuft unruhig"))
    for place, item in zip(places, made, strict=True):
        stays.append(NewInstallation(asset=place, item=item, start=since[place.pk]))
    install_items(installations=stays)
    record_events(events=list(_events(zip(places[:_EVENTS], made, strict=False))))
    pairs = list(pairwise(assets[1 : 2 + _RELATIONS]))
    relate_assets(
        relations=[
            NewRelation(source=one, target=other, kind="feeds", start=_BEGUN, end=_BEGUN + _DAY if n % 5 == 0 else None)
            for n, (one, other) in enumerate(pairs)
        ]
    )
    keys = [ExternalReference(system="SAP", kind="place", key=f"DE-{a.tag}", asset=a) for a in assets[:_KEYS]]
    keys += [ExternalReference(system="SAP", kind="equipment", key=f"EQ-{i}", item=i) for i in made[: _KEYS // 3]]
    create_records(records=keys)


def _item(number: str, design: Design | None) -> Item:
    assert design is not None
    build = {"clearance": 12.5, "batch": number[-2:], "supplier": "Müller & Söhne", "cutter": "C5"}
    acceptance = {"noise": 3.5}
    return Item(design=design, serial_number=number, build=build, acceptance=acceptance, made_at=_BEGUN - 90 * _DAY)


def _events(placed: Iterable[tuple[Asset, Item]]) -> Iterator[MaintenanceEvent]:
    for number, (place, item) in enumerate(placed):
        at = _BEGUN + (1300 + number) * _DAY
        yield MaintenanceEvent(
            asset=place, item=item, kind=("failure", "inspection", "repair", "preventive")[number % 4], started_at=at,
            ended_at=at + timedelta(hours=4), mode=_MODES[number % 4], cause=_CAUSES[number % 3], downtime_hours=4.0,
            note="Geräusch am Gehäuse, nachgeschmiert",
        )  # fmt: skip


def _grow_old(asset: Asset, design: Design) -> None:
    """One part has seen far more than a page shows: installations, events, sensors, relations and changes."""
    before = create_items(items=[_item(f"SO-{number:05}", design) for number in range(_OLD)])
    stays = [
        NewInstallation(asset=asset, item=item, start=_BEGUN - (number + 1) * _DAY, end=_BEGUN - number * _DAY)
        for number, item in enumerate(before)
    ]
    install_items(installations=stays)
    record_events(events=[event for _ in range(10) for event in _events([(asset, item) for item in before])])
    create_sensors(sensors=[Sensor(asset=asset, name=f"v{n:03}", quantity="vibration") for n in range(_OLD)])
    others = Asset.objects.filter(tag__startswith="U0-").exclude(pk=asset.pk).order_by("-pk")[:_OLD]
    relate_assets(relations=[NewRelation(source=asset, target=each, kind="cools", start=_BEGUN) for each in others])
    for number in range(_CHANGES):
        asset.name, asset.design = f"Part 1 named {number}", design
        asset.attributes = {"load": float(number), "medium": "Öl" if number % 2 else "Wasser"}
        change_asset(asset=asset)


def _name_elsewhere() -> None:
    """Rows of every other table are known to other systems too."""
    newest: dict[str, Any] = {
        "type": AssetType.objects.last(),
        "design": Design.objects.last(),
        "sensor": Sensor.objects.order_by("-pk")[0],
        "event": MaintenanceEvent.objects.order_by("-pk")[0],
        "relation": Relation.objects.order_by("-pk")[0],
        "installation": Installation.objects.order_by("-pk")[0],
    }
    create_records(
        records=[ExternalReference(system="Maximo", key=f"M-{name}", **{name: row}) for name, row in newest.items()]
    )


def _give_roles(units: Sequence[Asset]) -> None:
    model = get_user_model()
    users = model.objects.bulk_create([model(username=f"user{n:03}", is_staff=True) for n in range(_USERS)])
    for number, user in enumerate(users):
        give_role(role="planner", user=user, asset=units[number % len(units)])
