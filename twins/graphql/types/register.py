"""Reason, Realize, Run beside a twin: the design, the item made to it, its installation, and what happened."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

import strawberry
from strawberry.scalars import JSON

from assets.models import AssetType as AssetTypeRow
from assets.models import Design as DesignRow
from assets.models import ExternalReference as ReferenceRow
from assets.models import Installation
from assets.models import Item as ItemRow
from assets.models import MaintenanceEvent as EventRow
from twins.graphql.context import Info
from twins.graphql.ids import Kind, Order, global_id
from twins.graphql.planner import Column, Each, GlobalId, One, Pages, sql
from twins.graphql.scalars import finite
from twins.graphql.types.choosing import event_choice
from twins.graphql.types.connection import Listing
from twins.graphql.types.words import EventKind


@strawberry.type(description="The key by which another system knows something.")
class ExternalReference:
    system: str = strawberry.field(description="Name of the other system.", metadata=sql(Column("system")))
    kind: str = strawberry.field(
        description="What the key names there: equipment, functional location; may be empty.",
        metadata=sql(Column("kind")),
    )
    key: str = strawberry.field(description="The key.", metadata=sql(Column("key")))


def references(target: str) -> Any:
    """The field of a type whose rows stand in the column `target` of external references."""

    async def external_references(self: Any, info: Info) -> list[ExternalReference]:
        rows = await info.context.loaders.references.load((self.pk, target))
        return [ExternalReference(system=row.system, kind=row.kind, key=row.key) for row in rows]

    said = Each(ReferenceRow, f"{{it}}.{target}_id = {{row}}.id", "{it}.system, {it}.kind, {it}.id")
    return strawberry.field(
        external_references, description="How other systems know it, by system and kind.", metadata=sql(said)
    )


def own_id(said: GlobalId | None = None) -> Any:
    """The field `id`, described once."""
    return strawberry.field(description="Opaque, stable id, unique over all types.", metadata=sql(said))


@strawberry.interface(description="Anything with an id of its own, found again by node(id:).")
class Node:
    id: strawberry.ID = own_id()


@strawberry.type(description="A kind of asset: rolling bearing, gas turbine.")
class AssetType:
    code: str = strawberry.field(description="Code, unique.", metadata=sql(Column("code")))
    name: str = strawberry.field(description="Name.", metadata=sql(Column("name")))

    @classmethod
    def of(cls, row: AssetTypeRow) -> Self:
        return cls(code=row.code, name=row.name)


_FAILURE_MODES = """(
    select coalesce(jsonb_agg(distinct said.code collate "C" order by said.code collate "C"), '[]')
    from twins_assets_failurecode said join twins_assets_assettype kind on kind.id = {row}.type_id
    where said.kind = 'mode' and (said.design_id = {row}.id or said.type_id = any(kind.path))
)"""


@strawberry.type(description="Reason: one revision of how a kind of asset is made, as designed.")
class Design:
    pk: strawberry.Private[int]
    type: AssetType = strawberry.field(
        description="The kind of asset it is a design of.", metadata=sql(One(AssetTypeRow, "{it}.id = {row}.type_id"))
    )
    code: str = strawberry.field(description="Code of the design.", metadata=sql(Column("code")))
    revision: str = strawberry.field(description="Revision of the design.", metadata=sql(Column("revision")))
    name: str = strawberry.field(description="Name of the design.", metadata=sql(Column("name")))
    life_unit: str = strawberry.field(
        description="UCUM code in which life is counted: d for days, or e.g. {cycle}.",
        metadata=sql(Column("life_unit")),
    )
    expected_life: float | None = strawberry.field(
        description="Expected life, in `lifeUnit`.", metadata=sql(Column("expected_life"))
    )
    planning_horizon: float | None = strawberry.field(
        description="Remaining life beyond which the answer is 'more than this', in `lifeUnit`.",
        metadata=sql(Column("planning_horizon")),
    )
    parameters: JSON = strawberry.field(
        description="As-designed values: name to number or text.", metadata=sql(Column("parameters"))
    )

    @classmethod
    def of(cls, row: DesignRow) -> Self:
        return cls(
            pk=row.pk,
            type=AssetType.of(row.type),
            code=row.code,
            revision=row.revision,
            name=row.name,
            life_unit=row.life_unit,
            expected_life=finite(row.expected_life),
            planning_horizon=finite(row.planning_horizon),
            parameters=row.parameters,
        )

    @strawberry.field(
        description="Codes of the known failure modes, its own and those of its type.",
        metadata=sql(Column(expression=_FAILURE_MODES, always=True)),
    )
    async def failure_modes(self, info: Info) -> list[str]:
        modes: list[str] = await info.context.loaders.failure_modes.load(self.pk)
        return modes

    external_references = references("design")


@strawberry.type(description="Realize: a physical thing with a serial number, as built.")
class Item(Node):
    id: strawberry.ID = own_id(GlobalId(Kind.ITEM))
    pk: strawberry.Private[int]
    serial_number: str = strawberry.field(
        description="Serial number, unique within its design.", metadata=sql(Column("serial_number"))
    )
    manufacturer: str = strawberry.field(
        description="Who made it; empty when unknown.", metadata=sql(Column("manufacturer"))
    )
    build: JSON = strawberry.field(
        description="As-built values: batch, supplier, acceptance tests.", metadata=sql(Column("build"))
    )
    acceptance: JSON = strawberry.field(
        description="Results of the tests before delivery, by name.", metadata=sql(Column("acceptance"))
    )
    made_at: datetime | None = strawberry.field(description="When it was made, UTC.", metadata=sql(Column("made_at")))
    retired_at: datetime | None = strawberry.field(
        description="Since when it is scrapped or sold, UTC; null: it is not.", metadata=sql(Column("retired_at"))
    )
    design: Design = strawberry.field(
        description="The design it was made to.", metadata=sql(One(DesignRow, "{it}.id = {row}.design_id"))
    )
    external_references = references("item")

    @classmethod
    def of(cls, row: ItemRow) -> Self:
        return cls(
            id=strawberry.ID(global_id(Kind.ITEM, row.pk)),
            pk=row.pk,
            serial_number=row.serial_number,
            manufacturer=row.manufacturer,
            build=row.build,
            acceptance=row.acceptance,
            made_at=row.made_at,
            retired_at=row.retired_at,
            design=Design.of(row.design),
        )


@strawberry.type(description="Run: an item at a twin over a period.")
class Installed:
    item: Item = strawberry.field(
        description="What is or was installed.", metadata=sql(One(ItemRow, "{it}.id = {row}.item_id"))
    )
    since: datetime = strawberry.field(
        description="Since when, UTC.", metadata=sql(Column(expression="lower({row}.period)", always=True))
    )
    until: datetime | None = strawberry.field(
        description="Until when, UTC; null: it is there now.", metadata=sql(Column(expression="upper({row}.period)"))
    )
    removal_reason: str = strawberry.field(
        description="Why it was removed; empty when it was not, or nobody said.", metadata=sql(Column("removal_reason"))
    )

    @classmethod
    def of(cls, row: Installation) -> Self:
        return cls(
            item=Item.of(row.item),
            since=row.period.lower,
            until=row.period.upper,
            removal_reason=row.removal_reason,
        )


@strawberry.type(description="Something that happened at a twin: a failure, a repair, an order.")
class MaintenanceEvent(Node):
    id: strawberry.ID = own_id(GlobalId(Kind.EVENT))
    pk: strawberry.Private[int]
    kind: EventKind = strawberry.field(description="What kind of thing happened.", metadata=sql(Column("kind")))
    mode: str = strawberry.field(
        description="Code of the failure mode; empty when there is none.", metadata=sql(Column("mode"))
    )
    cause: str = strawberry.field(description="Code of the cause; empty when unknown.", metadata=sql(Column("cause")))
    started_at: datetime = strawberry.field(description="When it began, UTC.", metadata=sql(Column("started_at")))
    ended_at: datetime | None = strawberry.field(
        description="When it ended, UTC; null while it lasts or unknown.", metadata=sql(Column("ended_at"))
    )
    downtime_hours: float | None = strawberry.field(
        description="Time out of service, hours.", metadata=sql(Column("downtime_hours"))
    )
    note: str = strawberry.field(description="Free text.", metadata=sql(Column("note")))
    external_references = references("event")

    @classmethod
    def of(cls, row: EventRow) -> Self:
        return cls(
            id=strawberry.ID(global_id(Kind.EVENT, row.pk)),
            pk=row.pk,
            kind=EventKind(row.kind),
            mode=row.mode,
            cause=row.cause,
            started_at=row.started_at,
            ended_at=row.ended_at,
            downtime_hours=finite(row.downtime_hours),
            note=row.note,
        )


EVENTS = Listing(Order.STARTED, MaintenanceEvent.of)
EVENT_PAGES = Pages(
    EventRow, "{it}.asset_id = {row}.id", Order.STARTED, "{it}.started_at", descending=True, choose=event_choice
)
INSTALLATIONS = Listing(Order.STARTED, Installed.of)
INSTALLATION_PAGES = Pages(
    Installation, "{it}.asset_id = {row}.id", Order.STARTED, "lower({it}.period)", descending=True
)
