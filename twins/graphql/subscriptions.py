"""What can be watched: readings and health, first as they are now, then each change, only the newest of each.

A subscription's resolver says which state it tells (a topic); when it is told, and to whom, is the hub's business.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple, cast
from uuid import UUID

import strawberry
from channels.db import database_sync_to_async
from django.db import close_old_connections
from django.db.models import Q
from django.utils import timezone
from graphql import GraphQLError
from strawberry.types.execution import PreExecutionError

from assets.models import Sensor as SensorRow
from twins.graphql.answers import Answer, Operation
from twins.graphql.context import Context, Info
from twins.graphql.database import bounded
from twins.graphql.hub import Feed, Keys, Rendering
from twins.graphql.ids import Kind, row_number
from twins.graphql.loaders import Loaders
from twins.graphql.scalars import finite
from twins.graphql.types.sensor import Reading, Sensor
from twins.graphql.types.twin import Twin, load_twin, load_twins
from twins.selectors.readings import latest_readings
from twins.selectors.sensors import watched_assets, watched_sensors
from twins.services.principals import Principal

MAX_WATCHED = 10_000
"""Sensors or assets that one subscription watches."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@strawberry.type(description="The newest reading of a sensor.")
class LiveReading(Reading):
    sensor: Sensor = strawberry.field(description="What measured it.")
    asset_id: strawberry.Private[int]

    @strawberry.field(description="The twin it was measured at.")
    async def twin(self, info: Info) -> Twin | None:
        return cast("Twin | None", await load_twin(info, self.asset_id))


Sensors = Annotated[
    list[UUID] | None, strawberry.argument(description="These sensors; with assets: these and those of the assets.")
]
Assets = Annotated[
    list[strawberry.ID] | None, strawberry.argument(description="Ids of twins; each with everything below it.")
]


@strawberry.type(
    description="What can be watched. The first answer is the state now; then what changed, only the newest of each. "
    "Without arguments everything visible is watched."
)
class Subscription:
    @strawberry.subscription(description="The newest readings, together with the sensors they are of.")
    async def readings(
        self, info: Info, sensors: Sensors = None, assets: Assets = None
    ) -> AsyncGenerator[list[LiveReading], None]:
        topic = _ReadingsTopic(sensors, _row_numbers(assets), info.context.visible())
        async for rows in _feed(info).updates(topic):
            await _renew(info.context)
            yield [row.reading() for row in rows]

    @strawberry.subscription(description="The twins whose health was assessed again.")
    async def health(self, info: Info, assets: Assets = None) -> AsyncGenerator[list[Twin], None]:
        topic = _HealthTopic(_row_numbers(assets), info.context.visible())
        async for ids in _feed(info).updates(topic):
            await _renew(info.context)
            yield await load_twins(info, ids)


@dataclass
class SubscriptionContext(Context):
    """A context whose resolvers get what they yield from a feed."""

    feed: Feed | None = None


def rendering(schema: Any, operation: Operation, principal: Principal) -> Rendering:
    """Execution of one subscription on whatever feed it is given."""

    async def render(feed: Feed) -> AsyncGenerator[Answer, None]:
        context = SubscriptionContext(principal=principal, feed=feed)
        results = await schema.stream(
            operation.query,
            variable_values=operation.variables,
            operation_name=operation.name,
            context_value=context,
        )
        async with aclosing(results):
            async for result in results:
                yield Answer.of(result, refused=isinstance(result, PreExecutionError))

    return render


def _feed(info: Info) -> Feed:
    feed = getattr(info.context, "feed", None)
    if feed is None:
        raise GraphQLError("A subscription is opened over WebSocket (graphql-transport-ws).")
    return cast("Feed", feed)


async def _renew(context: Context) -> None:
    """What an operation keeps is good for one answer only."""
    await database_sync_to_async(close_old_connections)()
    context.loaders, context.now = Loaders(context.principal), timezone.now()


def _row_numbers(ids: list[strawberry.ID] | None) -> list[int] | None:
    return None if ids is None else [row_number(str(each), Kind.TWIN) for each in ids]


def _bounded(rows: list[Any]) -> list[Any]:
    if len(rows) > MAX_WATCHED:
        raise GraphQLError(f"More than {MAX_WATCHED} would be watched: name fewer sensors or assets.")
    return rows


class _LiveRow(NamedTuple):
    """The newest reading known of a sensor; ordered by time, then batch."""

    time: datetime
    batch: int
    value: float
    quality: int
    sensor: SensorRow

    def reading(self) -> LiveReading:
        return LiveReading(
            time=self.time,
            value=finite(self.value),
            quality=self.quality,
            sensor=Sensor.of(self.sensor),
            asset_id=self.sensor.asset_id,
        )


class _ReadingsTopic:
    """The newest reading of each watched sensor."""

    def __init__(self, uuids: list[UUID] | None, assets: list[int] | None, visible: Q) -> None:
        self._uuids, self._assets, self._visible = uuids, assets, visible
        self._sensors: dict[int, SensorRow] = {}
        self._newest: dict[int, _LiveRow] = {}

    async def load(self) -> Keys:
        sensors, found = await database_sync_to_async(bounded(self._read))()
        self._sensors = sensors
        self._newest = {key: row for key, row in self._newest.items() if key in sensors}
        rows = (_LiveRow(row.time, row.batch, row.value, row.quality, sensors[key]) for key, row in found.items())
        return {row.sensor.pk for row in rows if self._is_news(row)}

    def _read(self) -> tuple[dict[int, SensorRow], Mapping[int, Any]]:
        rows = watched_sensors(uuids=self._uuids, assets=self._assets, visible=self._visible, limit=MAX_WATCHED + 1)
        sensors = {row.pk: row for row in _bounded(rows)}
        missing = set(self._uuids or ()) - {row.uuid for row in rows}
        # One that is deleted later is only watched no more.
        if missing and not self._sensors:
            raise GraphQLError(f"There is no sensor {min(map(str, missing))}.")
        return sensors, latest_readings(sensors)

    def take(self, event: Mapping[str, Any]) -> Keys:
        if event["kind"] != "readings_accepted":
            return set()
        rows = (
            _LiveRow(_EPOCH + timedelta(microseconds=time), event["batch"], value, quality, self._sensors[sensor])
            for sensor, time, value, quality in event["rows"]
            if sensor in self._sensors
        )
        return {row.sensor.pk for row in rows if self._is_news(row)}

    def _is_news(self, row: _LiveRow) -> bool:
        known = self._newest.get(row.sensor.pk)
        if known is not None and known[:2] >= row[:2]:
            return False
        self._newest[row.sensor.pk] = row
        return True

    def keys(self) -> Keys:
        return set(self._newest)

    def state(self, keys: Iterable[int]) -> list[_LiveRow]:
        return [self._newest[key] for key in sorted(keys) if key in self._newest]


class _HealthTopic:
    """Which of the watched assets were assessed; what is believed of them is read when it is told."""

    def __init__(self, assets: list[int] | None, visible: Q) -> None:
        self._roots, self._visible = assets, visible
        self._watched: Keys = set()

    async def load(self) -> Keys:
        # Without versions in memory any of them may have changed; this happens at the start and after a loss.
        self._watched = set(await database_sync_to_async(bounded(self._read))())
        return set(self._watched)

    def _read(self) -> list[int]:
        return _bounded(watched_assets(assets=self._roots, visible=self._visible, limit=MAX_WATCHED + 1))

    def take(self, event: Mapping[str, Any]) -> Keys:
        return self._watched.intersection(event["assets"]) if event["kind"] == "assessed" else set()

    def keys(self) -> Keys:
        return set(self._watched)

    def state(self, keys: Iterable[int]) -> list[int]:
        return sorted(set(keys) & self._watched)
