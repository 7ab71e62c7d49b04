"""How a field is said in SQL. In the templates `{row}` is the row of the object, `{it}` a row that belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from django.db.models import Model, Q

from twins.graphql.ids import Kind, Order
from twins.selectors.pages import Sort

METADATA = "sql"

Bind = Callable[[Any], str]
"""Takes a parameter and gives its placeholder."""
Where = Callable[[Mapping[str, Any], str, Bind], str]
"""Condition on a row (its alias is the second argument) from the arguments of a field; raises GraphQLError."""


@dataclass(frozen=True)
class Column:
    """A column of the row, or an expression; how it is written follows from the GraphQL type of the field."""

    name: str = ""
    expression: str = ""
    always: bool = False
    """The expression is never null."""

    @property
    def template(self) -> str:
        return self.expression or f"{{row}}.{self.name}"


@dataclass(frozen=True)
class GlobalId:
    """The opaque id of the row."""

    kind: Kind
    column: str = "id"


@dataclass(frozen=True)
class Same:
    """An object made of columns of the same row; null unless `present` holds."""

    present: str = ""


@dataclass(frozen=True)
class One:
    """The row of another table that belongs to this one, or null."""

    model: type[Model]
    on: str
    always: bool = False
    """There is one, though no column says so."""


@dataclass(frozen=True)
class Each:
    """A short list of rows of another table, all of them."""

    model: type[Model]
    on: str
    order: str


@dataclass(frozen=True)
class Derived:
    """A short list of rows that a subquery makes of this one. `where` may narrow it by the arguments."""

    source: str
    order: str
    where: Where | None = None


@dataclass(frozen=True)
class Trail:
    """A list of texts: a column of each row that belongs to this one, and of the row itself at the end."""

    each: Each
    column: str


@dataclass(frozen=True)
class Elements:
    """The objects of a JSON list in a column; their fields are keys."""

    column: str


@dataclass(frozen=True)
class Key:
    """A key of an object in a JSON list."""

    name: str


@dataclass(frozen=True)
class Latest:
    """The newest reading of a sensor: of the compacted ones in a table, of the hot tail given to the statement."""

    model: type[Model]


class Chosen(NamedTuple):
    """What is selected of an object that no statement writes: its type, and (key, field, what of it) of each member."""

    type: str
    members: tuple[tuple[str, str, Chosen | None], ...]


@dataclass(frozen=True)
class Later:
    """An object that no statement tells: it leaves a mark with the id of the row, and afterwards all are told at once.

    `tell` takes the ids of all rows, the arguments as the resolver does and what time it is, and gives something for
    each; `write` makes JSON of what it gave, of each one text. Raises what the resolver raises.
    """

    tell: Callable[[list[int], Mapping[str, Any], datetime], Mapping[int, Any]]
    write: Callable[[Sequence[Any], Chosen], list[bytes]]


class Choice(Protocol):
    """What a client narrows and orders a list by."""

    @property
    def order(self) -> str | None:
        """Name of the order that is asked for, as cursors have it."""

    def condition(self, visible: Q) -> Q:
        """On the rows of the list."""

    def sort(self) -> Sort | None:
        """None for the list's own order."""


@dataclass(frozen=True)
class Pages:
    """A connection: a page of rows of another table in a total order. `value` is the ordering expression.

    `choose` makes the choice from the arguments as the resolver takes them; `where` is for what Django cannot say.
    `table` stands in for the table of the model; `seen` is the column of its rows that names an asset to be seen.
    """

    model: type[Model]
    on: str
    order: Order
    value: str
    descending: bool = False
    choose: Callable[[Mapping[str, Any]], Choice] | None = None
    where: Where | None = None
    table: str = ""
    seen: str = ""

    @property
    def source(self) -> str:
        return self.table or self.model._meta.db_table


@dataclass(frozen=True)
class RootPages:
    """A connection at the root. `where` may narrow it by the arguments.

    `joined` is a row that each of its own has, `{it}h` in the templates; a field of the same mapping is written from
    it. `path` is where a row stands, ids from the root, and each of the first PLACED has an index that goes on in the
    order of the list: whoever sees a few places gets the page of each by itself.
    """

    pages: Pages
    where: Where | None = None
    joined: One | None = None
    path: str = ""

    @property
    def ordered(self) -> type[Model]:
        """The model whose column orders it."""
        return self.joined.model if self.joined else self.pages.model

    def join(self, it: str) -> str:
        """What follows the table."""
        if self.joined is None:
            return ""
        return f"join {self.joined.model._meta.db_table} {it}h on {self.joined.on.format(it=f'{it}h', row=it)}"


@dataclass(frozen=True)
class RootRow:
    """One row at the root. Two rows that satisfy the condition are for ordinary execution to judge."""

    model: type[Model]
    where: Where


@dataclass(frozen=True)
class Kinds:
    """The concrete types of an interface or a union, and the column that tells which one a row is."""

    column: str
    values: Mapping[str, str]
    """Stored value by the name of the type."""


def sql(mapping: object) -> dict[str, object]:
    """Metadata of a Strawberry field that says how the field is said in SQL."""
    return {METADATA: mapping}
