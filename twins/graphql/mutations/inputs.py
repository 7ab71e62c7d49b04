"""What clients send to change the register, and how it becomes the wishes of the services.

Rows name assets and items by the ids of earlier answers, types and designs by code. `Known` looks up all that the rows
of one mutation name, one statement a table, and refuses what cannot be seen in the words of what is not there.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import strawberry
from strawberry.scalars import JSON

from assets.exceptions import InvalidValue
from assets.models import Asset, AssetType, Design, Item, MaintenanceEvent, Sensor
from assets.services import Move, NewAsset, NewInstallation, NewRelation, Removal, Replacement
from twins.graphql.context import Info
from twins.graphql.ids import Kind, row_number
from twins.graphql.mutations.running import seen
from twins.graphql.types.choosing import text
from twins.graphql.types.words import AssetStatus, EventKind, Level, RelationKind, SensorRole

_say = strawberry.field
UNSET = strawberry.UNSET


def _asset_id(what: str = "Id of the twin.") -> Any:
    return _say(description=what)


def _item_id() -> Any:
    return _say(description="Id of the item.")


@strawberry.input(description="A design, by code and revision.")
class DesignName:
    code: str = _say(description="Code of the design.")
    revision: str = _say(default="A", description="Revision of the design.")


@strawberry.input(description="An asset to be.")
class NewAssetInput:
    tag: str = _say(description="Short name, unique within the whole tree.")
    name: str = _say(description="Full name.")
    level: Level = _say(description="Level in the hierarchy.")
    parent: str | None = _say(default=None, description="Tag of a row before it or of an asset in the tree of `under`.")
    type: str | None = _say(default=None, description="Code of the type; default: that of the design.")
    design: DesignName | None = _say(default=None, description="The design that an item here should be made to.")
    criticality: int = _say(default=3, description="1 negligible to 5 essential.")
    status: AssetStatus = _say(default=AssetStatus.OPERATING, description="Whether it is in service.")
    attributes: JSON | None = _say(default=None, description="Values of the position: name to number, text or truth.")


@strawberry.input(description="Changes of an asset; a field that is not given stays as it is.")
class AssetChange:
    id: strawberry.ID = _asset_id()
    tag: str | None = _say(default=UNSET, description="Short name, unique within the whole tree.")
    name: str | None = _say(default=UNSET, description="Full name.")
    level: Level | None = _say(default=UNSET, description="Level in the hierarchy.")
    type: str | None = _say(default=UNSET, description="Code of the type; null: none.")
    design: DesignName | None = _say(default=UNSET, description="The design; null: none.")
    criticality: int | None = _say(default=UNSET, description="1 negligible to 5 essential.")
    status: AssetStatus | None = _say(default=UNSET, description="Whether it is in service.")
    attributes: JSON | None = _say(default=UNSET, description="All values of the position, in place of those it has.")


@strawberry.input(description="An asset that comes to stand elsewhere, with everything below it.")
class AssetMove:
    id: strawberry.ID = _asset_id()
    parent: strawberry.ID | None = _say(default=None, description="Id of its new parent; null: the top of a tree.")


@strawberry.input(description="A sensor to be.")
class NewSensorInput:
    asset: strawberry.ID = _asset_id()
    name: str = _say(description="Name, unique at its twin.")
    quantity: str = _say(description="What is measured: temperature, vibration velocity.")
    unit: str = _say(default="1", description="UCUM code of the unit of its values: Cel, mm/s, {cycle}.")
    role: SensorRole = _say(default=SensorRole.MEASUREMENT, description="What it is for.")
    expected_interval: float | None = _say(default=None, description="Seconds between readings.")
    valid_min: float | None = _say(default=None, description="Lowest value it can give, in `unit`.")
    valid_max: float | None = _say(default=None, description="Highest value it can give, in `unit`.")


@strawberry.input(description="An item to be.")
class NewItemInput:
    design: DesignName = _say(description="The design it was made to.")
    serial_number: str = _say(description="Serial number, unique within its design.")
    manufacturer: str = _say(default="", description="Who made it.")
    build: JSON | None = _say(default=None, description="As-built values, by name.")
    acceptance: JSON | None = _say(default=None, description="Results of the tests before delivery, by name.")
    made_at: datetime | None = _say(default=None, description="When it was made.")


@strawberry.input(description="An item at a twin over a period.")
class NewInstallationInput:
    asset: strawberry.ID = _asset_id()
    item: strawberry.ID = _item_id()
    since: datetime = _say(description="From when on.")
    until: datetime | None = _say(default=None, description="Until when; null: it stays.")
    removal_reason: str = _say(default="", description="Why it was removed.")


@strawberry.input(description="What is installed at a twin is taken out.")
class RemovalInput:
    asset: strawberry.ID = _asset_id()
    at: datetime = _say(description="When.")
    reason: str = _say(description="Why.")


@strawberry.input(description="What is installed at a twin is taken out, and another item put there.")
class ReplacementInput:
    asset: strawberry.ID = _asset_id()
    item: strawberry.ID = _item_id()
    at: datetime = _say(description="When.")
    reason: str = _say(description="Why.")


@strawberry.input(description="A relation to be: the source does something to the target.")
class NewRelationInput:
    source: strawberry.ID = _asset_id("Id of the source.")
    target: strawberry.ID = _asset_id("Id of the target.")
    kind: RelationKind = _say(description="What the source does to the target.")
    since: datetime = _say(description="From when on.")
    until: datetime | None = _say(default=None, description="Until when; null: without end.")
    note: str = _say(default="", description="Free text.")


@strawberry.input(description="Something that happened at a twin.")
class NewEventInput:
    asset: strawberry.ID = _asset_id()
    kind: EventKind = _say(description="What kind of thing happened.")
    started_at: datetime = _say(description="When it began.")
    ended_at: datetime | None = _say(default=None, description="When it ended.")
    item: strawberry.ID | None = _say(default=None, description="Id of the item it happened to.")
    mode: str = _say(default="", description="Code of the failure mode.")
    cause: str = _say(default="", description="Code of the cause.")
    downtime_hours: float | None = _say(default=None, description="Time out of service, hours.")
    note: str = _say(default="", description="Free text.")


class Known:
    """What the rows of one mutation name, found for whoever asks."""

    def __init__(self, info: Info, rows: Iterable[Any]) -> None:
        self._info, self._rows = info, list(rows)
        self._assets = self._numbered(Asset.objects.all(), Kind.TWIN, ("id", "asset", "parent", "source", "target"))
        self._items = self._numbered(Item.objects.select_related("design"), Kind.ITEM, ("item",))
        codes = {text(code) for code in self._said("type")}
        self._types = {row.code: row for row in seen(info, AssetType.objects.filter(code__in=codes))} if codes else {}
        designs = {text(name.code) for name in self._said("design")}
        found = seen(info, Design.objects.filter(code__in=designs)).select_related("type") if designs else ()
        self._designs = {(row.code, row.revision): row for row in found}

    def asset(self, index: int, field: str) -> Asset:
        found: Asset = self._one(self._assets, index, field, "twin")
        return found

    def item(self, index: int) -> Any:
        return self._one(self._items, index, "item", "item")

    def type(self, index: int) -> AssetType | None:
        return self._named(self._types, index, "type", self._rows[index].type)

    def design(self, index: int) -> Design | None:
        name = self._rows[index].design
        return self._named(self._designs, index, "design", name and (name.code, name.revision))

    def _said(self, *fields: str) -> list[Any]:
        values = [getattr(row, field, None) for row in self._rows for field in fields]
        return [value for value in values if value is not None and value is not UNSET]

    def _numbered(self, rows: Any, kind: Kind, fields: tuple[str, ...]) -> dict[str, Any]:
        # The parent of a new asset is a tag, that of a move an id.
        wanted = [row for row in self._rows if not isinstance(row, NewAssetInput)]
        said = {str(getattr(row, field)) for row in wanted for field in fields if getattr(row, field, None) is not None}
        numbers = {each: row_number(each, kind) for each in said}
        found = seen(self._info, rows).in_bulk(list(numbers.values())) if numbers else {}
        return {each: found[number] for each, number in numbers.items() if number in found}

    def _one(self, found: dict[str, Any], index: int, field: str, what: str) -> Any:
        said = str(getattr(self._rows[index], field))
        if said not in found:
            raise InvalidValue(
                f"Row {index}, {field}: there is no {what} of this id that you may see: look it up again."
            )
        return found[said]

    def _named(self, found: dict[Any, Any], index: int, field: str, name: Any) -> Any:
        if name is None:
            return None
        if name not in found:
            said = " revision ".join(name) if isinstance(name, tuple) else name
            raise InvalidValue(f"Row {index}, {field}: there is no {field} {said!r}: correct the code.")
        return found[name]


def assets_to_be(rows: list[NewAssetInput], known: Known) -> list[NewAsset]:
    return [
        NewAsset(
            tag=row.tag,
            name=row.name,
            level=row.level.value,
            parent=row.parent,
            type=known.type(index),
            design=known.design(index),
            criticality=row.criticality,
            status=row.status.value,
            attributes=_object(index, "attributes", row.attributes),
        )
        for index, row in enumerate(rows)
    ]


def edits(rows: list[AssetChange], known: Known) -> dict[int, dict[str, Any]]:
    """The changed fields of each asset, by its id; raises InvalidValue for one that is named twice."""
    found: dict[int, dict[str, Any]] = {}
    for index, row in enumerate(rows):
        asset = known.asset(index, "id")
        if asset.pk in found:
            raise InvalidValue(f"Row {index}, id: {asset.tag!r} is named twice: say all its changes in one row.")
        given = {name: value for name, value in vars(row).items() if value is not UNSET and name != "id"}
        for name, look in (("type", known.type), ("design", known.design)):
            if name in given:
                given[name] = look(index)
        if "attributes" in given:
            given["attributes"] = _object(index, "attributes", row.attributes)
        found[asset.pk] = {name: getattr(value, "value", value) for name, value in given.items()}
    return found


def moves(rows: list[AssetMove], known: Known) -> list[Move]:
    return [
        Move(asset=known.asset(index, "id"), parent=None if row.parent is None else known.asset(index, "parent"))
        for index, row in enumerate(rows)
    ]


def sensors_to_be(rows: list[NewSensorInput], known: Known) -> list[Sensor]:
    return [
        Sensor(
            asset=known.asset(index, "asset"),
            name=row.name,
            quantity=row.quantity,
            unit=row.unit,
            role=row.role.value,
            expected_interval=row.expected_interval,
            valid_min=row.valid_min,
            valid_max=row.valid_max,
        )
        for index, row in enumerate(rows)
    ]


def items_to_be(rows: list[NewItemInput], known: Known) -> list[Item]:
    return [
        Item(
            design=known.design(index),
            serial_number=row.serial_number,
            manufacturer=row.manufacturer,
            build=_object(index, "build", row.build),
            acceptance=_object(index, "acceptance", row.acceptance),
            made_at=row.made_at,
        )
        for index, row in enumerate(rows)
    ]


def installations_to_be(rows: list[NewInstallationInput], known: Known) -> list[NewInstallation]:
    return [
        NewInstallation(
            asset=known.asset(index, "asset"),
            item=known.item(index),
            start=row.since,
            end=row.until,
            removal_reason=row.removal_reason,
        )
        for index, row in enumerate(rows)
    ]


def removals(rows: list[RemovalInput], known: Known) -> list[Removal]:
    return [Removal(asset=known.asset(index, "asset"), at=row.at, reason=row.reason) for index, row in enumerate(rows)]


def replacements(rows: list[ReplacementInput], known: Known) -> list[Replacement]:
    return [
        Replacement(asset=known.asset(index, "asset"), item=known.item(index), at=row.at, reason=row.reason)
        for index, row in enumerate(rows)
    ]


def relations_to_be(rows: list[NewRelationInput], known: Known) -> list[NewRelation]:
    return [
        NewRelation(
            source=known.asset(index, "source"),
            target=known.asset(index, "target"),
            kind=row.kind.value,
            start=row.since,
            end=row.until,
            note=row.note,
        )
        for index, row in enumerate(rows)
    ]


def events_to_be(rows: list[NewEventInput], known: Known) -> list[MaintenanceEvent]:
    return [
        MaintenanceEvent(
            asset=known.asset(index, "asset"),
            item=None if row.item is None else known.item(index),
            kind=row.kind.value,
            mode=row.mode,
            cause=row.cause,
            started_at=row.started_at,
            ended_at=row.ended_at,
            downtime_hours=row.downtime_hours,
            note=row.note,
        )
        for index, row in enumerate(rows)
    ]


def _object(index: int, field: str, value: Any) -> dict[str, Any]:
    if value is not None and not isinstance(value, dict):
        raise InvalidValue(f"Row {index}, {field}: it must be an object of names and values.")
    return dict(value or {})
