"""Which item sits where and when. The database refuses overlaps; here they get names and periods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError
from django.db.models import Q, QuerySet

from assets import signals
from assets.exceptions import AlreadyOccupied, AssetsError, InvalidValue, NotInstalled
from assets.models import Asset, Installation, Item
from assets.permissions import Action, require, require_seen
from assets.services._bulk import insert_rows, update_rows
from assets.services._checks import check_fields
from assets.services._locks import hold_rows
from assets.services._periods import check_periods, period
from assets.services._rules import all_or_nothing, broken_constraint, tell

_OVERLAPS = {"installation_one_item_at_a_place", "installation_one_place_of_an_item"}


@dataclass(frozen=True, kw_only=True)
class NewInstallation:
    """An item at an asset from `start` until before `end` (None: it stays), both aware."""

    asset: Asset
    item: Item
    start: datetime
    end: datetime | None = None
    removal_reason: str = ""


def install_items(*, installations: Sequence[NewInstallation], actor: Any = None) -> list[Installation]:
    """Install items and return the installations in the same order.

    Raises AlreadyOccupied, naming place, item and period, when a place or an item is taken in any part of a period, by
    what stands in the register or by another row; InvalidValue for a period without time zone or that does not end
    after its start.
    """
    check_periods((wish.start, wish.end) for wish in installations)
    rows = [_unsaved(wish) for wish in installations]
    try:
        with all_or_nothing(actor):
            check_fields(rows)
            # Else two who want the same thing meet at the exclusion constraint, which ends in a deadlock.
            hold_rows(Asset, (row.asset_id for row in rows))
            hold_rows(Item, (row.item_id for row in rows))
            require(actor, Action.RECORD, (row.asset_id for row in rows))
            require_seen(actor, Item, (row.item_id for row in rows))
            _check_in_use(rows)
            created = insert_rows(rows)
            tell(signals.item_installed, Installation, (row.asset_id for row in created))
    except AssetsError as error:
        if not (isinstance(error.__cause__, IntegrityError) and broken_constraint(error.__cause__) in _OVERLAPS):
            raise
        raise AlreadyOccupied(_overlap(rows)) from error
    return created


def _unsaved(wish: NewInstallation) -> Installation:
    return Installation(
        asset=wish.asset, item=wish.item, period=period(wish.start, wish.end), removal_reason=wish.removal_reason
    )


def _check_in_use(rows: Sequence[Installation]) -> None:
    """Nothing is installed in what is retired, and no retired item anywhere, once it is."""
    places = {row.asset_id for row in rows}
    retired = dict(Asset.objects.filter(pk__in=places, status="retired").values_list("pk", "retired_at"))
    scrapped = Item.objects.filter(pk__in={row.item_id for row in rows}, retired_at__isnull=False)
    gone = dict(scrapped.values_list("pk", "retired_at"))
    for index, row in enumerate(rows):
        end = row.period.upper
        if row.asset_id in retired and (end is None or ((at := retired[row.asset_id]) is not None and end > at)):
            raise InvalidValue(f"Row {index}, asset: {row.asset.tag!r} is retired: choose another asset or end before.")
        if row.item_id in gone and (end is None or end > gone[row.item_id]):
            raise InvalidValue(f"Row {index}, item: {row.item} is retired: choose another item or end before.")


def _overlap(rows: Sequence[Installation]) -> str:
    """A sentence about the first of `rows` that overlaps what stands or an earlier row; asked after a refusal only."""
    taken = Q(asset__in={row.asset_id for row in rows}) | Q(item__in={row.item_id for row in rows})
    before = list(Installation.objects.filter(taken).select_related("asset", "item").order_by("id"))
    for index, row in enumerate(rows):
        for other in before:
            if _meet(row, other):
                return (
                    f"Row {index}: item {row.item} cannot be at {row.asset.tag!r} {_words(row)}, because item "
                    f"{other.item} is at {other.asset.tag!r} {_words(other)}: remove it first or correct the period."
                )
        before.append(row)
    return "A place or an item is taken in one of the periods: look at what is installed and try again."


def _meet(one: Installation, other: Installation) -> bool:
    if one.asset_id != other.asset_id and one.item_id != other.item_id:
        return False
    ends_after = one.period.upper is None or one.period.upper > other.period.lower
    return ends_after and (other.period.upper is None or other.period.upper > one.period.lower)


def _words(row: Installation) -> str:
    since = f"from {row.period.lower.isoformat()}"
    return since if row.period.upper is None else f"{since} to {row.period.upper.isoformat()}"


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What is installed at `asset` is taken out at `at`."""

    asset: Asset
    at: datetime
    reason: str


@dataclass(frozen=True, kw_only=True)
class Replacement:
    """What is installed at `asset` is taken out at `at`, and `item` is there from then on."""

    asset: Asset
    item: Item
    at: datetime
    reason: str


def remove_item(*, asset: Asset, at: datetime, reason: str, actor: Any = None) -> Installation:
    """End the installation that is open at `asset`; raises NotInstalled when none is open since before `at`."""
    return remove_items(removals=[Removal(asset=asset, at=at, reason=reason)], actor=actor)[0]


def remove_items(*, removals: Sequence[Removal], actor: Any = None) -> list[Installation]:
    """End the open installations of assets, in the order given; raises NotInstalled where none is open since before."""
    with all_or_nothing(actor):
        found = _open_installations(removals)
        require(actor, Action.RECORD, (row.asset_id for row in found))
        return end_installations(found, [(removal.at, removal.reason) for removal in removals])


def replace_item(*, asset: Asset, item: Item, at: datetime, reason: str, actor: Any = None) -> Installation:
    """Take out what is installed at `asset` and put `item` there from `at` on; both happen or neither."""
    return replace_items(replacements=[Replacement(asset=asset, item=item, at=at, reason=reason)], actor=actor)[0]


def replace_items(*, replacements: Sequence[Replacement], actor: Any = None) -> list[Installation]:
    """Take out what is installed and put other items there at the same instants; all of it happens or nothing."""
    with all_or_nothing(actor):
        removals = [Removal(asset=one.asset, at=one.at, reason=one.reason) for one in replacements]
        found = _open_installations(removals, coming=[one.item.pk for one in replacements])
        end_installations(found, [(removal.at, removal.reason) for removal in removals])
        wishes = [NewInstallation(asset=one.asset, item=one.item, start=one.at) for one in replacements]
        return install_items(installations=wishes, actor=actor)


def end_installations(rows: Sequence[Installation], ends: Sequence[tuple[datetime, str]]) -> list[Installation]:
    """End open installations, whose items the caller holds, each at its instant and for its reason."""
    for row, (at, reason) in zip(rows, ends, strict=True):
        row.period = period(row.period.lower, at)
        row.removal_reason = reason
    check_fields(rows)
    update_rows(rows, ["period", "removal_reason"])
    tell(signals.item_removed, Installation, (row.asset_id for row in rows))
    return list(rows)


def hold_installed(placed: QuerySet[Installation], coming: Sequence[int] = ()) -> list[Installation]:
    """Read open installations once their items are held, and those that are coming with them.

    Whoever ends an installation holds its item, so what is returned stays true until the transaction ends. The caller
    holds the places, or knows that nothing can be installed there.
    """
    hold_rows(Item, [*placed.values_list("item_id", flat=True), *coming])
    return list(placed.select_related("asset", "item").order_by("pk"))


def _open_installations(removals: Sequence[Removal], coming: Sequence[int] = ()) -> list[Installation]:
    """What has been installed at each asset since before the instant; nobody else changes it until we are done."""
    check_periods((removal.at, None) for removal in removals)
    keys = {removal.asset.pk for removal in removals}
    if len(keys) < len(removals):
        raise InvalidValue("Row 0, asset: one asset is named twice: remove what is there once.")
    hold_rows(Asset, keys)
    placed = Installation.objects.filter(asset__in=keys, period__upper_inf=True)
    there = {row.asset_id: row for row in hold_installed(placed, coming)}
    for removal in removals:
        found = there.get(removal.asset.pk)
        if found is None or found.period.lower >= removal.at:
            raise NotInstalled(
                f"Nothing is installed at {removal.asset.tag!r} that could be removed at {removal.at.isoformat()}: "
                "choose a later time or another asset."
            )
    return [there[removal.asset.pk] for removal in removals]
