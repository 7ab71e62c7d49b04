"""Whether the mapping is true of the models, found out when the schema is made and not by a wrong answer.

Every type that can be reached is walked with the model of its rows. A column has to exist, to be of the kind that its
field says and not to be null where the field is not; an order has to be total over columns that are never null; what
is looked up by an owner, listed at the root or searched has to have an index that begins with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField
from django.contrib.postgres.indexes import GinIndex
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Field, Model
from graphql import (
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
)

from twins.exceptions import ConfigurationError
from twins.graphql.ids import INTEGERS, NUMBERS, TIMES
from twins.graphql.planner import mapping as m
from twins.graphql.planner.selected import mapping_of
from twins.models.health import PLACED

_FITS: Mapping[str, tuple[type[Field[Any, Any]], ...]] = {
    "String": (models.CharField, models.TextField),
    "ID": (models.CharField, models.TextField),
    "UUID": (models.UUIDField,),
    "Int": (models.IntegerField,),
    "Float": (models.FloatField,),
    "Boolean": (models.BooleanField,),
    "DateTime": (models.DateTimeField,),
    "JSON": (models.JSONField,),
}
_OWNED = re.compile(r"\{it\}\.(\w+) (?:=|@>|is null)")
_REFERS = re.compile(r"\{it\}\.id = \{row\}\.(\w+)")
_COLUMN = re.compile(r"(?:lower\()?\{it\}\w?\.(\w+)\)?")


def check_mapping(schema: GraphQLSchema, kinds: Mapping[str, m.Kinds], searched: Mapping[type[Model], Any]) -> None:
    """Raises ConfigurationError, naming the first field whose mapping is wrong and what to do.

    `searched` are the fields of each model in which a part of a text is looked for.
    """
    assert schema.query_type is not None
    for error in _Walk(schema, kinds).type(schema.query_type, None):
        raise ConfigurationError(f"The API says of {error}.")
    for model, names in searched.items():
        for name in names:
            target, field = _followed(model, name)
            if field not in _indexed(target)[1]:
                raise ConfigurationError(
                    f"{target.__name__}.{field} is searched without an index over trigrams: add found_by() to it."
                )


class _Walk:
    """One walk over the types, each met once for a model; what it yields are the beginnings of sentences."""

    def __init__(self, schema: GraphQLSchema, kinds: Mapping[str, m.Kinds]) -> None:
        self._schema, self._kinds = schema, kinds
        self._met: set[tuple[str, Any]] = set()

    def type(self, kind: Any, model: Any) -> Iterator[str]:
        if (kind.name, model) in self._met:
            return
        self._met.add((kind.name, model))
        if not isinstance(kind, GraphQLObjectType):
            yield from self._abstract(kind, model)
            return
        for name, field in kind.fields.items():
            said = mapping_of(field)
            if said is not None:
                yield from (f"{kind.name}.{name}: {error}" for error in self._field(field, said, model))
                yield from self._inside(field, said, model)

    def _abstract(self, kind: Any, model: Any) -> Iterator[str]:
        for each in self._schema.get_possible_types(kind):
            # A node that is no twin is left to ordinary execution.
            if kind.name not in self._kinds or each.name in self._kinds[kind.name].values:
                yield from self.type(each, model)
        if kind.name in self._kinds and model is not None and isinstance(kind, GraphQLInterfaceType):
            said = self._kinds[kind.name]
            known = {str(value) for value, _ in _field(model, said.column).flatchoices}
            told = {str(value) for value in said.values.values()}
            if known != told:
                yield f"{kind.name}: its types are {sorted(told)}, the column has {sorted(known)}"

    def _inside(self, field: Any, said: Any, model: Any) -> Iterator[str]:
        named = get_named_type(field.type)
        if isinstance(said, m.RootPages):
            said = said.pages
        if isinstance(said, m.Pages):
            yield from self.type(get_named_type(named.fields["nodes"].type), said.model)
        elif isinstance(said, m.One | m.Each | m.Latest | m.RootRow):
            yield from self.type(named, said.model)
        elif isinstance(said, m.Same):
            yield from self.type(named, model)

    def _field(self, field: Any, said: Any, model: Any) -> Iterator[str]:
        required = isinstance(field.type, GraphQLNonNull)
        try:
            match said:
                case m.Column() if said.name and model is not None:
                    yield from _column_errors(field, _field(model, said.name), required=required)
                case m.Column() if model is not None and required and not said.always:
                    yield "an expression may be null and the field may not: say `always` if it never is"
                case m.GlobalId() if _field(model, said.column).null:
                    yield "an id is never null"
                case m.Elements() if not isinstance(_field(model, said.column), models.JSONField):
                    yield f"{said.column} holds no JSON"
                case m.One():
                    yield from _reference_errors(said, model, required=required)
                case m.Same() if required and said.present:
                    yield "it may be absent and the field may not be null"
                case m.Each():
                    yield from _index_errors(said.model, said.on)
                case m.Pages():
                    yield from _order_errors(said, said.model)
                    # Whoever makes a table of its own says in it how it is looked up.
                    yield from () if said.table else _index_errors(said.model, said.on)
                case m.RootPages():
                    yield from _order_errors(said.pages, said.ordered)
                    yield from _index_errors(said.ordered, f"{_value(said.pages)} is null")
                    yield from _path_errors(said) if said.path else ()
        except FieldDoesNotExist as error:
            yield f"{error}; name a column of the model"


def _column_errors(field: Any, column: Any, *, required: bool) -> Iterator[str]:
    named, kind = get_named_type(field.type), field.type.of_type if required else field.type
    if required and column.null:
        yield f"{column.name} may be null and the field may not: make it nullable"
    if isinstance(named, GraphQLEnumType):
        words = {str(v.value.value if isinstance(v.value, Enum) else v.value) for v in named.values.values()}
        known = {str(value) for value, _ in column.flatchoices}
        if words != known:
            yield f"{column.name} has {sorted(known)}, {named.name} has {sorted(words)}: they have to be the same"
    elif isinstance(kind, GraphQLList):
        if not isinstance(column, ArrayField | models.JSONField):
            yield f"{column.name} is no list"
    elif not isinstance(column, _FITS.get(named.name, ())):
        yield f"{column.name} is a {type(column).__name__}, which is not written as {named.name}"


def _reference_errors(said: m.One, model: Any, *, required: bool) -> Iterator[str]:
    refers = _REFERS.fullmatch(said.on)
    if required and not said.always and (refers is None or _field(model, refers[1]).null):
        yield "there may be none and the field may not be null: make it nullable"
    yield from _index_errors(said.model, said.on)


def _order_errors(pages: m.Pages, model: Any) -> Iterator[str]:
    column = _field(model, _column(pages.value))
    if column.null:
        yield f"it is ordered by {column.name}, which may be null: rows without it would be lost between pages"
    held: Any = models.CharField
    if pages.order in TIMES:
        held = models.DateTimeField | DateTimeRangeField
    elif pages.order in NUMBERS:
        held = models.FloatField
    elif pages.order in INTEGERS:
        held = models.IntegerField
    if not isinstance(column, held):
        yield f"cursors of the order {pages.order.value} do not write a {type(column).__name__}"


def _index_errors(model: Any, on: str) -> Iterator[str]:
    owner = _OWNED.match(on)
    if owner is not None and _field(model, owner[1]).column not in _indexed(model)[0]:
        yield f"{model.__name__} has no index that begins with {owner[1]}: add one"


def _path_errors(said: m.RootPages) -> Iterator[str]:
    model: Any = said.ordered
    column = _field(model, _column(said.path))
    begun = {str(index.expressions[0]) for index in model._meta.indexes if index.expressions}
    for step in range(PLACED):
        if f"F({column.name}__{step})" not in begun:
            yield f"{model.__name__} has no index that begins with {column.name}__{step}: add one"


def _value(pages: m.Pages) -> str:
    return f"{{it}}.{_column(pages.value)}"


def _column(value: str) -> str:
    found = _COLUMN.fullmatch(value)
    if found is None:
        raise FieldDoesNotExist(f"{value!r} is no column to be ordered by")
    return found[1]


def _field(model: Any, name: str) -> Any:
    for field in model._meta.concrete_fields:
        if name in (field.column, field.name):
            return field
    raise FieldDoesNotExist(f"{model.__name__} has no column {name!r}")


def _followed(model: Any, name: str) -> tuple[Any, str]:
    *steps, field = name.split("__")
    for step in steps:
        model = model._meta.get_field(step).related_model
    return model, field


@cache
def _indexed(model: type[Model]) -> tuple[frozenset[str], frozenset[str]]:
    """Columns with which an index begins, and fields that an index over trigrams has."""
    meta: Any = model._meta
    begins = {f.column for f in meta.concrete_fields if f.primary_key or f.unique or f.db_index}
    trigrams: set[str] = set()
    for index in meta.indexes:
        if index.expressions and isinstance(index, GinIndex):
            trigrams |= set(re.findall(r"F\((\w+)\)", str(index.expressions)))
        elif index.fields:
            begins.add(meta.get_field(index.fields[0].lstrip("-")).column)
    for constraint in meta.constraints:
        if isinstance(constraint, models.UniqueConstraint) and constraint.fields:
            begins.add(meta.get_field(constraint.fields[0]).column)
        if isinstance(constraint, ExclusionConstraint):
            begins.add(meta.get_field(str(constraint.expressions[0][0])).column)
    return frozenset(begins), frozenset(trigrams)
