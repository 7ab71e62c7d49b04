"""The twins themselves: one interface, three levels; down to what they consist of and up to what they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import strawberry

from assets.models import Asset, AssetStatus, Installation, Level
from twins.graphql.context import Info
from twins.graphql.ids import Kind, Order, global_id
from twins.graphql.planner import Column, Each, GlobalId, Kinds, One, Pages, Trail, sql
from twins.graphql.types.connection import DEFAULT_FIRST, After, Connection, First, Listing
from twins.graphql.types.health import Health, Warning
from twins.graphql.types.register import EVENT_PAGES, EVENTS, Installed, MaintenanceEvent, Node, own_id
from twins.graphql.types.reliability import HealthChange, Reliability, TrackRecord
from twins.graphql.types.sensor import SENSOR_PAGES, SENSORS, Sensor
from twins.models import Assessment, HealthWarning

Since = Annotated[datetime, strawberry.argument(description="Compared with what was believed then.")]

strawberry.enum(Level, name="Level", description="Level in the hierarchy; levels may repeat and nest.")
strawberry.enum(AssetStatus, name="AssetStatus", description="Whether an asset is in service.")


_ANCESTORS = Each(Asset, "{it}.id = any({row}.path) and {it}.id <> {row}.id", "array_position({row}.path, {it}.id)")


def _below(level: Level | None = None) -> Pages:
    on = "{it}.parent_id = {row}.id"
    return Pages(Asset, on if level is None else f"{on} and {{it}}.level = '{level}'", Order.TAG, "{it}.tag")


@strawberry.interface(description="The digital twin of an asset: a system, a product or a part position.")
class Twin(Node):
    id: strawberry.ID = own_id(GlobalId(Kind.TWIN))
    pk: strawberry.Private[int]
    ancestor_ids: strawberry.Private[list[int]]
    tag: str = strawberry.field(description="Short name, unique within the whole tree.", metadata=sql(Column("tag")))
    name: str = strawberry.field(description="Full name.", metadata=sql(Column("name")))
    level: Level = strawberry.field(description="Level in the hierarchy.", metadata=sql(Column("level")))
    status: AssetStatus = strawberry.field(description="Whether it is in service.", metadata=sql(Column("status")))
    criticality: int = strawberry.field(description="1 negligible to 5 essential.", metadata=sql(Column("criticality")))

    @strawberry.field(description="Tags from the top of the tree to this twin.", metadata=sql(Trail(_ANCESTORS, "tag")))
    async def path(self, info: Info) -> list[str]:
        return [twin.tag for twin in await _load_ancestors(self, info)] + [self.tag]

    @strawberry.field(
        description="The twin directly above; null at the top.", metadata=sql(One(Asset, "{it}.id = {row}.parent_id"))
    )
    async def parent(self, info: Info) -> Twin | None:
        return await load_twin(info, self.ancestor_ids[-1] if self.ancestor_ids else None)

    @strawberry.field(
        description="The twins above, from the top of the tree down to the parent.", metadata=sql(_ANCESTORS)
    )
    async def ancestors(self, info: Info) -> list[Twin]:
        return await _load_ancestors(self, info)

    @strawberry.field(description="The twins directly below, of any level, by tag.", metadata=sql(_below()))
    async def children(self, info: Info, first: First = DEFAULT_FIRST, after: After = None) -> Connection[Twin]:
        return await _load_children(self, info, None, first, after)

    @strawberry.field(
        description="What is believed of it now; null until it has been assessed.",
        metadata=sql(One(Assessment, "{it}.asset_id = {row}.id")),
    )
    async def health(self, info: Info) -> Health | None:
        row = await info.context.loaders.assessments.load(self.pk)
        return None if row is None else Health.of(row)

    @strawberry.field(
        description="The warning of a failure that stands here; null when nothing is warned of.",
        metadata=sql(One(HealthWarning, "{it}.asset_id = {row}.id and {it}.cleared_at is null")),
    )
    async def warning(self, info: Info) -> Warning | None:
        row = await info.context.loaders.warnings.load(self.pk)
        return None if row is None else Warning.of(row)

    @strawberry.field(
        description="How often warnings about the design installed here were right at this site; null before the first."
    )
    async def track_record(self, info: Info) -> TrackRecord | None:
        row = await info.context.loaders.track_records.load(self.pk)
        return None if row is None else TrackRecord.of(row)

    @strawberry.field(
        description="What its health did since an instant, shared down to inputs; for at most 20 twins at once."
    )
    async def health_change(self, info: Info, since: Since) -> HealthChange | None:
        change = await info.context.loaders.changes.load((self.pk, since))
        return None if change is None else HealthChange.of(change, self.name)

    @strawberry.field(
        description="How long what is or was installed here and below lives, by design; for at most 20 twins at once."
    )
    async def reliability(self, info: Info) -> list[Reliability]:
        told = await info.context.loaders.reliability.load(self.pk)
        return [Reliability.of(one) for one in told.values()]

    @strawberry.field(description="What is measured here, by name; not of the twins below.", metadata=sql(SENSOR_PAGES))
    async def sensors(self, info: Info, first: First = DEFAULT_FIRST, after: After = None) -> Connection[Sensor]:
        loaders, page = info.context.loaders, SENSORS.page(first, after)
        rows = await loaders.sensors.load((self.pk, page))
        return SENSORS.connection(rows, page, lambda: loaders.sensor_counts.load(self.pk))

    @strawberry.field(description="What happened here, the newest first.", metadata=sql(EVENT_PAGES))
    async def events(
        self, info: Info, first: First = DEFAULT_FIRST, after: After = None
    ) -> Connection[MaintenanceEvent]:
        loaders, page = info.context.loaders, EVENTS.page(first, after)
        rows = await loaders.events.load((self.pk, page))
        return EVENTS.connection(rows, page, lambda: loaders.event_counts.load(self.pk))

    @strawberry.field(
        description="The item that is installed here now; null when the place is empty.",
        metadata=sql(One(Installation, "{it}.asset_id = {row}.id and upper_inf({it}.period)")),
    )
    async def installed(self, info: Info) -> Installed | None:
        row = await info.context.loaders.installations.load(self.pk)
        return None if row is None else Installed.of(row)


@strawberry.type(description="A part position: what is watched, wears out and is replaced.")
class PartTwin(Twin):
    @strawberry.field(description="The parts directly below, by tag.", metadata=sql(_below(Level.PART)))
    async def parts(self, info: Info, first: First = DEFAULT_FIRST, after: After = None) -> Connection[PartTwin]:
        return await _load_children(self, info, Level.PART, first, after)


@strawberry.type(description="A product: a machine or an assembly that consists of parts.")
class ProductTwin(Twin):
    @strawberry.field(description="The products directly below, by tag.", metadata=sql(_below(Level.PRODUCT)))
    async def products(self, info: Info, first: First = DEFAULT_FIRST, after: After = None) -> Connection[ProductTwin]:
        return await _load_children(self, info, Level.PRODUCT, first, after)

    @strawberry.field(description="The parts directly below, by tag.", metadata=sql(_below(Level.PART)))
    async def parts(self, info: Info, first: First = DEFAULT_FIRST, after: After = None) -> Connection[PartTwin]:
        return await _load_children(self, info, Level.PART, first, after)


@strawberry.type(description="A system: a site, a plant, a fleet.")
class SystemTwin(Twin):
    @strawberry.field(description="The systems directly below, by tag.", metadata=sql(_below(Level.SYSTEM)))
    async def systems(self, info: Info, first: First = DEFAULT_FIRST, after: After = None) -> Connection[SystemTwin]:
        return await _load_children(self, info, Level.SYSTEM, first, after)

    @strawberry.field(description="The products directly below, by tag.", metadata=sql(_below(Level.PRODUCT)))
    async def products(self, info: Info, first: First = DEFAULT_FIRST, after: After = None) -> Connection[ProductTwin]:
        return await _load_children(self, info, Level.PRODUCT, first, after)

    @strawberry.field(description="The parts directly below, by tag.", metadata=sql(_below(Level.PART)))
    async def parts(self, info: Info, first: First = DEFAULT_FIRST, after: After = None) -> Connection[PartTwin]:
        return await _load_children(self, info, Level.PART, first, after)


_TYPES: dict[str, type[Twin]] = {
    Level.SYSTEM: SystemTwin,
    Level.PRODUCT: ProductTwin,
    Level.PART: PartTwin,
}


def twin_of(row: Asset) -> Any:
    """The twin of an asset, of the type of its level."""
    return _TYPES[row.level](
        id=strawberry.ID(global_id(Kind.TWIN, row.pk)),
        pk=row.pk,
        ancestor_ids=row.path[:-1],
        tag=row.tag,
        name=row.name,
        level=Level(row.level),
        status=AssetStatus(row.status),
        criticality=row.criticality,
    )


TWIN_KINDS = Kinds("level", {kind.__name__: level for level, kind in _TYPES.items()})
TWINS_BY_TAG = Listing(Order.TAG, lambda row: row.tag, twin_of)
TWINS_BY_HEALTH = Listing(Order.HEALTH, lambda row: row.assessment.health, twin_of)


async def load_twin(info: Info, pk: int | None) -> Any:
    """The twin of this id if it is visible, else None."""
    row = None if pk is None else await info.context.loaders.assets.load(pk)
    return None if row is None else twin_of(row)


async def load_twins(info: Info, pks: Iterable[int]) -> list[Any]:
    """The visible twins of these ids, in their order, in one statement."""
    rows = await info.context.loaders.assets.load_many(pks)
    return [twin_of(row) for row in rows if row is not None]


async def _load_ancestors(twin: Twin, info: Info) -> list[Any]:
    return await load_twins(info, twin.ancestor_ids)


async def _load_children(twin: Twin, info: Info, level: Level | None, first: int, after: str | None) -> Any:
    loaders, page = info.context.loaders, TWINS_BY_TAG.page(first, after)
    rows = await loaders.children.load((twin.pk, (level, page)))
    return TWINS_BY_TAG.connection(rows, page, lambda: loaders.child_counts.load((twin.pk, level)))
