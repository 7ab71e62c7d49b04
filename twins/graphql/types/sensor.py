"""What is measured at a twin: the sensor, its newest reading and its past."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

import strawberry
from graphql import GraphQLError

from assets.models import Sensor as SensorRow
from twins.graphql.context import Info
from twins.graphql.ids import Kind, Order, global_id
from twins.graphql.planner import Column, GlobalId, Latest, Pages, sql
from twins.graphql.scalars import finite
from twins.graphql.types.choosing import sensor_choice
from twins.graphql.types.connection import Listing
from twins.graphql.types.register import Node, own_id, references
from twins.graphql.types.words import SensorRole
from twins.lake import EPOCH
from twins.models import LatestReading

MAX_POINTS = 1000


@strawberry.type(description="What a sensor said at one instant.")
class Reading:
    time: datetime = strawberry.field(
        description="When it was measured, UTC, to the microsecond.", metadata=sql(Column("time"))
    )
    value: float | None = strawberry.field(
        description="The value in the unit of the sensor; null when not a number.", metadata=sql(Column("value"))
    )
    quality: int = strawberry.field(
        description="OPC UA status code: 0 good, above uncertain, below bad.", metadata=sql(Column("quality"))
    )

    @classmethod
    def of(cls, row: Any) -> Self:
        """From anything with time, value and quality."""
        return cls(time=row.time, value=finite(row.value), quality=row.quality)


@strawberry.type(description="The past of a sensor in a window of time.")
class Series:
    readings: list[Reading] = strawberry.field(description="In order of time, oldest first.")
    count: int = strawberry.field(description="How many readings the window holds.")
    thinned: bool = strawberry.field(description="Whether readings were left out to keep within `points`: peaks stay.")


From = Annotated[datetime | None, strawberry.argument(name="from", description="Start of the window, included.")]
To = Annotated[datetime | None, strawberry.argument(description="End of the window, not included; default: open.")]
Last = Annotated[timedelta | None, strawberry.argument(description="Instead of from and to: this long until now.")]
Points = Annotated[int, strawberry.argument(description="At most so many readings, 2 to 1000.")]


@strawberry.type(description="A measured or derived quantity of a twin.")
class Sensor(Node):
    id: strawberry.ID = own_id(GlobalId(Kind.SENSOR, "uuid"))
    pk: strawberry.Private[int]
    uuid: UUID = strawberry.field(description="The key of the sensor everywhere outside.", metadata=sql(Column("uuid")))
    name: str = strawberry.field(description="Name, unique at its twin.", metadata=sql(Column("name")))
    quantity: str = strawberry.field(
        description="What is measured: temperature, vibration velocity.", metadata=sql(Column("quantity"))
    )
    unit: str = strawberry.field(
        description="UCUM code of the unit of its values: Cel, mm/s, {cycle}.", metadata=sql(Column("unit"))
    )
    role: SensorRole = strawberry.field(
        description="Whether it measures condition, a setting, or usage.", metadata=sql(Column("role"))
    )
    expected_interval: float | None = strawberry.field(
        description="Seconds between readings; null: unknown.", metadata=sql(Column("expected_interval"))
    )
    valid_min: float | None = strawberry.field(
        description="Lowest value it can give, in `unit`.", metadata=sql(Column("valid_min"))
    )
    valid_max: float | None = strawberry.field(
        description="Highest value it can give, in `unit`.", metadata=sql(Column("valid_max"))
    )
    external_references = references("sensor")

    @classmethod
    def of(cls, row: SensorRow) -> Self:
        return cls(
            id=strawberry.ID(global_id(Kind.SENSOR, row.uuid)),
            pk=row.pk,
            uuid=row.uuid,
            name=row.name,
            quantity=row.quantity,
            unit=row.unit,
            role=SensorRole(row.role),
            expected_interval=finite(row.expected_interval),
            valid_min=finite(row.valid_min),
            valid_max=finite(row.valid_max),
        )

    @strawberry.field(
        description="The newest reading, exact as soon as it was accepted; null before the first.",
        metadata=sql(Latest(LatestReading)),
    )
    async def latest(self, info: Info) -> Reading | None:
        row = await info.context.loaders.latest.load(self.pk)
        return None if row is None else Reading.of(row)

    @strawberry.field(description="Readings of a window: from and to, or last.")
    async def series(
        self, info: Info, from_: From = None, to: To = None, last: Last = None, points: Points = 200
    ) -> Series:
        start, end = _window(from_, to, last, info.context.now)
        if not 2 <= points <= MAX_POINTS:
            raise GraphQLError(f"points is {points}: ask for 2 to {MAX_POINTS}.")
        rows, count, _ = await info.context.loaders.series.load((self.pk, (start, end, points)))
        readings = [Reading(time=time, value=finite(value), quality=quality) for time, value, quality in rows]
        return Series(readings=readings, count=count, thinned=count > len(readings))


def _window(
    start: datetime | None, end: datetime | None, last: timedelta | None, now: datetime
) -> tuple[datetime, datetime | None]:
    if (start is None) == (last is None) or (last is not None and end is not None):
        raise GraphQLError("series needs a window: either from (and to), or last.")
    if last is not None:
        # Before the first reading that can be accepted there is nothing to find, and dates come to their end.
        return max(EPOCH, now - min(last, now - EPOCH)), None
    assert start is not None
    if end is not None and end < start:
        raise GraphQLError("series ends before it starts: exchange from and to.")
    return start, end


SENSORS = Listing(Order.NAME, Sensor.of)
SENSOR_PAGES = Pages(SensorRow, "{it}.asset_id = {row}.id", Order.NAME, "{it}.name", choose=sensor_choice)
