"""From a selection to a statement: objects become concat(), relations correlated subqueries, pages ordered ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import singledispatchmethod
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
)
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet
from graphql.execution.executor import Executor

from assets.compiling import expression_sql
from twins.graphql.planner import mapping as m
from twins.graphql.planner.marks import Mark, mark_sql
from twins.graphql.planner.seeing import in_place, key_of, place_by_place, seen_of
from twins.graphql.planner.selected import (
    Selected,
    checked,
    choice_condition,
    mapping_of,
    order_of,
    page_size,
    place_of,
)
from twins.graphql.planner.text import (
    Binding,
    Part,
    Sql,
    Text,
    concat,
    cursor,
    global_id,
    is_writable,
    json_text,
    scalar,
)

MAX_FIELDS = 600
_RANKS = {"page_key", "page_rank"}
"""What a page adds to the columns of its rows."""
STANDS = "(select proof and tail from held)"
"""Whether what the statement was made for is so; asked once, before anything is read."""


class Unplannable(Exception):
    """A selection that ordinary execution has to answer."""


class Compiler:
    """Compiles one root field of one operation."""

    def __init__(self, executor: Executor, kinds: Mapping[str, m.Kinds]) -> None:
        self._executor = executor
        self._kinds = kinds
        self.reads_latest = False
        self.marks: list[Mark] = []
        self._aliases = 0
        self._fields = 0
        self._joined: dict[str, m.One] = {}
        """What is at hand beside the rows of a page, as `{row}h`."""

    def root(self, field: GraphQLField, details: FieldDetailsList) -> Sql:
        """The statement; raises Unplannable."""
        mapping, it = mapping_of(field), self._alias()
        selected = Selected(field, details, it, self._executor.schema)
        if isinstance(mapping, m.RootPages):
            where: Sql = [f" and {mapping.pages.on.format(it=it)}", *_conditions(selected, mapping.where, it)]
            made = concat(self._connection(selected, mapping.pages, where, it, mapping))
            return ["(select 'found', ", *made, f" where {STANDS})"]
        if not isinstance(mapping, m.RootRow):
            raise Unplannable(str(field))
        condition = _conditions(selected, mapping.where, it)
        made = concat(self._object(selected.named, details, it))
        table = mapping.model._meta.db_table
        # The second row only tells that the first is not the one.
        rows: Sql = [f" from {table} {it} where {STANDS}", *condition, *seen_of(key_of(mapping.model), it)]
        return ["(select 'found', ", *made, *rows, " limit 2)"]

    def _alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"

    def _collect(self, type_: GraphQLObjectType, details: FieldDetailsList) -> GroupedFieldSet:
        collected = self._executor.collect_subfields(type_, details)
        if collected.new_defer_usages:
            raise Unplannable("@defer")
        return collected.grouped_field_set

    def _object(self, type_: GraphQLNamedType, details: FieldDetailsList, row: str) -> list[Part]:
        if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
            return self._abstract(type_, details, row)
        assert isinstance(type_, GraphQLObjectType)
        return self._fields_of(type_, self._collect(type_, details), row, json_text(type_.name))

    def _abstract(
        self, type_: GraphQLInterfaceType | GraphQLUnionType, details: FieldDetailsList, row: str
    ) -> list[Part]:
        kinds = self._kinds.get(type_.name)
        if kinds is None:
            raise Unplannable(type_.name)
        choices = [(self._executor.schema.type_map[name], value) for name, value in kinds.values.items()]
        selections: list[tuple[Any, str, GroupedFieldSet]] = [
            (choice, value, self._collect(choice, details))  # type: ignore[arg-type]
            for choice, value in choices
        ]
        column = f"{row}.{kinds.column}"
        if len({_shape(choice, grouped) for choice, _, grouped in selections}) == 1:
            choice, _, grouped = selections[0]
            names = " ".join(f"when '{value}' then '\"{name}\"'" for name, value in kinds.values.items())
            return self._fields_of(choice, grouped, row, [f"case {column} {names} end"])
        sql: Sql = [f"case {column}"]
        for choice, value, grouped in selections:
            made = concat(self._fields_of(choice, grouped, row, json_text(choice.name)))
            sql += [f" when '{value}' then ", *made]
        return [[*sql, " end"]]

    def _fields_of(self, type_: GraphQLObjectType, grouped: GroupedFieldSet, row: str, typename: Part) -> list[Part]:
        def value(details: FieldDetailsList) -> list[Part]:
            name = details[0].node.name.value
            if name == "__typename":
                return [typename]
            selected = Selected(type_.fields[name], details, row, self._executor.schema)
            return self._value(mapping_of(selected.field), selected)

        return self._members(grouped, value)

    def _members(self, grouped: GroupedFieldSet, value: Callable[[FieldDetailsList], list[Part]]) -> list[Part]:
        parts: list[Part] = [Text("{")]
        for number, (name, details) in enumerate(grouped.items()):
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise Unplannable("too many fields")
            parts += [Text("," if number else ""), json_text(name), Text(":"), *value(details)]
        return [*parts, Text("}")]

    @singledispatchmethod
    def _value(self, mapping: Any, selected: Selected) -> list[Part]:
        """The parts that write a field, by its mapping."""
        raise Unplannable(str(selected.field))

    @_value.register
    def _(self, mapping: m.Column, selected: Selected) -> list[Part]:
        if not is_writable(selected.named):
            raise Unplannable(selected.named.name)
        # What may not be null never is, or the schema would not have been made.
        required = isinstance(selected.field.type, GraphQLNonNull)
        return [scalar(selected.field.type, mapping.template.format(row=selected.row), required=required)]

    @_value.register
    def _(self, mapping: m.GlobalId, selected: Selected) -> list[Part]:
        return [global_id(mapping.kind, f"{selected.row}.{mapping.column}")]

    @_value.register
    def _(self, mapping: m.Key, selected: Selected) -> list[Part]:
        if selected.named.name == "String":
            return [scalar(selected.field.type, f"({selected.row}.value ->> '{mapping.name}')")]
        return [[f"coalesce(({selected.row}.value -> '{mapping.name}')::text, 'null')"]]

    @_value.register
    def _(self, mapping: m.Same, selected: Selected) -> list[Part]:
        parts = self._object(selected.named, selected.details, selected.row)
        if not mapping.present:
            return parts
        return [[f"case when {mapping.present.format(row=selected.row)} then ", *concat(parts), " else 'null' end"]]

    @_value.register
    def _(self, mapping: m.One, selected: Selected) -> list[Part]:
        if self._joined.get(selected.row) == mapping:
            return self._object(selected.named, selected.details, f"{selected.row}h")
        it = self._alias()
        made = concat(self._object(selected.named, selected.details, it))
        return [["coalesce((select ", *made, *_from(mapping, selected.row, it), "), 'null')"]]

    @_value.register
    def _(self, mapping: m.Each, selected: Selected) -> list[Part]:
        it = self._alias()
        made = concat(self._object(selected.named, selected.details, it))
        order = mapping.order.format(row=selected.row, it=it)
        listed: Sql = ["(select string_agg(", *made, f", ',' order by {order})"]
        return [Text("["), _text([*listed, *_from(mapping, selected.row, it), ")"]), Text("]")]

    @_value.register
    def _(self, mapping: m.Derived, selected: Selected) -> list[Part]:
        it = self._alias()
        made = concat(self._object(selected.named, selected.details, it))
        source, order = mapping.source.format(row=selected.row), mapping.order.format(it=it)
        rows: Sql = [f" from {source} {it} where true", *_conditions(selected, mapping.where, it)]
        listed: Sql = ["(select string_agg(", *made, f", ',' order by {order})", *rows, ")"]
        return [Text("["), _text(listed), Text("]")]

    @_value.register
    def _(self, mapping: m.Trail, selected: Selected) -> list[Part]:
        it, row, each = self._alias(), selected.row, mapping.each
        order = each.order.format(row=row, it=it)
        above: Sql = [f"(select string_agg(to_json({it}.{mapping.column}) || ',', '' order by {order})"]
        own: Sql = [f"to_json({row}.{mapping.column})"]
        return [Text("["), _text([*above, *_from(each, row, it), ")"]), own, Text("]")]

    @_value.register
    def _(self, mapping: m.Elements, selected: Selected) -> list[Part]:
        it = self._alias()
        made = concat(self._object(selected.named, selected.details, it))
        rows = f"jsonb_array_elements({selected.row}.{mapping.column}) with ordinality {it}(value, place)"
        return [Text("["), _text(["(select string_agg(", *made, f", ',' order by {it}.place) from {rows})"]), Text("]")]

    @_value.register
    def _(self, mapping: m.Latest, selected: Selected) -> list[Part]:
        self.reads_latest = True
        it, key = self._alias(), f"{selected.row}.id"
        made = concat(self._object(selected.named, selected.details, it))
        table = mapping.model._meta.db_table
        known = f"select time, value, quality, batch from {table} where sensor_id = {key}"  # noqa: S608
        # The hot tail is one JSON object by sensor: looking a key up costs the same however many there are.
        hot = (
            "select (h.r ->> 0)::timestamptz, (h.r ->> 1)::float8, (h.r ->> 2)::int, (h.r ->> 3)::bigint "  # noqa: S608
            f"from (select (select readings from hot) -> {key}::text as r) h where h.r is not null"
        )
        newest = f"{known} union all {hot} order by time desc, batch desc limit 1"
        rows: Callable[[Binding], str] = lambda binding: newest if binding.hot else known  # noqa: E731
        return [["coalesce((select ", *made, " from (", rows, f") {it}), 'null')"]]

    @_value.register
    def _(self, mapping: m.Later, selected: Selected) -> list[Part]:
        self.marks.append(Mark(mapping, selected, self._chosen(selected.named, selected.details)))
        return [[mark_sql(len(self.marks) - 1, selected.row)]]

    def _chosen(self, type_: Any, details: FieldDetailsList) -> m.Chosen:
        members: list[tuple[str, str, m.Chosen | None]] = []
        for key, inner in self._collect(type_, details).items():
            self._fields += 1
            name = inner[0].node.name.value
            named = None if name == "__typename" else get_named_type(type_.fields[name].type)
            members.append((key, name, self._chosen(named, inner) if isinstance(named, GraphQLObjectType) else None))
        return m.Chosen(type_.name, tuple(members))

    @_value.register
    def _(self, mapping: m.Pages, selected: Selected) -> list[Part]:
        it = self._alias()
        on: Sql = [f" and {mapping.on.format(row=selected.row, it=it)}"]
        return self._connection(selected, mapping, on, it)

    def _connection(
        self, selected: Selected, pages: m.Pages, where: Sql, it: str, root: m.RootPages | None = None
    ) -> list[Part]:
        """A page: without pageInfo just its nodes, with it the rows are ranked and one more is fetched."""
        type_: GraphQLObjectType = selected.named
        grouped = self._collect(type_, selected.details)
        join, path = (root.join(it), root.path.format(it=it)) if root else ("", "")
        source: Sql = [f" from {pages.source} {it} {join} where true", *where]
        source += [*_conditions(selected, pages.where, it), choice_condition(selected, pages, it)]
        seen = seen_of(pages.seen or key_of(pages.model), it)
        ranked = any(details[0].node.name.value == "pageInfo" for details in grouped.values())
        page = self._alias()
        if root and root.joined:
            self._joined[page] = root.joined

        def rows(read: Sequence[Part]) -> Sql:
            """Those of the page, under its name, and what is joined to them."""
            own = [f"{it}.{column}" for column in sorted(_read(read, page) - _RANKS | {"id"})]
            beside = sorted(_read(read, f"{page}h")) if page in self._joined else []
            columns = [*own, *(f"{it}h.{column} as h_{column}" for column in beside)]
            here = in_place(path, it, seen) if path else seen
            found = self._rows(selected, pages, [*source, *here], it, columns=columns, more=ranked)
            if path:
                found = place_by_place(selected, pages, found, extra=int(ranked))
            return [*(_ranked(selected, pages, found) if ranked else found), f" {page}", _beside(beside, page)]

        def value(details: FieldDetailsList) -> list[Part]:
            name = details[0].node.name.value
            if name == "__typename":
                return [json_text(type_.name)]
            if name == "totalCount":
                return [["(select count(*)", *source, *seen, ")"]]
            inner = Selected(type_.fields[name], details, page)
            if name == "pageInfo":
                return self._page_info(inner, selected, pages)
            made = concat(self._object(inner.named, details, page))
            if not ranked:
                return [Text("["), _text(["(select string_agg(", *made, ", ',') from ", *rows([made]), ")"]), Text("]")]
            shown = f", ',' order by {page}.page_rank) filter (where {page}.page_rank <= "
            return [Text("["), _text(["string_agg(", *made, shown, page_size(selected), ")"]), Text("]")]

        parts = self._members(grouped, value)
        if not ranked:
            return [*parts, checked(selected, pages)]

        # `having` makes it one row whether or not anything selected of the page is an aggregate.
        return [["(select ", *concat(parts), " from ", *rows(parts), " having true)"]]

    def _rows(
        self, selected: Selected, pages: m.Pages, source: Sql, it: str, *, columns: Iterable[str], more: bool
    ) -> Sql:
        extra = 1 if more else 0

        def value(binding: Binding) -> str:
            sort = order_of(selected, pages, binding).sort
            if sort is None:
                return pages.value.format(it=it)
            return f"({binding.put_all(expression_sql(pages.model, it, sort.expression))})"

        def after(binding: Binding) -> str:
            found = place_of(selected, pages, binding)
            if found is None:
                return ""
            behind = order_of(selected, pages, binding).behind
            # As text is rendered, so are its parameters put: one after the other.
            row = f"({value(binding)}, {it}.id)"
            return f" and {row} {behind} ({binding.put(found[0])}, {binding.put(found[1])})"

        def order(binding: Binding) -> str:
            chosen = order_of(selected, pages, binding)
            # An index is of the expression, not of the name it has in the answer.
            by = "page_key" if chosen.sort else pages.value.format(it=it)
            return f" order by {by} {chosen.step}, {it}.id {chosen.step} limit "

        read: Sql = [f"(select {', '.join(columns)}, ", value, " as page_key"]
        return [*read, *source, after, order, page_size(selected, extra), ")"]

    def _page_info(self, info: Selected, selected: Selected, pages: m.Pages) -> list[Part]:
        page, first = info.row, page_size(selected)

        def value(details: FieldDetailsList) -> list[Part]:
            name = details[0].node.name.value
            if name == "__typename":
                return [json_text("PageInfo")]
            if name == "hasNextPage":
                return [["(count(*) > ", first, ")::text"]]

            # The last row of the page is the one of the highest rank that is shown.
            def place(binding: Binding) -> str:
                written = cursor(order_of(selected, pages, binding).name, f"{page}.page_key", f"{page}.id")
                return f"(array_agg({written} order by {page}.page_rank))[least(count(*), "

            ordered: Sql = [place, first, ")]"]
            return [["coalesce(", *ordered, ", 'null')"]]

        return self._members(self._collect(info.named, info.details), value)


def _conditions(selected: Selected, where: m.Where | None, it: str) -> Sql:
    if where is None:
        return []

    def condition(binding: Binding) -> str:
        text = where(selected.arguments(binding), it, binding.put)
        return f" and {text}" if text else ""

    return [condition]


def _from(mapping: m.One | m.Each, row: str, it: str) -> Sql:
    on = mapping.on.format(row=row, it=it)
    return [f" from {mapping.model._meta.db_table} {it} where {on}", *seen_of(key_of(mapping.model), it)]


def _read(parts: Sequence[Part], row: str) -> set[str]:
    """The columns of a row that are read: what is sorted carries no others."""
    pieces = [piece for part in parts if not isinstance(part, Text) for piece in part if isinstance(piece, str)]
    return {column for piece in pieces for column in re.findall(rf"\b{row}\.(\w+)", piece)}


def _ranked(selected: Selected, pages: m.Pages, rows: Sql) -> Sql:
    def rank(binding: Binding) -> str:
        step = order_of(selected, pages, binding).step
        return f"(select r.*, row_number() over (order by r.page_key {step}, r.id {step}) as page_rank from "  # noqa: S608

    return [rank, *rows, " r)"]


def _beside(columns: Sequence[str], page: str) -> str:
    """What came with the rows of a page from the joined ones, as a row beside each."""
    if not columns:
        return ""
    return f" cross join lateral (select {', '.join(f'{page}.h_{each} as {each}' for each in columns)}) {page}h"


def _text(expression: Sql) -> Sql:
    return ["coalesce(", *expression, ", '')"]


def _shape(type_: GraphQLObjectType, grouped: GroupedFieldSet) -> Any:
    """What tells two selections of one interface apart: the nodes, and how their fields are said."""
    members: list[Any] = []
    for name, details in grouped.items():
        field = details[0].node.name.value
        said = None if field == "__typename" else mapping_of(type_.fields[field])
        members.append((name, tuple(id(each.node) for each in details), said))
    return tuple(members)
