"""The plant in the register: its structure once, and what has happened to its items so far, as often as asked.

The simulation knows everything that happens; `sync_register` writes what is due and not yet there. It recognises
items by their serial numbers, so it can be interrupted and repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from assets.models import Asset, AssetType, Design, Installation, Item, Level, MaintenanceEvent, Sensor
from assets.services import (
    NewAsset,
    NewInstallation,
    change_asset,
    create_assets,
    create_items,
    create_sensors,
    equip_assets,
    install_items,
    record_events,
    remove_item,
    save_record,
)
from config.demo.declarations import GROUPS, ISO14224, connect, declare_design, declare_modes, declare_types, parent_of
from config.demo.history import HISTORY_DAYS, READINGS_A_DAY, SEED, instant
from config.demo.plant import FAMILIES, LAYOUT, PLANT_NAME, PLANT_TAG, POSITIONS, PRODUCTS, TRAINS, Family, SensorPlace
from config.demo.simulation import Happening, Simulation, Stint, item_build

_MARK = "demo"
_INTERVAL = 86_400.0 / READINGS_A_DAY


@dataclass(frozen=True)
class DemoPlant:
    """The plant's root asset, the instant that is day 0 of its simulation, and whether all of its history is there."""

    root: Asset
    origin: datetime
    seed: int
    loaded: bool


def find_plant() -> DemoPlant | None:
    """The demo plant of this register, or None."""
    root = Asset.objects.filter(parent=None, tag=PLANT_TAG, attributes__has_key=_MARK).order_by("id").first()
    if root is None:
        return None
    mark = root.attributes[_MARK]
    return DemoPlant(root, datetime.fromisoformat(mark["origin"]), mark["seed"], mark["loaded"])


def register_plant(*, simulation: Simulation, origin: datetime, seed: int = SEED) -> DemoPlant:
    """Create structure, sensors, items and events of the history in one transaction."""
    with transaction.atomic():
        types, designs = _types(), {}
        declare_types(types)
        for family in FAMILIES.values():
            designs[family.code] = _design(family, types[family.type])
        mark = {_MARK: {"origin": origin.isoformat(), "seed": seed, "loaded": False}}
        assets = create_assets(rows=_structure(types, designs, mark))
        equipped = equip_assets(assets=[asset for asset in assets.values() if asset.design_id])
        # The register may have had a design of this code before, with other templates than ours.
        there = {(sensor.asset_id, sensor.name) for sensor in equipped}
        places = [place for place in LAYOUT.sensors if (assets[place.tag].pk, place.spec.name) not in there]
        create_sensors(sensors=[_sensor(assets[place.tag], place) for place in places])
        connect(assets, instant(origin, -HISTORY_DAYS))
        plant = DemoPlant(assets[PLANT_TAG], origin, seed, loaded=False)
        sync_register(plant=plant, simulation=simulation, day=0.0)
    return plant


def mark_loaded(plant: DemoPlant) -> None:
    """Say that nothing of the history is missing; the last step of loading."""
    root = Asset.objects.get(pk=plant.root.pk)
    root.attributes = {**root.attributes, _MARK: {**root.attributes[_MARK], "loaded": True}}
    change_asset(asset=root)


def lake_keys(plant: DemoPlant) -> list[int]:
    """The lake's keys of the plant's sensors, in the order of `LAYOUT.sensors`; 0 for one that was taken away."""
    return [sensor.pk if sensor else 0 for sensor in plant_sensors(plant)]


def plant_sensors(plant: DemoPlant) -> list[Sensor | None]:
    """The plant's sensors in the order of `LAYOUT.sensors`, None for one that was taken away."""
    rows = Sensor.objects.filter(asset__root=plant.root.pk).select_related("asset")
    found = {(sensor.asset.tag, sensor.name): sensor for sensor in rows}
    return [found.get((place.tag, place.spec.name)) for place in LAYOUT.sensors]


def sync_register(*, plant: DemoPlant, simulation: Simulation, day: float) -> int:
    """Write items, installations and events that are due at `day` and missing; returns how many items came in.

    What a planner has changed stays: a position where something else is installed is left alone.
    """
    stints = simulation.stints()
    due = [s for s in stints if s.start <= day and (s.end is None or s.end > -HISTORY_DAYS)]
    with transaction.atomic():
        places = {asset.tag: asset for asset in Asset.objects.filter(root=plant.root.pk).select_related("design")}
        ours, there = {None, *(serial_number(s) for s in stints)}, _open_items(places)
        places = {tag: asset for tag, asset in places.items() if there.get(asset.pk) in ours}
        designs = {tag: asset.design for tag, asset in places.items() if asset.design}
        known = set(
            Item.objects.filter(design__in={p.design_id for p in places.values()}).values_list(
                "serial_number", flat=True
            )
        )
        _close_installations(
            plant, places, [s for s in due if s.end is not None and s.end <= day and serial_number(s) in known]
        )
        fresh = [s for s in due if serial_number(s) not in known and _tag(s) in designs]
        items = create_items(items=[_item(designs[_tag(s)], s, plant) for s in fresh])
        _install(plant, places, list(zip(fresh, items, strict=True)), day)
        _record(plant, places, [h for h in simulation.happenings if -HISTORY_DAYS < h.start <= day], day)
    return len(items)


def serial_number(stint: Stint | Happening) -> str:
    """Serial number of the item of a stint or happening."""
    family = FAMILIES[POSITIONS[stint.column].family]
    return f"{family.design}-{stint.train + 1}{stint.column:02d}{stint.number:02d}"


def _types() -> dict[str, AssetType]:
    names = {**GROUPS, "power-plant": "Power plant", "power-train": "Power train", **dict(PRODUCTS.values())}
    names["cooling-pump"] = "Cooling pump"
    names |= {family.type: family.type.replace("-", " ").capitalize() for family in FAMILIES.values()}
    types: dict[str, AssetType] = {}
    for code, name in names.items():
        above = parent_of(code)
        values = {"name": name, "iso14224": ISO14224.get(code, ""), "parent": types[above] if above else None}
        types[code], _ = AssetType.objects.get_or_create(code=code, defaults=values)
    return types


def _design(family: Family, kind: AssetType) -> Design:
    found = Design.objects.filter(code=family.design, revision="A").first()
    if found is not None:
        return found
    design = save_record(
        record=Design(
            type=kind,
            code=family.design,
            name=family.name,
            manufacturer=family.maker,
            parameters=family.parameters,
            expected_life=family.life,
            planning_horizon=family.horizon,
            life_unit="d",
        )
    )
    declare_design(design, family, _INTERVAL)
    return design


def _structure(types: dict[str, AssetType], designs: dict[str, Design], mark: dict[str, Any]) -> list[NewAsset]:
    plant = NewAsset(
        tag=PLANT_TAG, name=PLANT_NAME, level=Level.SYSTEM, type=types["power-plant"], criticality=5, attributes=mark
    )
    rows = [plant]
    for number, train in enumerate(TRAINS, start=1):
        kind = types["power-train"]
        rows.append(
            NewAsset(
                tag=train, name=f"Power train {number}", level=Level.SYSTEM, parent=PLANT_TAG, type=kind, criticality=5
            )
        )
        for code, (type_code, name) in PRODUCTS.items():
            tag, kind = f"{train}-{code}", types[type_code]
            rows.append(
                NewAsset(tag=tag, name=f"{name} {number}", level=Level.PRODUCT, parent=train, type=kind, criticality=4)
            )
        rows += [_part(train, position.tag, designs) for position in POSITIONS]
    return rows


def _part(train: str, tag: str, designs: dict[str, Design]) -> NewAsset:
    position = POSITIONS[LAYOUT.column[tag]]
    design, family = designs[position.family], FAMILIES[position.family]
    return NewAsset(
        tag=f"{train}-{tag}",
        name=position.name,
        level=Level.PART,
        parent=f"{train}-{position.product}",
        type=design.type,
        design=design,
        criticality=family.criticality,
    )


def _sensor(asset: Asset, place: SensorPlace) -> Sensor:
    spec = place.spec
    return Sensor(
        asset=asset,
        name=spec.name,
        quantity=spec.quantity,
        unit=spec.unit,
        role=spec.role,
        expected_interval=_INTERVAL,
        valid_min=spec.low,
        valid_max=spec.high,
    )


def _tag(stint: Stint | Happening) -> str:
    return f"{TRAINS[stint.train]}-{POSITIONS[stint.column].tag}"


def _item(design: Design, stint: Stint, plant: DemoPlant) -> Item:
    build = item_build(seed=plant.seed, train=stint.train, column=stint.column, number=stint.number)
    return Item(
        design=design,
        serial_number=serial_number(stint),
        manufacturer=design.manufacturer,
        build=build.record,
        made_at=instant(plant.origin, stint.start) - timedelta(days=40 + 7 * (stint.column % 9)),
    )


def _install(plant: DemoPlant, places: dict[str, Asset], rows: Sequence[tuple[Stint, Item]], day: float) -> None:
    occupied = _open_items(places)
    wishes = []
    for stint, item in rows:
        asset = places[_tag(stint)]
        ended = stint.end is not None and stint.end <= day
        if ended or asset.pk not in occupied:
            end = instant(plant.origin, stint.end) if ended and stint.end is not None else None
            start = instant(plant.origin, stint.start)
            reason = stint.reason if ended else ""
            wishes.append(NewInstallation(asset=asset, item=item, start=start, end=end, removal_reason=reason))
    if wishes:
        install_items(installations=wishes)


def _open_items(places: dict[str, Asset]) -> dict[int, str]:
    """Asset to the serial number of what is installed there now."""
    rows = Installation.objects.filter(asset__in=[p.pk for p in places.values()], period__upper_inf=True)
    return dict(rows.values_list("asset_id", "item__serial_number"))


def _close_installations(plant: DemoPlant, places: dict[str, Asset], ended: Sequence[Stint]) -> None:
    occupied = _open_items(places)
    for stint in ended:
        asset = places.get(_tag(stint))
        if asset and stint.end is not None and occupied.get(asset.pk) == serial_number(stint):
            remove_item(asset=asset, at=instant(plant.origin, stint.end), reason=stint.reason)


def _record(plant: DemoPlant, places: dict[str, Asset], due: Sequence[Happening], day: float) -> None:
    """Record what is missing, and the end of what was still going on when it was recorded."""
    events = MaintenanceEvent.objects.filter(asset__in=[place.pk for place in places.values()])
    known = {(event.asset_id, event.kind, event.started_at): event for event in events}
    items = {item.serial_number: item for item in Item.objects.filter(installations__asset__root=plant.root.pk)}
    fresh = []
    for happening in due:
        asset = places.get(_tag(happening))
        if asset is None:
            continue
        started = instant(plant.origin, happening.start)
        event = known.get((asset.pk, happening.kind, started))
        over = happening.end <= day
        if event is None:
            event = MaintenanceEvent(asset=asset, item=items.get(serial_number(happening)), kind=happening.kind)
            event.mode, event.started_at = happening.mode, started
            _finish(event, plant, happening, over)
            fresh.append(event)
        elif over and event.ended_at is None:
            _finish(event, plant, happening, over)
            save_record(record=event)
    # A plant that was loaded by an earlier release declares no more than the modes of failures.
    designs = {place.pk: place.design_id for place in places.values()}
    modes = [(designs[event.asset_id], event.mode) for event in fresh]
    declare_modes((design, mode) for design, mode in modes if design is not None and mode)
    record_events(events=fresh)


def _finish(event: MaintenanceEvent, plant: DemoPlant, happening: Happening, over: bool) -> None:
    if over:
        event.ended_at = instant(plant.origin, happening.end)
        event.downtime_hours = round((happening.end - happening.start) * 24, 1)


__all__ = ["DemoPlant", "find_plant", "lake_keys", "mark_loaded", "plant_sensors", "register_plant", "sync_register"]
