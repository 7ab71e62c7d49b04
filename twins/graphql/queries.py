"""The ways into the tree: by tag, by id, from the top, and by what is worst."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any
from uuid import UUID

import strawberry
from graphql import GraphQLError

from assets.models import Asset
from twins.graphql.context import Info
from twins.graphql.database import from_database
from twins.graphql.ids import Kind, Order, parse_global_id, row_number
from twins.graphql.planner import Bind, Pages, RootPages, RootRow, sql
from twins.graphql.types.choosing import OrderBy, Where, twin_choice
from twins.graphql.types.choosing import text as text_
from twins.graphql.types.connection import DEFAULT_FIRST, After, Connection, First
from twins.graphql.types.register import Item, MaintenanceEvent, Node
from twins.graphql.types.relation import Relation
from twins.graphql.types.sensor import Sensor
from twins.graphql.types.twin import ASSESSED, TWINS_BY_HEALTH, TWINS_BY_TAG, SystemTwin, Twin, twin_of
from twins.graphql.types.words import Level
from twins.selectors import twins as select

Tag = Annotated[str, strawberry.argument(description="Tag of the asset.")]
OptionalTag = Annotated[str | None, strawberry.argument(description="Tag of the system.")]
Words = Annotated[str, strawberry.argument(description="Words, or beginnings of one or two letters.")]
Site = Annotated[str | None, strawberry.argument(description="Tag of the top of its tree, when trees share tags.")]
OptionalId = Annotated[strawberry.ID | None, strawberry.argument(description="Id of the system, instead of its tag.")]
AnyId = Annotated[strawberry.ID, strawberry.argument(description="Id from any earlier answer.")]
OneLevel = Annotated[Level | None, strawberry.argument(description="Only of this level.")]


def _twin(given: Mapping[str, Any], it: str, bind: Bind) -> str:
    condition = f"{it}.tag = {bind(text_(given['tag']))}"
    if given.get("site") is None:
        return condition
    table, site = Asset._meta.db_table, bind(text_(given["site"]))
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


_SYSTEMS = Pages(
    Asset, f"{{it}}.parent_id is null and {{it}}.level = '{Level.SYSTEM}'", Order.TAG, "{it}.tag", choose=twin_choice
)
_WORST = Pages(Asset, "true", Order.HEALTH, "{it}h.health", choose=twin_choice)
_FOUND = Pages(Asset, "true", Order.TAG, "{it}.tag", choose=twin_choice)


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
    async def systems(
        self,
        info: Info,
        *,
        where: Where = None,
        order_by: OrderBy = None,
        first: First = DEFAULT_FIRST,
        after: After = None,
    ) -> Connection[SystemTwin]:
        choice, visible = twin_choice({"where": where, "order_by": order_by}), info.context.visible()
        page = TWINS_BY_TAG.page(first, after, choice.order)
        rows = await from_database(select.systems)(choice=choice, page=page, visible=visible)
        count = lambda: from_database(select.count_systems)(choice=choice, visible=visible)  # noqa: E731
        return TWINS_BY_TAG.connection(rows, page, count, choice.order)

    @strawberry.field(
        description="The twins that have each word in their tag or name, in a key of another system or in a serial "
        "number of what is or was installed, by tag; of a word that is everywhere the first thousand by age.",
        metadata=sql(RootPages(_FOUND)),
    )
    async def search(
        self,
        info: Info,
        *,
        text: Words,
        where: Where = None,
        order_by: OrderBy = None,
        first: First = DEFAULT_FIRST,
        after: After = None,
    ) -> Connection[Twin]:
        choice = twin_choice({"text": text, "where": where, "order_by": order_by})
        visible, page = info.context.visible(), TWINS_BY_TAG.page(first, after, choice.order)
        rows = await from_database(select.found_assets)(choice=choice, page=page, visible=visible)
        count = lambda: from_database(select.count_found)(choice=choice, visible=visible)  # noqa: E731
        return TWINS_BY_TAG.connection(rows, page, count, choice.order)

    @strawberry.field(
        description="The assessed twins, lowest health first.",
        metadata=sql(RootPages(_WORST, _of_level, joined=ASSESSED, path="{it}h.path")),
    )
    async def worst(
        self,
        info: Info,
        *,
        level: OneLevel = None,
        where: Where = None,
        first: First = DEFAULT_FIRST,
        after: After = None,
    ) -> Connection[Twin]:
        choice, visible, page = (
            twin_choice({"where": where}),
            info.context.visible(),
            TWINS_BY_HEALTH.page(first, after),
        )
        rows = await from_database(select.worst_assets)(level=level, choice=choice, page=page, visible=visible)
        count = lambda: from_database(select.count_assessed)(level=level, choice=choice, visible=visible)  # noqa: E731
        return TWINS_BY_HEALTH.connection(rows, page, count)


def _one_of(tag: str | None, id: str | None) -> bool:
    """Whether it is the tag; raises GraphQLError unless exactly one is given."""
    if (tag is None) == (id is None):
        raise GraphQLError("system needs either a tag or an id.")
    return tag is not None


async def _by_tag(info: Info, tag: str, site: str | None, level: Level | None) -> Any:
    rows = await from_database(select.assets_by_tag)(
        tag=text_(tag), site=text_(site), level=level, visible=info.context.visible()
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


_READ: dict[Kind, tuple[Any, Callable[[Any], Any]]] = {
    Kind.ITEM: (select.items_by_id, Item.of),
    Kind.EVENT: (select.events_by_id, MaintenanceEvent.of),
    Kind.RELATION: (select.relations_by_id, Relation.of),
}


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
    pk, (read, of) = row_number(text, kind), _READ[kind]
    found = await from_database(read)([pk], visible=visible)
    return of(found[pk]) if pk in found else None


def _uuid(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise GraphQLError(f"{key[:80]!r} is not the key of a sensor.") from None
