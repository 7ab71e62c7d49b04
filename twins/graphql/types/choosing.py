"""What clients may narrow and order lists by: the typed inputs, and the choices of the selectors that they become.

Lists in them are short, because each entry is a condition of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError

from twins.graphql.ids import Kind, row_number
from twins.graphql.types.words import AssetStatus, Direction, EventKind, Level, RelationKind, SensorRole, TwinOrder
from twins.selectors import choices

MOST = 100
"""Entries of one list of a filter."""
MOST_CONDITIONS = 10
"""Conditions on readings or attributes in one filter."""

_say = strawberry.field


@strawberry.input(description="A text; all that is given holds.")
class TextFilter:
    equals: str | None = _say(default=None, description="Exactly this.")
    among: list[str] | None = _say(default=None, description="Exactly one of these, at most 100.")
    starts_with: str | None = _say(default=None, description="Begins with this, upper and lower case alike.")
    contains: str | None = _say(default=None, description="Has this somewhere, upper and lower case alike.")

    def match(self) -> choices.TextMatch:
        return choices.TextMatch(
            equals=text(self.equals),
            among=_many(self.among),
            starts_with=text(self.starts_with),
            contains=text(self.contains),
        )


@strawberry.input(description="A number, limits included.")
class NumberFilter:
    least: float | None = _say(default=None, description="Not below this.")
    most: float | None = _say(default=None, description="Not above this.")

    def match(self) -> choices.Between:
        return choices.Between(least=self.least, most=self.most)


@strawberry.input(description="The newest reading of a sensor of the twin, as of at most 10 s ago.")
class LatestFilter:
    sensor: str = _say(description="Name of the sensor at the twin.")
    value: NumberFilter = _say(description="Limits, in the unit of the sensor.")

    def match(self) -> choices.LatestMatch:
        return choices.LatestMatch(sensor=text(self.sensor), value=self.value.match())


@strawberry.input(description="An attribute of the twin; it is there, and is what else is given.")
class AttributeFilter:
    name: str = _say(description="Name of the attribute.")
    text: str | None = _say(default=None, description="It is this text.")
    truth: bool | None = _say(default=None, description="It is true, or false.")
    number: NumberFilter | None = _say(default=None, description="It is a number in these limits, in its unit.")

    def match(self) -> choices.AttributeMatch:
        number = self.number.match() if self.number else choices.Between()
        return choices.AttributeMatch(name=text(self.name), text=text(self.text), truth=self.truth, number=number)


@strawberry.input(description="A relation that holds now, to any twin or to a certain one.")
class RelatedFilter:
    kinds: list[RelationKind] | None = _say(default=None, description="Of one of these kinds.")
    direction: Direction | None = _say(default=None, description="Only as it is read, or only against it.")
    to: strawberry.ID | None = _say(default=None, description="Id of the twin at the other end.")

    def match(self) -> choices.RelatedMatch:
        to = None if self.to is None else row_number(str(self.to), Kind.TWIN)
        return choices.RelatedMatch(kinds=_many(self.kinds), direction=self.direction, to=to)


@strawberry.input(description="Which twins of a list; all that is given holds.")
class TwinFilter:
    tag: TextFilter | None = _say(default=None, description="By tag.")
    name: TextFilter | None = _say(default=None, description="By name.")
    levels: list[Level] | None = _say(default=None, description="Of one of these levels.")
    statuses: list[AssetStatus] | None = _say(default=None, description="In one of these states.")
    types: list[str] | None = _say(default=None, description="Codes of types, at most 100; with their subtypes.")
    criticality: NumberFilter | None = _say(default=None, description="1 negligible to 5 essential.")
    health: NumberFilter | None = _say(default=None, description="Assessed, and of a health in these limits.")
    latest: list[LatestFilter] | None = _say(default=None, description="By newest readings, at most 10 sensors.")
    attributes: list[AttributeFilter] | None = _say(default=None, description="By attributes, at most 10.")
    related: RelatedFilter | None = _say(default=None, description="By a relation.")

    def match(self) -> choices.TwinFilter:
        return choices.TwinFilter(
            tag=self.tag.match() if self.tag else None,
            name=self.name.match() if self.name else None,
            levels=_many(self.levels),
            statuses=_many(self.statuses),
            types=_many(self.types),
            criticality=self.criticality.match() if self.criticality else None,
            health=self.health.match() if self.health else None,
            latest=tuple(each.match() for each in _bounded(self.latest or (), MOST_CONDITIONS)),
            attributes=tuple(each.match() for each in _bounded(self.attributes or (), MOST_CONDITIONS)),
            related=self.related.match() if self.related else None,
        )


@strawberry.input(
    description="An order of twins; what has no value comes last, and equals by their age in the register."
)
class TwinOrderBy:
    field: TwinOrder = _say(description="By what.")
    descending: bool = _say(default=False, description="The greatest first.")
    sensor: str | None = _say(
        default=None, description="For LATEST: name of the sensor at the twin; its newest reading of at most 10 s ago."
    )


@strawberry.input(description="Which sensors of a list; all that is given holds.")
class SensorFilter:
    names: list[str] | None = _say(default=None, description="Names, at most 100.")
    quantities: list[str] | None = _say(default=None, description="What is measured, at most 100.")
    units: list[str] | None = _say(default=None, description="UCUM codes, at most 100.")
    roles: list[SensorRole] | None = _say(default=None, description="What they are for.")


@strawberry.input(description="Which events of a list; all that is given holds.")
class EventFilter:
    kinds: list[EventKind] | None = _say(default=None, description="Of one of these kinds.")
    modes: list[str] | None = _say(default=None, description="Codes of failure modes, at most 100.")
    since: datetime | None = _say(default=None, description="Begun at this instant or later.")
    before: datetime | None = _say(default=None, description="Begun before this instant.")


Where = Annotated[TwinFilter | None, strawberry.argument(description="Only these.")]
OrderBy = Annotated[TwinOrderBy | None, strawberry.argument(description="Instead of the order of the list.")]
WhereSensor = Annotated[SensorFilter | None, strawberry.argument(description="Only these.")]
WhereEvent = Annotated[EventFilter | None, strawberry.argument(description="Only these.")]

Given = Mapping[str, Any]
"""Arguments of a field as its resolver takes them."""


def twin_choice(given: Given) -> choices.TwinChoice:
    """From `where`, `order_by` and `text`; raises GraphQLError for what cannot be."""
    where, order, words = given.get("where"), given.get("order_by"), given.get("text")
    if order is not None and (order.sensor is None) == (order.field is TwinOrder.LATEST):
        raise GraphQLError("An order by LATEST needs the name of a sensor, and no other order takes one.")
    if words is not None and not words.strip():
        raise GraphQLError("A search needs at least one word.")
    return choices.TwinChoice(
        where=where and where.match(),
        order=order and order.field,
        descending=bool(order and order.descending),
        sensor=text(order.sensor or "") if order else "",
        text=text(words),
    )


def sensor_choice(given: Given) -> choices.SensorChoice:
    """From `where`; raises GraphQLError for what cannot be."""
    where = given.get("where") or SensorFilter()
    return choices.SensorChoice(
        names=_many(where.names),
        quantities=_many(where.quantities),
        units=_many(where.units),
        roles=_many(where.roles),
    )


def event_choice(given: Given) -> choices.EventChoice:
    """From `where`; raises GraphQLError for what cannot be."""
    where = given.get("where") or EventFilter()
    return choices.EventChoice(kinds=_many(where.kinds), modes=_many(where.modes), start=where.since, end=where.before)


def relation_choice(given: Given) -> choices.RelationChoice:
    """From `kinds`, `direction` and `at`; raises GraphQLError for what cannot be."""
    way = given.get("direction")
    return choices.RelationChoice(
        kinds=_many(given.get("kinds")), direction=None if way is None else Direction(way), at=given.get("at")
    )


def text(value: Any) -> Any:
    """PostgreSQL has no NUL in a text: such a name cannot exist."""
    if isinstance(value, str) and "\x00" in value:
        raise GraphQLError("A text cannot contain the character NUL.")
    return value


def _many(values: Iterable[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(text(getattr(each, "value", each)) for each in _bounded(values, MOST))


def _bounded(values: Iterable[Any], most: int) -> list[Any]:
    found = list(values)
    if len(found) > most:
        raise GraphQLError(f"A list of a filter has {len(found)} entries: give at most {most}.")
    return found
