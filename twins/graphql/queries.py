"""The ways into the tree: by tag, by id, from the top, and by what is worst."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import strawberry
from graphql import GraphQLError

from assets.models import Asset, Level
from twins.graphql.context import Info
from twins.graphql.database import from_database
from twins.graphql.ids import Kind, Order, parse_global_id, row_number
from twins.graphql.planner import Bind, Pages, RootPages, RootRow, sql
from twins.graphql.types.connection import DEFAULT_FIRST, After, Connection, First
from twins.graphql.types.register import Item, MaintenanceEvent, Node
from twins.graphql.types.sensor import Sensor
from twins.graphql.types.twin import TWINS_BY_HEALTH, TWINS_BY_TAG, SystemTwin, Twin, twin_of
from twins.models import Assessment
from twins.selectors import twins as select

Tag = Annotated[str, strawberry.argument(description="Tag of the asset.")]
OptionalTag = Annotated[str | None, strawberry.argument(description="Tag of the system.")]
Site = Annotated[str | None, strawberry.argument(description="Tag of the top of its tree, when trees share tags.")]
OptionalId = Annotated[strawberry.ID | None, strawberry.argument(description="Id of the system, instead of its tag.")]
AnyId = Annotated[strawberry.ID, strawberry.argument(description="Id from any earlier answer.")]
OneLevel = Annotated[Level | None, strawberry.argument(description="Only of this level.")]


def _twin(given: Mapping[str, Any], it: str, bind: Bind) -> str:
    condition = f"{it}.tag = {bind(_text(given['tag']))}"
    if given.get("site") is None:
        return condition
    table, site = Asset._meta.db_table, bind(_text(given["site"]))
    return f"{condition} and {it}.root_id in (select id from {table} where parent_id is null and tag = {site})"  # noqa: S608


def _system(given: Mapping[str, Any], it: str, bind: Bind) -> str:
    level = f" and {it}.level = '{Level.SYSTEM}'"
    if _one_of(given.get("tag"), given.get("id")):
        return _twin(given, it, bind) + level
    return _twin_of_id(given, it, bind) + level


def _twin_of_id(given: Mapping[str, Any], it: str, bind: Bind) -> str:
    # Any other kind is refused here, and left to ordinary execution: there is no tree below it.
    return f"{it}.id = {bind(row_number(given['id'], Kind.TWIN))}"


def _of_level(given: Mapping[str, Any], it: str, bind: Bind) -> str:
    return "" if given.get("level") is None else f"{it}.level = {bind(Level(given['level']).value)}"


_SYSTEMS = Pages(Asset, f"{{it}}.parent_id is null and {{it}}.level = '{Level.SYSTEM}'", Order.TAG, "{it}.tag")
_WORST = Pages(Asset, "true", Order.HEALTH, "{it}h.health")
_ASSESSED = f"join {Assessment._meta.db_table} {{it}}h on {{it}}h.asset_id = {{it}}.id"


@strawberry.type(description="What can be asked. Needs the scope read.")
class Query:
    @strawberry.field(
        description="The twin of this tag; null when there is none, an error when several have it.",
        metadata=sql(RootRow(Asset, _twin)),
    )
    async def twin(self, info: Info, tag: Tag, site: Site = None) -> Twin | None:
        return await _by_tag(info, tag, site, None)

    @strawberry.field(
        description="The system of this tag or id; null when there is none.", metadata=sql(RootRow(Asset, _system))
    )
    async def system(
        self, info: Info, tag: OptionalTag = None, id: OptionalId = None, site: Site = None
    ) -> SystemTwin | None:
        if _one_of(tag, id):
            assert tag is not None
            return await _by_tag(info, tag, site, Level.SYSTEM)
        row = await _asset(info, row_number(str(id), Kind.TWIN))
        return twin_of(row) if row is not None and row.level == Level.SYSTEM else None

    @strawberry.field(
        description="Whatever has this id; null when there is no such thing any more.",
        metadata=sql(RootRow(Asset, _twin_of_id)),
    )
    async def node(self, info: Info, id: AnyId) -> Node | None:
        return await _node(info, str(id))

    @strawberry.field(description="The systems at the top of their trees, by tag.", metadata=sql(RootPages(_SYSTEMS)))
    async def systems(self, info: Info, first: First = DEFAULT_FIRST, after: After = None) -> Connection[SystemTwin]:
        visible, page = info.context.visible(), TWINS_BY_TAG.page(first, after)
        rows = await from_database(select.systems)(page=page, visible=visible)
        return TWINS_BY_TAG.connection(rows, page, lambda: from_database(select.count_systems)(visible=visible))

    @strawberry.field(
        description="The assessed twins, lowest health first.", metadata=sql(RootPages(_WORST, _ASSESSED, _of_level))
    )
    async def worst(
        self, info: Info, level: OneLevel = None, first: First = DEFAULT_FIRST, after: After = None
    ) -> Connection[Twin]:
        visible, page = info.context.visible(), TWINS_BY_HEALTH.page(first, after)
        rows = await from_database(select.worst_assets)(level=level, page=page, visible=visible)
        return TWINS_BY_HEALTH.connection(
            rows, page, lambda: from_database(select.count_assessed)(level=level, visible=visible)
        )


def _one_of(tag: str | None, id: str | None) -> bool:
    """Whether it is the tag; raises GraphQLError unless exactly one is given."""
    if (tag is None) == (id is None):
        raise GraphQLError("system needs either a tag or an id.")
    return tag is not None


async def _by_tag(info: Info, tag: str, site: str | None, level: Level | None) -> Any:
    rows = await from_database(select.assets_by_tag)(
        tag=_text(tag), site=_text(site), level=level, visible=info.context.visible()
    )
    if len(rows) > 1:
        raise GraphQLError(
            f"The tag {tag[:100]!r} is ambiguous: name the tree by site (tag of its top), or ask node(id:).",
            extensions={"code": "AMBIGUOUS"},
        )
    return twin_of(rows[0]) if rows else None


async def _asset(info: Info, pk: int) -> Asset | None:
    info.context.visible()
    row: Asset | None = await info.context.loaders.assets.load(pk)
    return row


async def _node(info: Info, text: str) -> Any:
    kind, key = parse_global_id(text)
    visible = info.context.visible()
    if kind is Kind.TWIN:
        row = await _asset(info, row_number(text, kind))
        return None if row is None else twin_of(row)
    if kind is Kind.SENSOR:
        uuid = _uuid(key)
        found: Any = await from_database(select.sensors_by_uuid)([uuid], visible=visible)
        return Sensor.of(found[uuid]) if uuid in found else None
    pk = row_number(text, kind)
    read, of = (select.items_by_id, Item.of) if kind is Kind.ITEM else (select.events_by_id, MaintenanceEvent.of)
    found = await from_database(read)([pk], visible=visible)
    return of(found[pk]) if pk in found else None


def _uuid(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise GraphQLError(f"{key[:80]!r} is not the key of a sensor.") from None


def _text(value: Any) -> Any:
    """PostgreSQL has no NUL in a text: such a name cannot exist."""
    if value is not None and "\x00" in value:
        raise GraphQLError("A tag cannot contain the character NUL.")
    return value
