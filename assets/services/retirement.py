"""What goes out of use for good: an asset with all that stands below it, or an item. Nothing is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from assets import signals
from assets.exceptions import InvalidValue
from assets.models import Asset, AssetStatus, Installation, Item, Relation
from assets.permissions import Action, require, require_rows
from assets.services._bulk import update_rows
from assets.services._checks import check_fields
from assets.services._locks import hold_rows, lock_trees
from assets.services._periods import check_periods, period
from assets.services._rules import all_or_nothing, tell
from assets.services.placement import end_installations, hold_installed


def retire_assets(*, assets: Sequence[Asset], at: datetime, reason: str = "retired", actor: Any = None) -> list[Asset]:
    """Retire assets with everything below them at `at`; returns all that was in use until then, by id.

    Items that are installed are removed and relations end at the same instant. Raises InvalidValue when one of them
    began only after it.
    """
    check_periods([(at, None)])
    with all_or_nothing(actor):
        keys = [asset.pk for asset in assets]
        # Alone with the trees, so that nothing new comes to stand below.
        lock_trees(keys, shared=False)
        require(actor, Action.CHANGE, keys)
        subtree = Asset.objects.subtree_of(keys).order_by("pk")
        used = list(subtree.exclude(status=AssetStatus.RETIRED).select_for_update(no_key=True))
        below = [asset.pk for asset in used]
        _remove(Installation.objects.filter(asset__in=below, period__upper_inf=True), at, reason)
        _end_relations(below, at)
        for asset in used:
            asset.status, asset.retired_at = AssetStatus.RETIRED, at
        update_rows(used, ["status", "retired_at"])
        tell(signals.asset_changed, Asset, below)
    return used


def retire_items(*, items: Sequence[Item], at: datetime, reason: str, actor: Any = None) -> list[Item]:
    """Retire items at `at`; where one is installed it is removed. Raises InvalidValue when it came in only after."""
    check_periods([(at, None)])
    with all_or_nothing(actor):
        keys = [item.pk for item in items]
        # Assets before items, as everywhere; where an item sits is read again once both are held.
        placed = Installation.objects.filter(item__in=keys, period__upper_inf=True)
        hold_rows(Asset, placed.values_list("asset_id", flat=True))
        hold_rows(Item, keys)
        require_rows(actor, items)
        _remove(placed.all(), at, reason)
        for item in items:
            item.retired_at, item.retirement_reason = at, reason
        check_fields(items)
        update_rows(items, ["retired_at", "retirement_reason"])
    return list(items)


def _remove(placed: QuerySet[Installation], at: datetime, reason: str) -> None:
    rows = hold_installed(placed)
    for row in rows:
        if row.period.lower >= at:
            raise InvalidValue(
                f"at: {at.isoformat()} is before {row.item} came to {row.asset.tag!r} at "
                f"{row.period.lower.isoformat()}: choose a later time."
            )
    if rows:
        end_installations(rows, [(at, reason)] * len(rows))


def _end_relations(assets: Sequence[int], at: datetime) -> None:
    touching = Q(source__in=assets) | Q(target__in=assets)
    rows = list(Relation.objects.filter(touching, period__upper_inf=True).order_by("pk").select_for_update())
    for row in rows:
        if row.period.lower >= at:
            raise InvalidValue(f"at: {at.isoformat()} is before a relation began: choose a later time.")
        row.period = period(row.period.lower, at)
    update_rows(rows, ["period"])
