"""A plan is written by the services of the register; a row that they refuse is taken out and the others are tried anew.

The services write many rows at once and refuse them together, so the rows are halved until the one that is not taken
stands alone. That costs nothing while all is well, which is nearly always.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from django.db import transaction

from assets import services
from assets.exceptions import AssetsError, ChangedMeanwhile, InvalidValue
from assets.importing.hierarchy import PlannedAsset
from assets.importing.planning import Action, Planned
from assets.importing.tables import KEY_HEADER, Table
from assets.models import Asset
from assets.permissions import EVERYWHERE, rights_of
from assets.permissions import Action as Right

Row = TypeVar("Row")
_SENTENCE = re.compile(r"(?:Row \d+(?:, ([^:]+))?|([a-z_]+)): (.+)", re.DOTALL)
"""How a service speaks of a row: its number among those that it was given or the field, or both, and the reason."""


class Writer:
    """Writes plans on behalf of `actor`, a user, or of the system itself when that is None."""

    def __init__(self, actor: Any = None) -> None:
        self._actor = actor
        self.sight = EVERYWHERE if actor is None else rights_of(actor).reach(Right.VIEW)
        """What of the register the rows may mean."""

    def write_rows(self, table: Table, planned: Sequence[Planned]) -> None:
        """Write what is to be created or changed; what is refused is marked so."""
        due = [row for row in planned if row.action in (Action.CREATE, Action.CHANGE)]
        _halving(due, lambda rows: self._write(table, rows), lambda row: row)

    def write_assets(self, placed: Sequence[PlannedAsset]) -> None:
        """Write assets, parents before children; what stands below a refused one is refused."""
        due = [each for each in placed if each.planned.action in (Action.CREATE, Action.CHANGE)]
        _halving(due, self._write_assets, lambda each: each.planned)

    def _write(self, table: Table, rows: Sequence[Planned]) -> None:
        new = [row for row in rows if row.action is Action.CREATE]
        changed = [row for row in rows if row.action is Action.CHANGE and row.changes.keys() - {KEY_HEADER}]
        if new:
            created = _CREATE.get(table.name, _create)([row.record for row in new], self._actor)
            for row, record in zip(new, created, strict=True):
                row.record = record
        if changed:
            _CHANGE.get(table.name, _change)(changed, self._actor)
        self._refer(table.target, rows)

    def _refer(self, target: str, rows: Iterable[Planned]) -> None:
        """Remember the source system's keys."""
        references = []
        for row in rows:
            if row.reference is not None:
                setattr(row.reference, target, row.record)
                references.append(row.reference)
        services.create_records(records=references, actor=self._actor)

    def _write_assets(self, rows: Sequence[PlannedAsset]) -> None:
        for place, each in enumerate(rows):
            if each.parent is not None and each.parent.planned.action is Action.REFUSED:
                raise InvalidValue(f"Row {place}, parent: row {each.parent.planned.row}, its parent, was refused")
        self._create_assets([each for each in rows if each.planned.action is Action.CREATE])
        changed = [each.planned for each in rows if each.planned.action is Action.CHANGE]
        changed = [row for row in changed if row.changes.keys() - {KEY_HEADER}]
        for row in changed:
            if "parent" in row.changes:  # one that was created only now has its id only now
                row.record.parent_id = row.record.parent.pk if row.record.parent else None
        services.change_assets(assets=[row.record for row in changed], actor=self._actor)
        self._refer("asset", (each.planned for each in rows))

    def _create_assets(self, rows: Sequence[PlannedAsset]) -> None:
        """One call for each tree, because tags are names within one."""
        trees: defaultdict[str, list[PlannedAsset]] = defaultdict(list)
        for each in rows:
            trees[each.site].append(each)
        for tree in trees.values():
            wishes = [_wish(each.planned.record) for each in tree]
            created = services.create_assets(rows=wishes, under=_top(tree[0].planned.record), actor=self._actor)
            for each in tree:
                _take_place(each.planned.record, created[each.planned.record.tag])


def _halving(rows: Sequence[Row], write: Callable[[Sequence[Row]], None], plan: Callable[[Row], Planned]) -> None:
    if not rows:
        return
    try:
        with transaction.atomic():
            write(rows)
    except ChangedMeanwhile:
        raise  # no row is wrong
    except AssetsError as error:
        if len(rows) == 1:
            _refuse(plan(rows[0]), str(error))
            return
        half = len(rows) // 2
        _halving(rows[:half], write, plan)
        _halving(rows[half:], write, plan)


def _refuse(planned: Planned, sentence: str) -> None:
    said = _SENTENCE.fullmatch(sentence)
    planned.refuse((said and (said[1] or said[2])) or "", said[3] if said else sentence)


def _create(records: Sequence[Any], actor: Any) -> Sequence[Any]:
    return services.create_records(records=records, actor=actor)


def _change(rows: Sequence[Planned], actor: Any) -> None:
    services.change_records(records=[row.record for row in rows], actor=actor)


def _install(records: Sequence[Any], actor: Any) -> Sequence[Any]:
    return services.install_items(
        installations=[
            services.NewInstallation(
                asset=record.asset,
                item=record.item,
                start=record.period.lower,
                end=record.period.upper,
                removal_reason=record.removal_reason,
            )
            for record in records
        ],
        actor=actor,
    )


def _relate(records: Sequence[Any], actor: Any) -> Sequence[Any]:
    return services.relate_assets(
        relations=[
            services.NewRelation(
                source=record.source,
                target=record.target,
                kind=record.kind,
                start=record.period.lower,
                end=record.period.upper,
                note=record.note,
            )
            for record in records
        ],
        actor=actor,
    )


def _remove(rows: Sequence[Planned], actor: Any) -> None:
    _only(rows, {"removed_at", "removal_reason"}, "removed_at", "an installation is changed by its removal alone")
    services.remove_items(
        removals=[
            services.Removal(asset=row.record.asset, at=row.record.period.upper, reason=row.record.removal_reason)
            for row in rows
        ],
        actor=actor,
    )


def _end(rows: Sequence[Planned], actor: Any) -> None:
    _only(rows, {"until"}, "until", "a relation is changed by its end alone")
    by_end: defaultdict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        by_end[row.record.period.upper].append(row.record)
    for at, relations in by_end.items():
        services.end_relations(relations=relations, at=at, actor=actor)


def _only(rows: Sequence[Planned], headers: set[str], needed: str, rule: str) -> None:
    """What is dated is history: it may be ended and not be told otherwise."""
    for place, row in enumerate(rows):
        changed = row.changes.keys() - {KEY_HEADER}
        old, new = row.changes.get(needed, (None, None))
        if not changed <= headers or old is not None or new is None:
            raise InvalidValue(f"Row {place}, {min(changed)}: {rule}: end this one and add another.")


_CREATE: Mapping[str, Callable[[Sequence[Any], Any], Sequence[Any]]] = {"installations": _install, "relations": _relate}
_CHANGE: Mapping[str, Callable[[Sequence[Planned], Any], Any]] = {"installations": _remove, "relations": _end}


def _top(first: Asset) -> Asset | None:
    """The top of the tree that the first new asset comes into; None when it is the top itself."""
    return Asset.objects.get(pk=first.parent.root_id) if first.parent and first.parent.root_id else None


def _wish(record: Asset) -> services.NewAsset:
    return services.NewAsset(
        tag=record.tag,
        name=record.name,
        level=record.level,
        parent=record.parent.tag if record.parent else None,
        type=record.type,
        design=record.design,
        criticality=record.criticality,
        status=record.status,
        attributes=record.attributes,
    )


def _take_place(record: Asset, created: Asset) -> None:
    """Other rows of the file hold this very object as their parent."""
    record.pk, record.root_id, record.path = created.pk, created.root_id, created.path
    record._state.adding = False
