"""Typed, dated edges between assets. The database refuses what is said twice for one time; here it gets names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError

from assets.exceptions import AlreadyExists, AssetsError, InvalidValue
from assets.models import SYMMETRIC, Asset, AssetStatus, Relation
from assets.permissions import Action, require
from assets.services._bulk import insert_rows, update_rows
from assets.services._checks import check_fields
from assets.services._locks import hold_rows
from assets.services._periods import check_periods, period
from assets.services._rules import all_or_nothing, broken_constraint


@dataclass(frozen=True, kw_only=True)
class NewRelation:
    """`source` does `kind` to `target` from `start` until before `end` (None: it still does), both aware."""

    source: Asset
    target: Asset
    kind: str
    start: datetime
    end: datetime | None = None
    note: str = ""


def relate_assets(*, relations: Sequence[NewRelation], actor: Any = None) -> list[Relation]:
    """Write relations and return them in the same order; one that is the same both ways starts at the smaller id.

    Raises AlreadyExists for what is already said of a part of the period, InvalidValue for a relation of an asset with
    itself, with a retired one without end, and for what a field does not take.
    """
    check_periods((wish.start, wish.end) for wish in relations)
    rows = [_unsaved(index, wish) for index, wish in enumerate(relations)]
    try:
        with all_or_nothing(actor):
            check_fields(rows)
            # Else two who say the same meet at the exclusion constraint, which ends in a deadlock.
            hold_rows(Asset, [key for row in rows for key in (row.source_id, row.target_id)])
            require(actor, Action.CHANGE, (key for row in rows for key in (row.source_id, row.target_id)))
            _check_in_use(rows)
            return insert_rows(rows)
    except AssetsError as error:
        if (
            isinstance(error.__cause__, IntegrityError)
            and broken_constraint(error.__cause__) == "relation_once_at_a_time"
        ):
            raise AlreadyExists(_overlap(rows)) from error
        raise


def end_relations(*, relations: Sequence[Relation], at: datetime, actor: Any = None) -> list[Relation]:
    """End relations that are open since before `at`; raises InvalidValue for one that is not."""
    check_periods((at, None) for _ in relations[:1])
    with all_or_nothing(actor):
        hold_rows(Relation, (row.pk for row in relations))
        fresh = Relation.objects.in_bulk([row.pk for row in relations])
        require(actor, Action.CHANGE, (key for row in fresh.values() for key in (row.source_id, row.target_id)))
        for index, row in enumerate(relations):
            stands = fresh.get(row.pk)
            if stands is None or stands.period.upper is not None or stands.period.lower >= at:
                raise InvalidValue(f"Row {index}, at: {row} does not hold since before {at.isoformat()}: look again.")
            row.period = period(stands.period.lower, at)
        update_rows(relations, ["period"])
    return list(relations)


def _unsaved(index: int, wish: NewRelation) -> Relation:
    source, target = wish.source, wish.target
    if source.pk == target.pk:
        raise InvalidValue(f"Row {index}, target: {target.tag!r} cannot be related to itself: choose another asset.")
    if wish.kind in SYMMETRIC and source.pk > target.pk:
        source, target = target, source
    return Relation(source=source, target=target, kind=wish.kind, period=period(wish.start, wish.end), note=wish.note)


def _check_in_use(rows: Sequence[Relation]) -> None:
    ends = {key for row in rows for key in (row.source_id, row.target_id)}
    retired = dict(Asset.objects.filter(pk__in=ends, status=AssetStatus.RETIRED).values_list("pk", "tag"))
    for index, row in enumerate(rows):
        for key in (row.source_id, row.target_id):
            if row.period.upper is None and key in retired:
                raise InvalidValue(f"Row {index}: {retired[key]!r} is retired: say when the relation ended.")


def _overlap(rows: Sequence[Relation]) -> str:
    """A sentence about the first row that says what stands already, or an earlier row does."""
    keys = {row.source_id for row in rows}
    before = list(Relation.objects.filter(source__in=keys, target__in={row.target_id for row in rows}))
    for index, row in enumerate(rows):
        for other in before:
            same = (row.source_id, row.target_id, row.kind) == (other.source_id, other.target_id, other.kind)
            if same and _meet(row, other):
                return (
                    f"Row {index}: that {row.source.tag!r} {row.get_kind_display()} {row.target.tag!r} is already said "
                    f"from {other.period.lower.isoformat()}: end that relation first or correct the period."
                )
        before.append(row)
    return "One of the relations is already said of a part of its period: look at what stands and try again."


def _meet(one: Relation, other: Relation) -> bool:
    ends_after = one.period.upper is None or one.period.upper > other.period.lower
    return ends_after and (other.period.upper is None or other.period.upper > one.period.lower)
