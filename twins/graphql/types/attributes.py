"""Attributes of a position as what they are: a number with its unit, a text, or true and false."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError

from assets.models import AssetType, ParameterDefinition, ParameterSubject
from twins.graphql.planner import Bind, Column, Derived, Kinds, sql
from twins.graphql.types.choosing import MOST, text

Names = Annotated[list[str] | None, strawberry.argument(description="Only these, at most 100; default: all.")]


def _name() -> Any:
    return strawberry.field(description="Name of the attribute.", metadata=sql(Column("name")))


@strawberry.type(description="An attribute that is a number.")
class NumberAttribute:
    name: str = _name()
    value: float | None = strawberry.field(
        description="The number, in `unit`; null when it is too great for a double.", metadata=sql(Column("number"))
    )
    unit: str = strawberry.field(
        description="UCUM code that type or design declare; empty when nobody does.", metadata=sql(Column("unit"))
    )


@strawberry.type(description="An attribute that is a text.")
class TextAttribute:
    name: str = _name()
    text: str = strawberry.field(description="The text.", metadata=sql(Column("text")))


@strawberry.type(description="An attribute that is true or false.")
class TruthAttribute:
    name: str = _name()
    truth: bool = strawberry.field(description="Whether it is so.", metadata=sql(Column("truth")))


@strawberry.type(description="An attribute that is none of these: a list or an object of values.")
class OtherAttribute:
    name: str = _name()
    json: str = strawberry.field(description="Its type in JSON: array, object or null.", metadata=sql(Column("kind")))


Attribute = Annotated[
    NumberAttribute | TextAttribute | TruthAttribute | OtherAttribute,
    strawberry.union("Attribute", description="A value of a position, as what it is."),
]
ATTRIBUTE_KINDS = Kinds(
    "member",
    {"NumberAttribute": "number", "TextAttribute": "string", "TruthAttribute": "boolean", "OtherAttribute": "other"},
)


def attributes_of(values: Mapping[str, Any], names: Iterable[str] | None, units: Mapping[str, str]) -> list[Any]:
    """The attributes of these names, by name; `units` by name as they are declared."""
    wanted = None if names is None else set(_wanted(names))
    return [
        _attribute(name, value, units) for name, value in sorted(values.items()) if wanted is None or name in wanted
    ]


def _attribute(name: str, value: Any, units: Mapping[str, str]) -> Any:
    if isinstance(value, bool):
        return TruthAttribute(name=name, truth=value)
    if isinstance(value, int | float):
        return NumberAttribute(name=name, value=_double(value), unit=units.get(name, ""))
    if isinstance(value, str):
        return TextAttribute(name=name, text=value)
    kind = "null" if value is None else "array" if isinstance(value, list) else "object"
    return OtherAttribute(name=name, json=kind)


def _double(value: float) -> float | None:
    try:
        return float(value) if math.isfinite(float(value)) else None
    except OverflowError:
        return None


def _wanted(names: Iterable[str]) -> list[str]:
    found = [text(name) for name in names]
    if len(found) > MOST:
        raise GraphQLError(f"{len(found)} names are asked for: ask for at most {MOST}, or for all.")
    return found


def _named(given: Mapping[str, Any], it: str, bind: Bind) -> str:
    if given.get("names") is None:
        return ""
    return f"{it}.name = any({bind(_wanted(given['names']))}::text[])"


_GREATEST = "1.7976931348623157e308"
_TYPES = AssetType._meta.db_table
# What the design declares is nearer than what its type does, and a type is nearer than its parent type.
_UNIT = f"""(
    select said.unit from {ParameterDefinition._meta.db_table} said
    left join twins_assets_design design on design.id = {{row}}.design_id
    cross join lateral (select
        array_position((select path from {_TYPES} where id = design.type_id), said.type_id) as designed,
        array_position((select path from {_TYPES} where id = {{row}}.type_id), said.type_id) as typed
    ) place
    where said.subject = '{ParameterSubject.ASSET}' and said.name = pair.key
    and (said.design_id = {{row}}.design_id or place.designed is not null or place.typed is not null)
    order by said.design_id is null, place.designed desc nulls last, place.typed desc limit 1
)"""  # noqa: S608  (names of tables)
ATTRIBUTES = Derived(
    f"""(
    select pair.key as name, jsonb_typeof(pair.value) as kind, coalesce({_UNIT}, '') as unit,
    case when jsonb_typeof(pair.value) in ('number', 'string', 'boolean') then jsonb_typeof(pair.value) else 'other' end
        as member,
    case when jsonb_typeof(pair.value) = 'number' and abs((pair.value #>> '{{{{}}}}')::numeric) <= {_GREATEST}
        then (pair.value #>> '{{{{}}}}')::numeric end as number,
    case jsonb_typeof(pair.value) when 'string' then pair.value #>> '{{{{}}}}' end as text,
    case jsonb_typeof(pair.value) when 'boolean' then (pair.value #>> '{{{{}}}}')::boolean end as truth
    from jsonb_each({{row}}.attributes) pair
)""",  # noqa: S608  (names of tables)
    '{it}.name collate "C"',
    _named,
)
