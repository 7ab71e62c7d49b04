"""What a mutation answers: the rows that were written, as they are now, or a refusal."""

from __future__ import annotations

from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from twins.graphql.mutations.running import Refusal
from twins.graphql.types.register import Installed, Item, MaintenanceEvent
from twins.graphql.types.relation import Relation
from twins.graphql.types.sensor import Sensor
from twins.graphql.types.twin import Twin


def _nodes() -> Any:
    return strawberry.field(description="What was written, in the order of the rows, as it is now.")


def _repeated() -> Any:
    return strawberry.field(description="This key had been answered already, and nothing was done again.")


@strawberry.type(description="Twins that were created, changed or moved.")
class TwinsWritten:
    nodes: list[Twin] = _nodes()
    repeated: bool = _repeated()


@strawberry.type(description="Sensors that were created.")
class SensorsWritten:
    nodes: list[Sensor] = _nodes()
    repeated: bool = _repeated()


@strawberry.type(description="Items that were created.")
class ItemsWritten:
    nodes: list[Item] = _nodes()
    repeated: bool = _repeated()


@strawberry.type(description="Installations that were begun or ended.")
class InstallationsWritten:
    nodes: list[Installed] = _nodes()
    repeated: bool = _repeated()


@strawberry.type(description="Relations that were begun or ended, as their sources see them.")
class RelationsWritten:
    nodes: list[Relation] = _nodes()
    repeated: bool = _repeated()


@strawberry.type(description="Events that were recorded.")
class EventsWritten:
    nodes: list[MaintenanceEvent] = _nodes()
    repeated: bool = _repeated()


@strawberry.type(description="A value that an upsert changes, or would.")
class ValueChange:
    column: str = strawberry.field(description="The column.")
    old: JSON | None = strawberry.field(description="What it was; null for a new record.")
    new: JSON | None = strawberry.field(description="What it becomes.")


@strawberry.type(description="What becomes of a row of an upsert, or would.")
class RowDifference:
    row: int = strawberry.field(description="Number of the row, from 0.")
    action: str = strawberry.field(description="create, change, unchanged or refused.")
    changes: list[ValueChange] = strawberry.field(description="What it changes, by column.")
    column: str = strawberry.field(description="Of a refused row: the column; empty when it is none alone.")
    reason: str = strawberry.field(description="Of a refused row: why; else empty.")


@strawberry.type(description="What an upsert did, or would do.")
class UpsertDone:
    written: bool = strawberry.field(description="Whether it was written: not in a dry run, nor if a row is refused.")
    created: int = strawberry.field(description="Rows of new assets.")
    changed: int = strawberry.field(description="Rows that change an asset.")
    unchanged: int = strawberry.field(description="Rows that say what is so already.")
    refused: int = strawberry.field(description="Rows that are not taken.")
    nodes: list[RowDifference] = strawberry.field(description="Each row, in its order.")
    repeated: bool = _repeated()


@strawberry.type(description="A reading that was not taken.")
class Reject:
    row: int = strawberry.field(description="Number of the row, from 0.")
    reason: str = strawberry.field(description="Why.")


@strawberry.type(description="Readings that survive a power cut; or the rejects, and then nothing was kept.")
class ReadingsTaken:
    batch: str | None = strawberry.field(description="The batch they are kept as; null when nothing was kept.")
    accepted: int = strawberry.field(description="How many were taken.")
    rejected: int = strawberry.field(description="How many were not; then none was.")
    repeated: bool = _repeated()
    nodes: list[Reject] = strawberry.field(description="The rejects, at most 1,000.")


_SAID = "What was written, or why nothing was."
TwinsResult = Annotated[TwinsWritten | Refusal, strawberry.union("TwinsResult", description=_SAID)]
SensorsResult = Annotated[SensorsWritten | Refusal, strawberry.union("SensorsResult", description=_SAID)]
ItemsResult = Annotated[ItemsWritten | Refusal, strawberry.union("ItemsResult", description=_SAID)]
InstallationsResult = Annotated[
    InstallationsWritten | Refusal, strawberry.union("InstallationsResult", description=_SAID)
]
RelationsResult = Annotated[RelationsWritten | Refusal, strawberry.union("RelationsResult", description=_SAID)]
EventsResult = Annotated[EventsWritten | Refusal, strawberry.union("EventsResult", description=_SAID)]
UpsertResult = Annotated[UpsertDone | Refusal, strawberry.union("UpsertResult", description=_SAID)]
ReadingsResult = Annotated[ReadingsTaken | Refusal, strawberry.union("ReadingsResult", description=_SAID)]
