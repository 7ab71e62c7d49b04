"""Every list that can grow is a connection: a bounded page in a total order, where it ends, and its count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import strawberry
from graphql import GraphQLError

from twins.graphql.ids import Order, cursor, parse_cursor
from twins.selectors.pages import Page

Node = TypeVar("Node")
DEFAULT_FIRST = 50
MAX_FIRST = 1000

First = Annotated[int, strawberry.argument(description="How many, 1 to 1000.")]
After = Annotated[str | None, strawberry.argument(description="Continue behind this endCursor of an earlier page.")]


@strawberry.type(description="Where a page ends.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether the list goes on behind this page.")
    end_cursor: str | None = strawberry.field(description="The place of the last node; null on an empty page.")


@strawberry.type(description="A page of a list.")
class Connection(Generic[Node]):
    nodes: list[Node] = strawberry.field(description="The rows of this page, in order.")
    page_info: PageInfo = strawberry.field(description="Where this page ends and whether more follows.")
    count: strawberry.Private[Callable[[], Awaitable[int]]]

    @strawberry.field(description="How many rows the whole list has, whatever the page.")
    async def total_count(self) -> int:
        return await self.count()


@dataclass(frozen=True)
class Listing:
    """How rows of a list, which say where they stand by `page_key`, become nodes."""

    order: Order
    node: Callable[[Any], Any]

    def page(self, first: int, after: str | None, order: str | None = None) -> Page:
        """The page that is asked for; raises GraphQLError when it is out of bounds or the cursor is foreign."""
        check_first(first)
        return Page(first, None if after is None else parse_cursor(Order(order or self.order), after))

    def connection(
        self, rows: Sequence[Any], page: Page, count: Callable[[], Awaitable[int]], order: str | None = None
    ) -> Connection[Any]:
        """The connection of a page of rows that was fetched with one row more."""
        shown = rows[: page.first]
        end = cursor(Order(order or self.order), shown[-1].page_key, shown[-1].pk) if shown else None
        info = PageInfo(has_next_page=len(rows) > page.first, end_cursor=end)
        return Connection(nodes=[self.node(row) for row in shown], page_info=info, count=count)


def check_first(first: int) -> int:
    """The bound of every list; raises GraphQLError."""
    if not 1 <= first <= MAX_FIRST:
        raise GraphQLError(f"first is {first}: ask for 1 to {MAX_FIRST} and follow pageInfo.endCursor for more.")
    return first
