"""What is measured at a twin: the sensor, its newest reading and its past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

import numpy as np
import pyarrow as pa
import strawberry
from graphql import GraphQLError

from assets.models import Sensor as SensorRow
from twins.graphql.context import Info
from twins.graphql.ids import Kind, Order, global_id
from twins.graphql.planner import Chosen, Column, GlobalId, Later, Latest, Pages, sql
from twins.graphql.scalars import finite, written_times
from twins.graphql.texts import numbers, objects
from twins.graphql.types.choosing import sensor_choice
from twins.graphql.types.connection import Listing
from twins.graphql.types.register import Node, own_id, references
from twins.graphql.types.window import From, Last, To, check_points, window_of
from twins.graphql.types.words import SensorRole
from twins.lake import Points as ReadingColumns
from twins.models import LatestReading
from twins.selectors.minutes import Window
from twins.selectors.series import Past, pasts_of


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


def _tell(sensors: list[int], given: Mapping[str, Any], now: datetime) -> Mapping[int, Past]:
    start, end = window_of("series", given.get("from_"), given.get("to"), given.get("last"), now)
    check_points(given["points"], 2)
    return dict.fromkeys(sensors, Past.empty()) | pasts_of(sensors, start=start, end=end, points=given["points"])


def _write(pasts: Sequence[Past], chosen: Chosen) -> list[bytes]:
    lengths = [len(past.points.time) for past in pasts]
    points = ReadingColumns(*map(np.concatenate, zip(*(past.points for past in pasts), strict=True)))

    def of_reading(name: str, _: Chosen | None) -> pa.Array:
        return written_times(points.time) if name == "time" else numbers(getattr(points, name))

    def of_past(name: str, inside: Chosen | None) -> pa.Array:
        if inside is not None:
            return pa.array([b"[%b]" % rows for rows in objects(inside, lengths, of_reading)])
        if name == "count":
            return numbers(np.array([past.total for past in pasts]))
        return pa.array(
            [b"true" if past.total > drawn else b"false" for past, drawn in zip(pasts, lengths, strict=True)]
        )

    return objects(chosen, [1] * len(pasts), of_past)


@strawberry.type(description="What the readings of one stretch of time come to.")
class Aggregate:
    start: datetime = strawberry.field(description="Beginning of the stretch, UTC; stretches are counted from 1970.")
    count: int = strawberry.field(description="How many readings it holds, at least 1.")
    min: float | None = strawberry.field(description="The lowest value.")
    max: float | None = strawberry.field(description="The highest value.")
    mean: float | None = strawberry.field(description="The mean of the readings, each counted once.")
    first: float | None = strawberry.field(description="The value of the first reading.")
    last: float | None = strawberry.field(description="The value of the last reading.")
    quality: int = strawberry.field(description="The worst OPC UA status code of its readings.")

    @classmethod
    def of(cls, row: Window) -> Self:
        values = (finite(value) for value in (row.min, row.max, row.mean, row.first, row.last))
        low, high, mean, first, last = values
        return cls(
            start=row.start, count=row.count, min=low, max=high, mean=mean, first=first, last=last, quality=row.quality
        )


@strawberry.type(description="The past of a sensor by stretches of equal length.")
class Aggregates:
    aggregates: list[Aggregate] = strawberry.field(
        description="In order of time, oldest first; a stretch without readings is left out."
    )


Points = Annotated[int, strawberry.argument(description="At most so many readings, 2 to 1000.")]
Stretches = Annotated[int, strawberry.argument(description="What it has room for, 1 to 1000: more are refused.")]
Every = Annotated[timedelta, strawberry.argument(description="Length of a stretch, at least a second: PT1H.")]


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

    @strawberry.field(description="Readings of a window: from and to, or last.", metadata=sql(Later(_tell, _write)))
    async def series(
        self, info: Info, from_: From = None, to: To = None, last: Last = None, points: Points = 200
    ) -> Series:
        start, end = window_of("series", from_, to, last, info.context.now)
        check_points(points, 2)
        past: Past = await info.context.loaders.series.load((self.pk, (start, end, points)))
        readings = [Reading(time=time, value=finite(value), quality=quality) for time, value, quality in past.rows()]
        return Series(readings=readings, count=past.total, thinned=past.total > len(readings))

    @strawberry.field(description="Means, extremes and counts of a window by stretches: from and to, or last.")
    async def aggregate(
        self,
        info: Info,
        *,
        window: Every,
        from_: From = None,
        to: To = None,
        last: Last = None,
        points: Stretches = 200,
    ) -> Aggregates:
        start, end = window_of("aggregate", from_, to, last, info.context.now)
        check_points(points, 1)
        if window < timedelta(seconds=1):
            raise GraphQLError("window is shorter than a second: ask for the readings themselves, by series.")
        if ((end or info.context.now) - start) // window > points:
            raise GraphQLError(f"aggregate comes to more than {points} stretches: ask for longer ones, or for less.")
        rows = await info.context.loaders.aggregates.load((self.pk, (start, end, window)))
        return Aggregates(aggregates=[Aggregate.of(row) for row in rows])


SENSORS = Listing(Order.NAME, Sensor.of)
SENSOR_PAGES = Pages(SensorRow, "{it}.asset_id = {row}.id", Order.NAME, "{it}.name", choose=sensor_choice)
