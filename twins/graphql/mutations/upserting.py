"""Assets as an integrator's system has them, created or changed by key or name, with a difference for each row."""

from __future__ import annotations

from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from assets.history.origin import origin
from assets.importing import Action, Planned, as_dict, import_rows
from twins.graphql.context import Info
from twins.graphql.database import in_transaction
from twins.graphql.loaders import Loaders
from twins.graphql.mutations.results import RowDifference, UpsertDone, UpsertResult, ValueChange
from twins.graphql.mutations.running import EXPECTED, Refusal, actor_of, check_rows, plain, sender_of
from twins.graphql.types.words import AssetStatus, Level
from twins.services.repeats import once

_say, UNSET = strawberry.field, strawberry.UNSET


@strawberry.input(
    description="An asset as another system has it: found by its key there, else by tag and site, else created. "
    "A field that is not given stays as it is."
)
class AssetRow:
    tag: str = _say(description="Short name, unique within the whole tree.")
    external_key: str | None = _say(default=UNSET, description="The key of the asset in the source.")
    external_kind: str | None = _say(default=UNSET, description="What the key names there: functional location.")
    site: str | None = _say(default=UNSET, description="Tag of the top of its tree, when trees share tags.")
    parent: str | None = _say(default=UNSET, description="Tag of its parent, in these rows or in the register.")
    parent_key: str | None = _say(default=UNSET, description="The key of its parent in the source.")
    name: str | None = _say(default=UNSET, description="Full name.")
    level: Level | None = _say(default=UNSET, description="Level in the hierarchy.")
    type: str | None = _say(default=UNSET, description="Code of the type; null: none.")
    type_key: str | None = _say(default=UNSET, description="The key of the type in the source.")
    design: str | None = _say(default=UNSET, description="Code of the design; null: none.")
    revision: str | None = _say(default=UNSET, description="Revision of the design, when there are several.")
    design_key: str | None = _say(default=UNSET, description="The key of the design in the source.")
    criticality: int | None = _say(default=UNSET, description="1 negligible to 5 essential.")
    status: AssetStatus | None = _say(default=UNSET, description="Whether it is in service.")
    attributes: JSON | None = _say(default=UNSET, description="Values to set, by name; null takes one away.")

    def cells(self) -> dict[str, Any]:
        """The row as the importer reads it, a value by header."""
        return {name: getattr(value, "value", value) for name, value in vars(self).items() if value is not UNSET}


Input = Annotated[list[AssetRow], strawberry.argument(description="At most 1000, in any order.")]
Source = Annotated[str, strawberry.argument(description="The system whose keys stand in the rows: SAP, Maximo.")]
DryRun = Annotated[bool, strawberry.argument(description="Only say what would become of each row.")]
Key = Annotated[
    str | None,
    strawberry.argument(
        description="Idempotency key, at most 200 characters: a repeat within 30 days gets the first answer."
    ),
]


@strawberry.type
class UpsertAssets:
    @strawberry.mutation(
        description="Create and change assets as another system has them; one refused row keeps all others out."
    )
    async def upsert_assets(
        self, info: Info, input: Input, source: Source, *, dry_run: DryRun = False, key: Key = None
    ) -> UpsertResult:
        principal = info.context.principal
        actor = actor_of(principal)
        check_rows(input)
        asked = ["upsertAssets", plain(input), source, dry_run]

        def act() -> dict[str, Any]:
            return _upsert([row.cells() for row in input], source, dry_run=dry_run, actor=actor)

        def act_once() -> tuple[Any, bool]:
            with origin(source="api"):
                return once(sender=sender_of(principal), key=key, asked=asked, act=act)

        try:
            answer, repeated = await in_transaction(act_once)()
        except EXPECTED as error:
            return Refusal.of(error)
        info.context.loaders = Loaders(principal)
        return _done(answer, repeated)


def _upsert(rows: list[dict[str, Any]], source: str, *, dry_run: bool, actor: Any) -> dict[str, Any]:
    told: list[Planned] = []
    result = import_rows(tables={"assets": rows}, source=source, dry_run=dry_run, actor=actor, report=told.append)
    counts = {str(action): result.count(action) for action in Action}
    differences = [as_dict(each) for each in sorted(told, key=lambda each: each.row)]
    return {"written": result.written, "counts": counts, "rows": differences}


def _done(answer: dict[str, Any], repeated: bool) -> UpsertDone:
    counts = answer["counts"]
    return UpsertDone(
        written=answer["written"],
        created=counts[Action.CREATE],
        changed=counts[Action.CHANGE],
        unchanged=counts[Action.UNCHANGED],
        refused=counts[Action.REFUSED],
        nodes=[_difference(each) for each in answer["rows"]],
        repeated=repeated,
    )


def _difference(told: dict[str, Any]) -> RowDifference:
    changes = [ValueChange(column=name, old=each["old"], new=each["new"]) for name, each in told["changes"].items()]
    # The first row of a file is 1, that of a list is 0.
    return RowDifference(
        row=told["row"] - 1, action=told["action"], changes=changes, column=told["column"], reason=told["reason"]
    )
