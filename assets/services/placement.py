"""Which item sits where and when. The database refuses overlaps; here they get names and periods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Q

from assets import signals
from assets.exceptions import AlreadyOccupied, AssetsError, InvalidValue, NotInstalled
from assets.models import Asset, Installation, Item
from assets.services._locks import hold_rows
from assets.services._rules import all_or_nothing, broken_constraint, check_fields, tell

_OVERLAPS = {"installation_one_item_at_a_place", "installation_one_place_of_an_item"}


@dataclass(frozen=True, kw_only=True)
class NewInstallation:
    """An item at an asset from `start` until before `end` (None: it stays), both aware."""

    asset: Asset
    item: Item
    start: datetime
    end: datetime | None = None
    removal_reason: str = ""


def install_items(*, installations: Sequence[NewInstallation]) -> list[Installation]:
    """Install items and return the installations in the same order.

    Raises AlreadyOccupied, naming place, item and period, when a place or an item is taken in any part of a period, by
    what stands in the register or by another row; InvalidValue for a period without time zone or that does not end
    after its start.
    """
    rows = [_unsaved(index, wish) for index, wish in enumerate(installations)]
    try:
        with all_or_nothing():
            check_fields(rows)
            # Else two who want the same thing meet at the exclusion constraint, which ends in a deadlock.
            hold_rows(Asset, (row.asset_id for row in rows))
            hold_rows(Item, (row.item_id for row in rows))
            created = Installation.objects.bulk_create(rows)
            tell(signals.item_installed, Installation, (row.asset_id for row in created))
    except AssetsError as error:
        if not (isinstance(error.__cause__, IntegrityError) and broken_constraint(error.__cause__) in _OVERLAPS):
            raise
        raise AlreadyOccupied(_overlap(rows)) from error
    return created


def _unsaved(index: int, wish: NewInstallation) -> Installation:
    for name, instant in (("start", wish.start), ("end", wish.end)):
        if instant is not None and instant.tzinfo is None:
            raise InvalidValue(f"Row {index}, {name}: {instant.isoformat()} has no time zone: give an aware time.")
    if wish.end is not None and wish.end <= wish.start:
        raise InvalidValue(
            f"Row {index}, end: {wish.end.isoformat()} is not after {wish.start.isoformat()}: an installation lasts."
        )
    return Installation(
        asset=wish.asset,
        item=wish.item,
        period=DateTimeTZRange(wish.start, wish.end, "[)"),
        removal_reason=wish.removal_reason,
    )


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


def remove_item(*, asset: Asset, at: datetime, reason: str) -> Installation:
    """End the installation that is open at `asset`; raises NotInstalled when none is open since before `at`."""
    with all_or_nothing():
        found = _open_installation(asset, at)
        hold_rows(Item, [found.item_id])
        found.period = DateTimeTZRange(found.period.lower, at, "[)")
        found.removal_reason = reason
        found.save(update_fields=["period", "removal_reason"])
        tell(signals.item_removed, Installation, [asset.pk])
    return found


def replace_item(*, asset: Asset, item: Item, at: datetime, reason: str) -> Installation:
    """Take out what is installed at `asset` and put `item` there from `at` on; both happen or neither."""
    with all_or_nothing():
        hold_rows(Item, [_open_installation(asset, at).item_id, item.pk])
        remove_item(asset=asset, at=at, reason=reason)
        return install_items(installations=[NewInstallation(asset=asset, item=item, start=at)])[0]


def _open_installation(asset: Asset, at: datetime) -> Installation:
    """What has been installed at `asset` since before `at`; nobody else changes it until the transaction ends."""
    if at.tzinfo is None:
        raise InvalidValue(f"at: {at.isoformat()} has no time zone: give an aware time.")
    hold_rows(Asset, [asset.pk])
    found = Installation.objects.filter(asset=asset, period__upper_inf=True, period__startswith__lt=at).first()
    if found is None:
        raise NotInstalled(
            f"Nothing is installed at {asset.tag!r} that could be removed at {at.isoformat()}: "
            "choose a later time or another asset."
        )
    return found
