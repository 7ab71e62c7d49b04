"""Readings over the API: a few at a time, for whoever speaks GraphQL anyway; many are sent to `ingest`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry
from asgiref.sync import sync_to_async

from twins.graphql.context import Info
from twins.graphql.loaders import Loaders
from twins.graphql.mutations.results import ReadingsResult, ReadingsTaken, Reject
from twins.graphql.mutations.running import EXPECTED, Refusal, actor_of, check_rows, sender_of
from twins.graphql.scalars import write_time
from twins.models.access import Scope
from twins.services.intake import Acceptance, Origin, answered, take_in
from twins.services.pressure import check_pressure
from twins.sources.json_readings import from_rows


@strawberry.input(description="A reading.")
class ReadingInput:
    sensor: UUID = strawberry.field(description="The key of the sensor.")
    time: datetime = strawberry.field(description="When it was measured.")
    value: float = strawberry.field(description="The value, in the unit of the sensor.")
    quality: int = strawberry.field(default=0, description="OPC UA status code: 0 good, above uncertain, below bad.")

    def row(self) -> dict[str, Any]:
        """As the JSON of `ingest` has it."""
        return {
            "sensor": str(self.sensor),
            "time": write_time(self.time),
            "value": self.value,
            "quality": self.quality,
        }


Rows = Annotated[list[ReadingInput], strawberry.argument(description="At most 1000; all are kept or none.")]
Key = Annotated[
    str | None,
    strawberry.argument(description="Idempotency key: a repeat with the same readings gets the first answer."),
]


@strawberry.type
class SendReadings:
    @strawberry.mutation(description="Keep readings. Needs the scope ingest.")
    async def send_readings(self, info: Info, rows: Rows, key: Key = None) -> ReadingsResult:
        principal = info.context.principal
        actor_of(principal, Scope.INGEST)
        check_rows(rows)

        def take() -> Acceptance:
            check_pressure()
            decoded = from_rows([row.row() for row in rows])
            return answered(take_in(decoded=decoded, origin=Origin(sender_of(principal)), key=key, keep_good=False))

        try:
            taken = await sync_to_async(take)()
        except EXPECTED as error:
            return Refusal.of(error)
        info.context.loaders = Loaders(principal)
        return ReadingsTaken(
            batch=None if taken.batch is None else str(taken.batch),
            accepted=taken.accepted,
            rejected=taken.rejected,
            repeated=taken.repeated,
            nodes=[Reject(row=each.index, reason=each.reason) for each in taken.rejects],
        )
