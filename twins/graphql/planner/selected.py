"""What the arguments of a selected field come to in one run of a statement: its page, its order and its choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from django.db.models import Q
from graphql import GraphQLField, Visitor, get_named_type, visit
from graphql.execution.collect_fields import FieldDetailsList
from graphql.execution.values import get_argument_values
from strawberry.types.arguments import convert_arguments

from assets.compiling import condition_sql
from twins.graphql.ids import Order, parse_cursor
from twins.graphql.planner import mapping as m
from twins.graphql.planner.text import Binding, Late, Sql
from twins.graphql.types.connection import check_first
from twins.selectors.pages import Key, Sort

_DEFINITION = "strawberry-definition"


class _Variables(Visitor):
    any = False

    def enter_variable(self, *_: Any) -> None:
        self.any = True


@dataclass(frozen=True)
class Selected:
    """A field of the selection, with the row its object is made of."""

    field: GraphQLField
    details: FieldDetailsList
    row: str
    schema: Any = None

    @property
    def named(self) -> Any:
        return get_named_type(self.field.type)

    @cached_property
    def _is_open(self) -> bool:
        """Whether a variable stands in the arguments."""
        found = _Variables()
        for argument in self.details[0].node.arguments or ():
            visit(argument, found)
        return found.any

    def arguments(self, binding: Binding) -> dict[str, Any]:
        """Raises Late while variables are not known that they depend on, GraphQLError."""
        if binding.variables is None and self._is_open:
            raise Late
        known: dict[str, Any] | None = binding.arguments.get(id(self))
        if known is None:
            node = self.details[0].node
            known = binding.arguments[id(self)] = get_argument_values(self.field, node, binding.variables)
        return known

    def choice(self, pages: m.Pages, binding: Binding) -> m.Choice | None:
        """What the arguments choose, as the resolver would take them; None where the list takes none."""
        if pages.choose is None or not self.details[0].node.arguments:
            return None
        if id(self) not in binding.choices:
            binding.choices[id(self)] = pages.choose(self.keywords(binding))
        choice: m.Choice = binding.choices[id(self)]
        return choice

    def keywords(self, binding: Binding) -> dict[str, Any]:
        """The arguments as the resolver takes them."""
        definition = self.field.extensions[_DEFINITION]
        schema = self.schema._strawberry_schema
        registry = schema.schema_converter.scalar_registry
        return convert_arguments(self.arguments(binding), definition.arguments, registry, schema.config)


def mapping_of(field: GraphQLField) -> Any:
    """What the metadata of a field say about SQL, or None."""
    definition = field.extensions.get(_DEFINITION)
    return None if definition is None else definition.metadata.get(m.METADATA)


def page_size(selected: Selected, extra: int = 0) -> Callable[[Binding], str]:
    # Checked and whole: as text it leaves the planner of PostgreSQL a number to reckon with.
    return lambda binding: str(check_first(int(selected.arguments(binding)["first"])) + extra)


class ChosenOrder(NamedTuple):
    """In what order a run of a statement lists: the list's own, where `sort` is None, or the one that was chosen."""

    name: Order
    sort: Sort | None
    descending: bool

    @property
    def step(self) -> str:
        return "desc" if self.descending else "asc"

    @property
    def behind(self) -> str:
        return "<" if self.descending else ">"


def order_of(selected: Selected, pages: m.Pages, binding: Binding) -> ChosenOrder:
    choice = selected.choice(pages, binding)
    sort = None if choice is None else choice.sort()
    if choice is None or choice.order is None or sort is None:
        return ChosenOrder(pages.order, None, pages.descending)
    return ChosenOrder(Order(choice.order), sort, sort.descending)


def choice_condition(selected: Selected, pages: m.Pages, it: str) -> Callable[[Binding], str]:
    """The condition of the arguments, from the one that Django says."""

    def condition(binding: Binding) -> str:
        choice = selected.choice(pages, binding)
        wish = Q() if choice is None else choice.condition(binding.visible)
        return f" and ({binding.put_all(condition_sql(pages.model, it, wish))})" if wish else ""

    return condition


def place_of(selected: Selected, pages: m.Pages, binding: Binding) -> Key | None:
    text = selected.arguments(binding).get("after")
    return None if text is None else parse_cursor(order_of(selected, pages, binding).name, text)


def checked(selected: Selected, pages: m.Pages) -> Sql:
    """Nothing, but a bad argument is refused even where the selection needs no page."""

    def check(binding: Binding) -> str:
        check_first(int(selected.arguments(binding)["first"]))
        selected.choice(pages, binding)
        place_of(selected, pages, binding)
        return "''"

    return [check]
