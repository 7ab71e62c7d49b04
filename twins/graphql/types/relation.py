"""What joins twins beside containment, as one of them sees it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self

import strawberry

from assets.models import SYMMETRIC, Asset
from assets.models import Relation as RelationRow
from twins.graphql.context import Info
from twins.graphql.ids import Kind, Order, global_id
from twins.graphql.planner import Bind, Column, GlobalId, One, Pages, sql
from twins.graphql.types.choosing import relation_choice
from twins.graphql.types.connection import Listing
from twins.graphql.types.register import Node, own_id
from twins.graphql.types.words import Direction, RelationKind

if TYPE_CHECKING:
    from twins.graphql.types.twin import Twin

RelationKinds = Annotated[list[RelationKind] | None, strawberry.argument(description="Only of these kinds.")]
Way = Annotated[Direction | None, strawberry.argument(description="Only as they are read, or only against.")]
At = Annotated[datetime | None, strawberry.argument(description="Those that held then; default: those without end.")]


@strawberry.type(description="A typed edge to another twin that is not containment, over a period.")
class Relation(Node):
    id: strawberry.ID = own_id(GlobalId(Kind.RELATION))
    kind: RelationKind = strawberry.field(
        description="What the source does to the target.", metadata=sql(Column("kind"))
    )
    direction: Direction | None = strawberry.field(
        description="OUT: this twin is the source; IN: the target; null: it says the same both ways.",
        metadata=sql(Column(expression="{row}.way")),
    )
    since: datetime = strawberry.field(
        description="Since when, UTC.", metadata=sql(Column(expression="lower({row}.period)", always=True))
    )
    until: datetime | None = strawberry.field(
        description="Until when, UTC; null: without end.", metadata=sql(Column(expression="upper({row}.period)"))
    )
    note: str = strawberry.field(description="Free text.", metadata=sql(Column("note")))
    other_id: strawberry.Private[int]

    @strawberry.field(
        description="The twin at the other end.", metadata=sql(One(Asset, "{it}.id = {row}.other_id", always=True))
    )
    async def twin(self, info: Info) -> Annotated[Twin, strawberry.lazy("twins.graphql.types.twin")]:
        from twins.graphql.types.twin import load_twin

        found: Any = await load_twin(info, self.other_id)
        return found

    @classmethod
    def of(cls, row: Any) -> Self:
        """From a relation with its `way` and `other_id`."""
        return cls(
            id=strawberry.ID(global_id(Kind.RELATION, row.pk)),
            kind=RelationKind(row.kind),
            direction=None if row.way == "both" else Direction(row.way),
            since=row.period.lower,
            until=row.period.upper,
            note=row.note,
            other_id=row.other_id,
        )


def _said(given: Any, it: str, bind: Bind) -> str:
    choice = relation_choice(given)
    said = [f"upper_inf({it}.period)" if choice.at is None else f"{it}.period @> {bind(choice.at)}::timestamptz"]
    if choice.kinds is not None:
        said.append(f"{it}.kind = any({bind(list(choice.kinds))}::text[])")
    if choice.direction is not None:
        said.append(f"{it}.way = '{choice.direction.value}'")
    return " and ".join(said)


_BOTH = ", ".join(f"'{kind.value}'" for kind in SYMMETRIC)
_WAY = f"case when kind in ({_BOTH}) then null else '{{way}}' end as way"
_ENDS = " union all ".join(
    f"select id, kind, period, note, {here}_id as owner_id, {there}_id as other_id, {_WAY.format(way=way)} "  # noqa: S608
    f"from {RelationRow._meta.db_table}"
    for here, there, way in (("source", "target", "out"), ("target", "source", "in"))
)
RELATIONS = Listing(Order.MADE, Relation.of)
RELATION_PAGES = Pages(
    RelationRow,
    "{it}.owner_id = {row}.id",
    Order.MADE,
    "{it}.id",
    table=f"({_ENDS})",
    seen="other_id",
    where=_said,
)
