"""SQL that writes JSON: pieces of a statement, and values in the one format that ordinary execution writes too."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import orjson
from django.db import connection
from django.db.models import Q
from graphql import GraphQLEnumType, GraphQLList, GraphQLNamedType, GraphQLNonNull, GraphQLOutputType, get_named_type
from psycopg.sql import Literal

from assets.compiling import Compiled, condition_sql
from assets.models import Asset
from twins.graphql.ids import INTEGERS, NUMBERS, TIMES, Order
from twins.services.principals import Places

MAX_ARGUMENTS = 90
"""`concat()` takes 100."""


class Late(Exception):
    """What a piece comes to depends on the variables of each run."""


class Seen(NamedTuple):
    """What may be seen: the predicate on Asset, and the few places where all of it lies, if that is known."""

    visible: Q = Q()
    places: Places | None = None


class Binding:
    """What the pieces of a statement are written for: one run, or, while `variables` are not known, all runs alike.

    What is the same in all runs becomes a literal, so that PostgreSQL plans with it; what a run brings is a parameter.
    """

    def __init__(self, variables: Any = None, *, seen: Seen, hot: bool) -> None:
        self.variables = variables
        self.visible, self.places = seen
        self.hot = hot
        self.parameters: dict[str, Any] = {}
        self.arguments: dict[int, Any] = {}
        """The arguments of a field, by the id of the field's selection."""
        self.choices: dict[int, Any] = {}
        """What they chose."""

    def put(self, value: Any) -> str:
        if self.variables is None:
            return _literal(value)
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"%({name})s"

    def put_all(self, compiled: Compiled) -> str:
        """A text that has its placeholders already."""
        text, parameters = compiled
        values = iter(parameters)
        return _PLACES.sub(lambda found: found[0] if found[0] == "%%" else self.put(next(values)), text)

    def put_named(self, named: Named) -> str:
        """A text whose placeholders have names already."""
        text, parameters = named
        self.parameters.update(parameters)
        return text

    def seen(self, alias: str) -> str:
        """The condition under which a row of assets may be seen."""
        return self.put_all(condition_sql(Asset, alias, self.visible))


_PLACES = re.compile("%%|%s")
Named = tuple[str, Mapping[str, Any]]
"""Text with named placeholders, and its parameters."""


@lru_cache(maxsize=1024)
def named(compiled: Compiled, prefix: str) -> Named:
    """The same text with names, which begin with the prefix; equal values share one."""
    text, parameters = compiled
    names: dict[Any, str] = {}
    places = iter([names.setdefault((type(value), value), f"{prefix}{len(names)}") for value in parameters])
    written = _PLACES.sub(lambda found: found[0] if found[0] == "%%" else f"%({next(places)})s", text)
    return written, {name: value for (_, value), name in names.items()}


def _literal(value: Any) -> str:
    connection.ensure_connection()
    return Literal(value).as_string(connection.connection).replace("%", "%%")


Piece = str | Callable[[Binding], str]
Sql = list[Piece]


def written(pieces: Sql, binding: Binding) -> str:
    """The text of all pieces; raises what they raise."""
    return "".join(piece if isinstance(piece, str) else piece(binding) for piece in pieces)


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


def scalar(type_: GraphQLOutputType, expression: str, *, required: bool = False) -> Sql:
    """The JSON text of an expression, as the GraphQL type writes it; null as null, which a `required` one never is."""
    if isinstance(type_, GraphQLNonNull):
        type_ = type_.of_type
    named = get_named_type(type_)
    if isinstance(type_, GraphQLList) or named.name == "JSON":
        written = f"{expression}::text"
    elif isinstance(named, GraphQLEnumType):
        written = _enum(named, expression)
    else:
        written = _WRITERS[named.name].format(expression)
    return [written if required or named.name == "Float" else f"coalesce({written}, 'null')"]


_WRITERS = {
    "String": "to_json({0})",
    "ID": "to_json({0})",
    "UUID": "'\"' || {0} || '\"'",
    "Int": "{0}::text",
    "Boolean": "{0}::text",
    # What is no number, or none that is finite, is not 0 when it is taken from itself.
    "Float": "case when {0} - {0} = 0 then {0}::text else 'null' end",
    # The zone as an interval is not looked up by its name, and the quotes of JSON are part of the pattern: half of what
    # a sensor with its newest reading costs is its time.
    "DateTime": """to_char({0} at time zone interval '0', '"\\""YYYY-MM-DD"T"HH24:MI:SS.US"Z\\""')""",
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
