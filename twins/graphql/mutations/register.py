"""The mutations of the register: each one line to a service, on behalf of the user behind the token or session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

import strawberry

from assets import services
from assets.exceptions import InvalidValue
from assets.models import Asset, Installation, Item, MaintenanceEvent, Relation, Sensor
from twins.graphql.context import Info
from twins.graphql.ids import Kind, row_number
from twins.graphql.mutations import inputs
from twins.graphql.mutations import results as answers
from twins.graphql.mutations.running import carried_out, in_order, seen, visible
from twins.graphql.mutations.sending import SendReadings
from twins.graphql.mutations.upserting import UpsertAssets
from twins.graphql.types.register import Installed
from twins.graphql.types.register import Item as ItemNode
from twins.graphql.types.register import MaintenanceEvent as Event
from twins.graphql.types.relation import Relation as RelationNode
from twins.graphql.types.sensor import Sensor as SensorNode
from twins.graphql.types.twin import twin_of
from twins.selectors import twins as select

Key = Annotated[
    str | None,
    strawberry.argument(
        description="Idempotency key, at most 200 characters: a repeat within 30 days gets the first answer."
    ),
]
Under = Annotated[
    strawberry.ID | None, strawberry.argument(description="Id of the asset below which rows without a parent stand.")
]
Ids = Annotated[list[strawberry.ID], strawberry.argument(description="Ids, at most 1000.")]
At = Annotated[datetime, strawberry.argument(description="When they end.")]
_ROWS = strawberry.argument(description="At most 1000; all are written or none.")


@strawberry.type(
    description="What can be changed. Needs the scope write, and roles where something is changed. Each field is one "
    "transaction, carried out whole or not at all."
)
class Mutation(UpsertAssets, SendReadings):
    @strawberry.mutation(description="Create assets, parents before children.")
    async def create_assets(
        self, info: Info, rows: Annotated[list[inputs.NewAssetInput], _ROWS], under: Under = None, key: Key = None
    ) -> answers.TwinsResult:
        def act(actor: Any) -> Sequence[Asset]:
            known = inputs.Known(info, rows)
            top = inputs.Known(info, [inputs.AssetMove(id=under)]).asset(0, "id") if under is not None else None
            wishes = inputs.assets_to_be(rows, known)
            return list(services.create_assets(rows=wishes, under=top, actor=actor).values())

        return await carried_out(info, ("createAssets", [rows, under]), key, act, _twins(info))

    @strawberry.mutation(description="Change the given fields of assets and leave the others as they are.")
    async def change_assets(
        self, info: Info, rows: Annotated[list[inputs.AssetChange], _ROWS], key: Key = None
    ) -> answers.TwinsResult:
        def act(actor: Any) -> Sequence[Asset]:
            return services.edit_assets(edits=inputs.edits(rows, inputs.Known(info, rows)), actor=actor)

        return await carried_out(info, ("changeAssets", [rows]), key, act, _twins(info))

    @strawberry.mutation(description="Move assets with everything below them, all at once.")
    async def move_assets(
        self, info: Info, rows: Annotated[list[inputs.AssetMove], _ROWS], key: Key = None
    ) -> answers.TwinsResult:
        def act(actor: Any) -> Sequence[Asset]:
            return services.move_assets(moves=inputs.moves(rows, inputs.Known(info, rows)), actor=actor)

        return await carried_out(info, ("moveAssets", [rows]), key, act, _twins(info))

    @strawberry.mutation(description="Create sensors at twins.")
    async def create_sensors(
        self, info: Info, rows: Annotated[list[inputs.NewSensorInput], _ROWS], key: Key = None
    ) -> answers.SensorsResult:
        def act(actor: Any) -> Sequence[Sensor]:
            return services.create_sensors(sensors=inputs.sensors_to_be(rows, inputs.Known(info, rows)), actor=actor)

        done = _written(info, Sensor.objects.all(), SensorNode.of, answers.SensorsWritten)
        return await carried_out(info, ("createSensors", [rows]), key, act, done)

    @strawberry.mutation(description="Create items, each with its build record.")
    async def create_items(
        self, info: Info, rows: Annotated[list[inputs.NewItemInput], _ROWS], key: Key = None
    ) -> answers.ItemsResult:
        def act(actor: Any) -> Sequence[Item]:
            return services.create_items(items=inputs.items_to_be(rows, inputs.Known(info, rows)), actor=actor)

        made = Item.objects.select_related("design__type")
        return await carried_out(
            info, ("createItems", [rows]), key, act, _written(info, made, ItemNode.of, answers.ItemsWritten)
        )

    @strawberry.mutation(description="Install items where nothing is installed in that period.")
    async def install_items(
        self, info: Info, rows: Annotated[list[inputs.NewInstallationInput], _ROWS], key: Key = None
    ) -> answers.InstallationsResult:
        def act(actor: Any) -> Sequence[Installation]:
            wishes = inputs.installations_to_be(rows, inputs.Known(info, rows))
            return services.install_items(installations=wishes, actor=actor)

        return await carried_out(info, ("installItems", [rows]), key, act, _installations(info))

    @strawberry.mutation(description="Take out what is installed at twins.")
    async def remove_items(
        self, info: Info, rows: Annotated[list[inputs.RemovalInput], _ROWS], key: Key = None
    ) -> answers.InstallationsResult:
        def act(actor: Any) -> Sequence[Installation]:
            return services.remove_items(removals=inputs.removals(rows, inputs.Known(info, rows)), actor=actor)

        return await carried_out(info, ("removeItems", [rows]), key, act, _installations(info))

    @strawberry.mutation(description="Take out what is installed at twins and put other items there.")
    async def replace_items(
        self, info: Info, rows: Annotated[list[inputs.ReplacementInput], _ROWS], key: Key = None
    ) -> answers.InstallationsResult:
        def act(actor: Any) -> Sequence[Installation]:
            wishes = inputs.replacements(rows, inputs.Known(info, rows))
            return services.replace_items(replacements=wishes, actor=actor)

        return await carried_out(info, ("replaceItems", [rows]), key, act, _installations(info))

    @strawberry.mutation(description="Say what joins twins beside containment.")
    async def relate_assets(
        self, info: Info, rows: Annotated[list[inputs.NewRelationInput], _ROWS], key: Key = None
    ) -> answers.RelationsResult:
        def act(actor: Any) -> Sequence[Relation]:
            wishes = inputs.relations_to_be(rows, inputs.Known(info, rows))
            return services.relate_assets(relations=wishes, actor=actor)

        return await carried_out(info, ("relateAssets", [rows]), key, act, _relations(info))

    @strawberry.mutation(description="End relations that have no end yet.")
    async def end_relations(self, info: Info, rows: Ids, at: At, key: Key = None) -> answers.RelationsResult:
        numbers = [row_number(str(each), Kind.RELATION) for each in rows]

        def act(actor: Any) -> Sequence[Relation]:
            found = in_order(seen(info, Relation.objects.select_related("source", "target")), numbers)
            if len(found) < len(set(numbers)):
                raise InvalidValue("There is no relation of one of these ids that you may see: look it up again.")
            return services.end_relations(relations=found, at=at, actor=actor)

        return await carried_out(info, ("endRelations", [rows, str(at)]), key, act, _relations(info))

    @strawberry.mutation(description="Record what happened at twins.")
    async def record_events(
        self, info: Info, rows: Annotated[list[inputs.NewEventInput], _ROWS], key: Key = None
    ) -> answers.EventsResult:
        def act(actor: Any) -> Sequence[MaintenanceEvent]:
            return services.record_events(events=inputs.events_to_be(rows, inputs.Known(info, rows)), actor=actor)

        done = _written(info, MaintenanceEvent.objects.all(), Event.of, answers.EventsWritten)
        return await carried_out(info, ("recordEvents", [rows]), key, act, done)


Done = Callable[[Sequence[int], bool], Any]


def _written(info: Info, rows: Any, node: Callable[[Any], Any], result: Callable[..., Any]) -> Done:
    """Makes the result of the ids that were written, for whoever may look at the rows."""
    return lambda keys, repeated: result(
        nodes=[node(row) for row in in_order(seen(info, rows), keys)], repeated=repeated
    )


def _twins(info: Info) -> Done:
    return _written(info, Asset.objects.all(), twin_of, answers.TwinsWritten)


def _installations(info: Info) -> Done:
    placed = Installation.objects.select_related("item__design__type")
    return _written(info, placed, Installed.of, answers.InstallationsWritten)


def _relations(info: Info) -> Done:
    def done(keys: Sequence[int], repeated: bool) -> Any:
        found = select.relations_by_id(keys, visible=visible(info, Asset))
        nodes = [RelationNode.of(found[key]) for key in keys if key in found]
        return answers.RelationsWritten(nodes=nodes, repeated=repeated)

    return done
