"""What a list of twins, sensors or events is narrowed to and ordered by: said once, in Django, for all ways to read.

All are values that can be compared, so that many owners with the same wish are read together. A condition joins
nothing; what it names elsewhere has to be visible too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import inf, nan
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Exists, F, FloatField, Func, JSONField, OuterRef, Q, Subquery, TextField, Value
from django.db.models.functions import Coalesce, NullIf
from django.db.models.lookups import Exact, GreaterThanOrEqual, LessThanOrEqual

from assets.models import Asset, AssetType, Relation
from assets.selectors import matching
from twins.models import Assessment, LatestReading
from twins.selectors.pages import Sort

SEARCHED = ("tag", "name", "external_references__key", "installations__item__serial_number")
"""Where a word is looked for: the twin's own names, keys of other systems, serial numbers of what is or was there."""


class TwinOrder(StrEnum):
    """What twins can be ordered by."""

    TAG = "tag"
    NAME = "name"
    CRITICALITY = "criticality"
    STATUS = "status"
    TYPE = "type"
    HEALTH = "health"
    LATEST = "latest"


class Direction(StrEnum):
    """Which way relations are followed: as they are read (out), against (in)."""

    OUT = "out"
    IN = "in"


@dataclass(frozen=True, kw_only=True)
class TextMatch:
    """All that is given holds; parts of a text are found upper and lower case alike."""

    equals: str | None = None
    among: tuple[str, ...] | None = None
    starts_with: str | None = None
    contains: str | None = None

    def condition(self, field: str) -> Q:
        given = {
            field: self.equals,
            f"{field}__in": self.among,
            f"{field}__istartswith": self.starts_with,
            f"{field}__icontains": self.contains,
        }
        return Q(**{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class Between:
    """From `least` to `most`, both included; None: no limit."""

    least: Any = None
    most: Any = None

    def condition(self, field: str) -> Q:
        given = {f"{field}__gte": self.least, f"{field}__lte": self.most}
        return Q(**{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class LatestMatch:
    """The newest reading of the sensor of this name is a number in these limits."""

    sensor: str
    value: Between

    def condition(self) -> Q:
        rows = LatestReading.objects.filter(sensor__asset=OuterRef("pk"), sensor__name=self.sensor)
        return Q(Exists(rows.filter(value__lte=1.7976931348623157e308).filter(self.value.condition("value"))))


@dataclass(frozen=True, kw_only=True)
class AttributeMatch:
    """The attribute of this name is there, and is what is given: a text, true or false, or a number in limits."""

    name: str
    text: str | None = None
    truth: bool | None = None
    number: Between = Between()

    def condition(self) -> Q:
        found = Q(attributes__has_key=self.name)
        for given in (self.text, self.truth):
            if given is not None:
                found &= Q(attributes__contains={self.name: given})
        if self.number == Between():
            return found
        value = Func(
            F("attributes"), Value(self.name), arg_joiner=" -> ", template="(%(expressions)s)", output_field=JSONField()
        )
        found &= Q(Exact(Func(value, function="jsonb_typeof", output_field=TextField()), Value("number")))
        for lookup, limit in ((GreaterThanOrEqual, self.number.least), (LessThanOrEqual, self.number.most)):
            if limit is not None:
                found &= Q(lookup(value, Value(limit, JSONField())))
        return found


@dataclass(frozen=True, kw_only=True)
class RelatedMatch:
    """A relation without end leads to another visible twin: to `to`, or to any."""

    kinds: tuple[str, ...] | None = None
    direction: Direction | None = None
    to: int | None = None

    def condition(self, visible: Q) -> Q:
        ways = {Direction.OUT: ("source", "target"), Direction.IN: ("target", "source")}
        found = Q()
        for direction, (here, there) in ways.items():
            if self.direction in (None, direction):
                found |= Q(Exists(self._relations(here, there, visible)))
        return found

    def _relations(self, here: str, there: str, visible: Q) -> Any:
        rows = Relation.objects.filter(Q((here, OuterRef("pk"))), period__upper_inf=True)
        if self.kinds is not None:
            rows = rows.filter(kind__in=self.kinds)
        if self.to is not None:
            rows = rows.filter(Q((there, self.to)))
        return rows.filter(Q((f"{there}__in", Asset.objects.filter(visible).order_by()))) if visible else rows


@dataclass(frozen=True, kw_only=True)
class TwinFilter:
    """All that is given holds together."""

    tag: TextMatch | None = None
    name: TextMatch | None = None
    levels: tuple[str, ...] | None = None
    statuses: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    criticality: Between | None = None
    health: Between | None = None
    latest: tuple[LatestMatch, ...] = ()
    attributes: tuple[AttributeMatch, ...] = ()
    related: RelatedMatch | None = None

    def condition(self, visible: Q) -> Q:
        found = Q()
        for field, match in (("tag", self.tag), ("name", self.name), ("criticality", self.criticality)):
            found &= match.condition(field) if match else Q()
        for field, among in (("level", self.levels), ("status", self.statuses)):
            found &= Q() if among is None else Q((f"{field}__in", among))
        if self.types is not None:
            named = AssetType.objects.filter(code__in=self.types).order_by().values("pk")
            found &= Q(type__in=AssetType.objects.filter(path__overlap=ArraySubquery(named)).order_by().values("pk"))
        if self.health is not None:
            assessed = Assessment.objects.filter(self.health.condition("health"), asset=OuterRef("pk"))
            found &= Q(Exists(assessed))
        for reading in self.latest:
            found &= reading.condition()
        for attribute in self.attributes:
            found &= attribute.condition()
        return found & self.related.condition(visible) if self.related else found


@dataclass(frozen=True, kw_only=True)
class TwinChoice:
    """Which twins of a list, in which order; `text` is looked for where SEARCHED says.

    Without an order it is the list's own. What has no value to be ordered by comes last, whichever the direction.
    """

    where: TwinFilter | None = None
    order: TwinOrder | None = None
    descending: bool = False
    sensor: str = ""
    text: str | None = None

    def condition(self, visible: Q) -> Q:
        found = self.where.condition(visible) if self.where else Q()
        if self.text is not None:
            rows = matching(Asset.objects.filter(visible), SEARCHED, self.text)
            found &= Q(pk__in=rows.order_by().values("pk"))
        return found

    def sort(self) -> Sort | None:
        """The order that is asked for, None for the list's own."""
        if self.order is None:
            return None
        values: dict[TwinOrder, Any] = {
            TwinOrder.TYPE: Coalesce(
                Subquery(AssetType.objects.filter(pk=OuterRef("type_id")).values("code")), Value("")
            ),
            TwinOrder.HEALTH: self._number(Assessment.objects.filter(asset=OuterRef("pk")).values("health")),
            TwinOrder.LATEST: self._number(
                LatestReading.objects.filter(sensor__asset=OuterRef("pk"), sensor__name=self.sensor).values("value")
            ),
        }
        return Sort(values.get(self.order, str(self.order)), self.descending)

    def _number(self, values: Any) -> Any:
        none = Value(-inf if self.descending else inf, FloatField())
        return Coalesce(NullIf(Subquery(values), Value(nan, FloatField())), none, output_field=FloatField())


@dataclass(frozen=True, kw_only=True)
class SensorChoice:
    """Which sensors of a list; an empty tuple asks for none, None for all."""

    names: tuple[str, ...] | None = None
    quantities: tuple[str, ...] | None = None
    units: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    order: None = None

    def condition(self, visible: Q) -> Q:
        given = {
            "name__in": self.names,
            "quantity__in": self.quantities,
            "unit__in": self.units,
            "role__in": self.roles,
        }
        return Q(**{name: value for name, value in given.items() if value is not None})

    def sort(self) -> Sort | None:
        """The list's own."""
        return None


@dataclass(frozen=True, kw_only=True)
class EventChoice:
    """Which events of a list: of these kinds and modes, begun from `start` on and before `end`."""

    kinds: tuple[str, ...] | None = None
    modes: tuple[str, ...] | None = None
    start: datetime | None = None
    end: datetime | None = None
    order: None = None

    def condition(self, visible: Q) -> Q:
        given = {
            "kind__in": self.kinds,
            "mode__in": self.modes,
            "started_at__gte": self.start,
            "started_at__lt": self.end,
        }
        return Q(**{name: value for name, value in given.items() if value is not None})

    def sort(self) -> Sort | None:
        """The list's own."""
        return None


@dataclass(frozen=True, kw_only=True)
class RelationChoice:
    """Which relations of a twin: those that hold at an instant, None: those without end."""

    kinds: tuple[str, ...] | None = None
    direction: Direction | None = None
    at: datetime | None = None


Choice = TwinChoice | SensorChoice | EventChoice
EVERY = TwinChoice()
