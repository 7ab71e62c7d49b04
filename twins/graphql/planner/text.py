"""SQL that writes JSON: pieces of a statement, and values in the one format that ordinary execution writes too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from itertools import groupby
from typing import Any

import orjson
from django.db.models import Q
from graphql import GraphQLEnumType, GraphQLList, GraphQLNamedType, GraphQLNonNull, GraphQLOutputType, get_named_type

from assets.compiling import Compiled
from twins.graphql.ids import INTEGERS, NUMBERS, TIMES, Order

MAX_ARGUMENTS = 90
"""`concat()` takes 100."""


class Binding:
    """One run of a statement: its parameters in order, and what it depends on."""

    def __init__(self, variables: Any, *, visible: Q, hot: bool) -> None:
        self.variables = variables
        self.visible = visible
        self.hot = hot
        self.parameters: list[Any] = []
        self.choices: dict[int, Any] = {}
        """What the arguments of a field came to, by the id of the field's selection."""

    @property
    def restricted(self) -> bool:
        """Whether anything may not be seen."""
        return bool(self.visible)

    def put(self, value: Any) -> str:
        self.parameters.append(value)
        return "%s"

    def put_all(self, compiled: Compiled) -> str:
        """A text that has its placeholders already."""
        text, parameters = compiled
        self.parameters += parameters
        return text


Piece = str | Callable[[Binding], str]
Sql = list[Piece]


class Text(str):
    """Literal text of the answer."""

    __slots__ = ()


Part = Text | Sql
"""What stands in the answer: literal text, or an expression that gives text and is never null."""


def quote(text: str) -> str:
    """A literal of SQL; a percent sign would be a placeholder."""
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"


def json_text(value: Any) -> Text:
    """A value as literal JSON."""
    return Text(orjson.dumps(value).decode())


def concat(parts: Sequence[Part]) -> Sql:
    """One expression for all parts in order."""
    arguments: list[Sql] = []
    for literal, run in groupby(parts, key=lambda part: isinstance(part, Text)):
        pieces = list(run)
        arguments += [[quote("".join(map(str, pieces)))]] if literal else [list(piece) for piece in pieces]
    while len(arguments) > MAX_ARGUMENTS:
        starts = range(0, len(arguments), MAX_ARGUMENTS)
        arguments = [_call(arguments[start : start + MAX_ARGUMENTS]) for start in starts]
    return _call(arguments)


def _call(arguments: Sequence[Sql]) -> Sql:
    sql: Sql = ["concat("]
    for number, argument in enumerate(arguments):
        sql += [", ", *argument] if number else argument
    return [*sql, ")"]


def scalar(type_: GraphQLOutputType, expression: str) -> Sql:
    """The JSON text of an expression, as the GraphQL type writes it; null as null."""
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    named = get_named_type(type_)
    if isinstance(type_, GraphQLList) or named.name == "JSON":
        written = f"{expression}::text"
    elif isinstance(named, GraphQLEnumType):
        written = _enum(named, expression)
    else:
        written = _WRITERS[named.name].format(expression)
    return [f"coalesce({written}, 'null')"]


_WRITERS = {
    "String": "to_json({0})::text",
    "ID": "to_json({0})::text",
    "UUID": "'\"' || {0} || '\"'",
    "Int": "{0}::text",
    "Boolean": "{0}::text",
    # NaN is above every number for PostgreSQL.
    "Float": "case when {0} between -1.7976931348623157e308 and 1.7976931348623157e308 then {0} end::text",
    "DateTime": "'\"' || to_char({0} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') || '\"'",
}


def is_writable(named: GraphQLNamedType) -> bool:
    """Whether scalars of the type can be written."""
    return named.name in _WRITERS or named.name == "JSON" or isinstance(named, GraphQLEnumType)


def _enum(named: GraphQLEnumType, expression: str) -> str:
    values: Mapping[str, Any] = {name: value.value for name, value in named.values.items()}
    stored = {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}
    cases = " ".join(f"when {quote(str(value))} then {quote(json_text(name))}" for name, value in stored.items())
    return f"case {expression} {cases} end"


def global_id(kind: str, key: str) -> Sql:
    """The opaque id, which is too short for the line breaks of PostgreSQL's base64."""
    return [f"'\"' || encode(convert_to({quote(kind + ':')} || {key}, 'UTF8'), 'base64') || '\"'"]


def cursor(order: Order, value: str, key: str) -> str:
    """The cursor of a row, as `ids.cursor` writes it."""
    if order in TIMES:
        written = f"(extract(epoch from {value}) * 1000000)::bigint::text"
    elif order in NUMBERS:
        written = f"encode(float8send({value}), 'hex')"
    else:
        written = f"{value}::text" if order in INTEGERS else value
    plain = f"{quote(order + ':')} || {key} || ':' || {written}"
    return f"'\"' || translate(encode(convert_to({plain}, 'UTF8'), 'base64'), E'\\n', '') || '\"'"
