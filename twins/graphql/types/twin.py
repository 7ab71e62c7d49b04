"""The twins themselves: one interface, three levels; down to what they consist of and up to what they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import strawberry

from assets.models import Asset, Installation
from assets.models import AssetType as AssetTypeRow
from assets.models import Design as DesignRow
from twins.graphql.context import Info
from twins.graphql.ids import Kind, Order, global_id
from twins.graphql.planner import Column, Each, GlobalId, Kinds, One, Pages, Trail, sql
from twins.graphql.types.attributes import ATTRIBUTES, Attribute, Names, attributes_of
from twins.graphql.types.choosing import (
    OrderBy,
    Where,
    WhereEvent,
    WhereSensor,
    event_choice,
    relation_choice,
    sensor_choice,
    twin_choice,
)
from twins.graphql.types.connection import DEFAULT_FIRST, After, Connection, First, Listing
from twins.graphql.types.health import Health, Warning
from twins.graphql.types.register import (
    EVENT_PAGES,
    EVENTS,
    INSTALLATION_PAGES,
    INSTALLATIONS,
    AssetType,
    Design,
    Installed,
    MaintenanceEvent,
    Node,
    own_id,
    references,
)
from twins.graphql.types.relation import RELATION_PAGES, RELATIONS, At, Relation, RelationKinds, Way
from twins.graphql.types.reliability import HealthChange, Reliability, TrackRecord
from twins.graphql.types.sensor import SENSOR_PAGES, SENSORS, Sensor
from twins.graphql.types.words import AssetStatus, Level
from twins.models import Assessment, HealthWarning
from twins.selectors.choices import TwinChoice

Since = Annotated[datetime, strawberry.argument(description="Compared with what was believed then.")]


ASSESSED = One(Assessment, "{it}.asset_id = {row}.id")
_ANCESTORS = Each(Asset, "{it}.id = any({row}.path) and {it}.id <> {row}.id", "array_position({row}.path, {it}.id)")


def _below(level: Level | None = None) -> Pages:
    on = "{it}.parent_id = {row}.id"
    on = on if level is None else f"{on} and {{it}}.level = '{level}'"
    return Pages(Asset, on, Order.TAG, "{it}.tag", choose=twin_choice)


_DESCENDANTS = Pages(
    Asset, "{it}.path @> array[{row}.id] and {it}.id <> {row}.id", Order.TAG, "{it}.tag", choose=twin_choice
)


@strawberry.interface(description="The digital twin of an asset: a system, a product or a part position.")
class Twin(Node):
    id: strawberry.ID = own_id(GlobalId(Kind.TWIN))
    pk: strawberry.Private[int]
    ancestor_ids: strawberry.Private[list[int]]
    type_id: strawberry.Private[int | None]
    design_id: strawberry.Private[int | None]
    values: strawberry.Private[dict[str, Any]]
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
    async def children(
        self,
        info: Info,
        *,
        where: Where = None,
        order_by: OrderBy = None,
        first: First = DEFAULT_FIRST,
        after: After = None,
    ) -> Connection[Twin]:
        return await _load_children(
            self, info, None, twin_choice({"where": where, "order_by": order_by}), first=first, after=after
        )

    @strawberry.field(description="All twins below, at any depth and of any level, by tag.", metadata=sql(_DESCENDANTS))
    async def descendants(
        self,
        info: Info,
        *,
        where: Where = None,
        order_by: OrderBy = None,
        first: First = DEFAULT_FIRST,
        after: After = None,
    ) -> Connection[Twin]:
        choice, loaders = twin_choice({"where": where, "order_by": order_by}), info.context.loaders
        page = TWINS_BY_TAG.page(first, after, choice.order)
        rows = await loaders.descendants.load((self.pk, (choice, page)))
        count = lambda: loaders.descendant_counts.load((self.pk, choice))  # noqa: E731
        return TWINS_BY_TAG.connection(rows, page, count, choice.order)

    @strawberry.field(
        description="What it feeds, cools or is redundant with, and the other way round, by age in the register.",
        metadata=sql(RELATION_PAGES),
    )
    async def relations(
        self,
        info: Info,
        *,
        kinds: RelationKinds = None,
        direction: Way = None,
        at: At = None,
        first: First = DEFAULT_FIRST,
        after: After = None,
    ) -> Connection[Relation]:
        choice = relation_choice({"kinds": kinds, "direction": direction, "at": at})
        loaders, page = info.context.loaders, RELATIONS.page(first, after)
        rows = await loaders.relations.load((self.pk, (choice, page)))
        return RELATIONS.connection(rows, page, lambda: loaders.relation_counts.load((self.pk, choice)))

    @strawberry.field(
        description="The kind of asset it is; null when nobody said.",
        metadata=sql(One(AssetTypeRow, "{it}.id = {row}.type_id")),
    )
    async def type(self, info: Info) -> AssetType | None:
        row = None if self.type_id is None else await info.context.loaders.types.load(self.type_id)
        return None if row is None else AssetType.of(row)

    @strawberry.field(
        description="The design that an item here should be made to; null when nobody said.",
        metadata=sql(One(DesignRow, "{it}.id = {row}.design_id")),
    )
    async def design(self, info: Info) -> Design | None:
        row = None if self.design_id is None else await info.context.loaders.designs.load(self.design_id)
        return None if row is None else Design.of(row)

    @strawberry.field(description="Values of this position, by name, with their units.", metadata=sql(ATTRIBUTES))
    async def attributes(self, info: Info, names: Names = None) -> list[Attribute]:
        units = await info.context.loaders.attribute_units.load((self.type_id, self.design_id))
        return attributes_of(self.values, names, units)

    external_references = references("asset")

    @strawberry.field(
        description="What is believed of it now; null until it has been assessed.",
        metadata=sql(ASSESSED),
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
    async def sensors(
        self, info: Info, where: WhereSensor = None, first: First = DEFAULT_FIRST, after: After = None
    ) -> Connection[Sensor]:
        choice, loaders, page = sensor_choice({"where": where}), info.context.loaders, SENSORS.page(first, after)
        rows = await loaders.sensors.load((self.pk, (choice, page)))
        return SENSORS.connection(rows, page, lambda: loaders.sensor_counts.load((self.pk, choice)))

    @strawberry.field(description="What happened here, the newest first.", metadata=sql(EVENT_PAGES))
    async def events(
        self, info: Info, where: WhereEvent = None, first: First = DEFAULT_FIRST, after: After = None
    ) -> Connection[MaintenanceEvent]:
        choice, loaders, page = event_choice({"where": where}), info.context.loaders, EVENTS.page(first, after)
        rows = await loaders.events.load((self.pk, (choice, page)))
        return EVENTS.connection(rows, page, lambda: loaders.event_counts.load((self.pk, choice)))

    @strawberry.field(
        description="The item that is installed here now; null when the place is empty.",
        metadata=sql(One(Installation, "{it}.asset_id = {row}.id and upper_inf({it}.period)")),
    )
    async def installed(self, info: Info) -> Installed | None:
        row = await info.context.loaders.installed.load(self.pk)
        return None if row is None else Installed.of(row)

    @strawberry.field(description="What is and was installed here, the newest first.", metadata=sql(INSTALLATION_PAGES))
    async def installations(
        self, info: Info, first: First = DEFAULT_FIRST, after: After = None
    ) -> Connection[Installed]:
        loaders, page = info.context.loaders, INSTALLATIONS.page(first, after)
        rows = await loaders.installations.load((self.pk, page))
        return INSTALLATIONS.connection(rows, page, lambda: loaders.installation_counts.load(self.pk))


@strawberry.type(description="A part position: what is watched, wears out and is replaced.")
class PartTwin(Twin):
    @strawberry.field(description="The parts directly below, by tag.", metadata=sql(_below(Level.PART)))
    async def parts(
        self,
        info: Info,
        *,
        where: Where = None,
        order_by: OrderBy = None,
        first: First = DEFAULT_FIRST,
        after: After = None,
    ) -> Connection[PartTwin]:
        return await _load_children(
            self, info, Level.PART, twin_choice({"where": where, "order_by": order_by}), first=first, after=after
        )


@strawberry.type(description="A product: a machine or an assembly that consists of parts.")
class ProductTwin(Twin):
    @strawberry.field(description="The products directly below, by tag.", metadata=sql(_below(Level.PRODUCT)))
    async def products(
        self,
        info: Info,
        *,
        where: Where = None,
        order_by: OrderBy = None,
        first: First = DEFAULT_FIRST,
        after: After = None,
    ) -> Connection[ProductTwin]:
        return await _load_children(
            self, info, Level.PRODUCT, twin_choice({"where": where, "order_by": order_by}), first=first, after=after
        )

    @strawberry.field(description="The parts directly below, by tag.", metadata=sql(_below(Level.PART)))
    async def parts(
        self,
        info: Info,
        *,
        where: Where = None,
        order_by: OrderBy = None,
        first: First = DEFAULT_FIRST,
        after: After = None,
    ) -> Connection[PartTwin]:
        return await _load_children(
            self, info, Level.PART, twin_choice({"where": where, "order_by": order_by}), first=first, after=after
        )


@strawberry.type(description="A system: a site, a plant, a fleet.")
class SystemTwin(Twin):
    @strawberry.field(description="The systems directly below, by tag.", metadata=sql(_below(Level.SYSTEM)))
    async def systems(
        self,
        info: Info,
        *,
        where: Where = None,
        order_by: OrderBy = None,
        first: First = DEFAULT_FIRST,
        after: After = None,
    ) -> Connection[SystemTwin]:
        return await _load_children(
            self, info, Level.SYSTEM, twin_choice({"where": where, "order_by": order_by}), first=first, after=after
        )

    @strawberry.field(description="The products directly below, by tag.", metadata=sql(_below(Level.PRODUCT)))
    async def products(
        self,
        info: Info,
        *,
        where: Where = None,
        order_by: OrderBy = None,
        first: First = DEFAULT_FIRST,
        after: After = None,
    ) -> Connection[ProductTwin]:
        return await _load_children(
            self, info, Level.PRODUCT, twin_choice({"where": where, "order_by": order_by}), first=first, after=after
        )

    @strawberry.field(description="The parts directly below, by tag.", metadata=sql(_below(Level.PART)))
    async def parts(
        self,
        info: Info,
        *,
        where: Where = None,
        order_by: OrderBy = None,
        first: First = DEFAULT_FIRST,
        after: After = None,
    ) -> Connection[PartTwin]:
        return await _load_children(
            self, info, Level.PART, twin_choice({"where": where, "order_by": order_by}), first=first, after=after
        )


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
        type_id=row.type_id,
        design_id=row.design_id,
        values=row.attributes,
    )


TWIN_KINDS = Kinds("level", {kind.__name__: level for level, kind in _TYPES.items()})
TWINS_BY_TAG, TWINS_BY_HEALTH = Listing(Order.TAG, twin_of), Listing(Order.HEALTH, twin_of)


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


async def _load_children(
    twin: Twin, info: Info, level: Level | None, choice: TwinChoice, *, first: int, after: str | None
) -> Any:
    loaders, page = info.context.loaders, TWINS_BY_TAG.page(first, after, choice.order)
    rows = await loaders.children.load((twin.pk, (level, choice, page)))
    count = lambda: loaders.child_counts.load((twin.pk, (level, choice)))  # noqa: E731
    return TWINS_BY_TAG.connection(rows, page, count, choice.order)
