"""What hangs on assets: items that are or were installed, sensors and events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from django.db.models import F, Model, QuerySet, Window
from django.db.models.functions import RowNumber

from assets.history import as_of
from assets.models import Installation, MaintenanceEvent, Sensor

_Row = TypeVar("_Row", bound=Model)


def current_installations(
    asset_ids: Iterable[int], at: datetime | None = None, *, known: datetime | None = None
) -> dict[int, Installation]:
    """What is installed at each asset, now or at an instant, with item and design; absent where nothing is.

    `at` is when it was so, `known` when the register said so: what was corrected since is as it was believed then.
    """
    register = Installation.objects.all() if known is None else as_of(Installation, known)
    rows = register.filter(asset__in=set(asset_ids)).select_related("item__design__type")
    rows = rows.filter(period__upper_inf=True) if at is None else rows.filter(period__contains=at)
    return {row.asset_id: row for row in rows}


def sensors_of(asset_ids: Iterable[int]) -> dict[int, list[Sensor]]:
    """The sensors of each asset itself, by name."""
    wanted = set(asset_ids)
    return _grouped(Sensor.objects.filter(asset__in=wanted).order_by("asset_id", "name", "id"), wanted)


def latest_events(asset_ids: Iterable[int], *, limit: int = 20) -> dict[int, list[MaintenanceEvent]]:
    """The newest `limit` events of each asset itself, newest first, with the item they happened to."""
    wanted = set(asset_ids)
    rank = Window(RowNumber(), partition_by=F("asset_id"), order_by=["-started_at", "-id"])
    events = MaintenanceEvent.objects.filter(asset__in=wanted).alias(rank=rank).filter(rank__lte=limit)
    return _grouped(events.select_related("item").order_by("asset_id", "-started_at", "-id"), wanted)


def installation_history(asset_ids: Iterable[int], *, limit: int = 20) -> dict[int, list[Installation]]:
    """The newest `limit` installations of each asset, newest first, with item and design."""
    wanted = set(asset_ids)
    rank = Window(RowNumber(), partition_by=F("asset_id"), order_by=[F("period__startswith").desc(), "-id"])
    rows = Installation.objects.filter(asset__in=wanted).alias(rank=rank).filter(rank__lte=limit)
    return _grouped(rows.select_related("item__design").order_by("asset_id", "-period__startswith", "-id"), wanted)


def _grouped(rows: QuerySet[_Row], asset_ids: Iterable[int]) -> dict[int, list[_Row]]:
    found: dict[int, list[_Row]] = {asset_id: [] for asset_id in asset_ids}
    for row in rows:
        found[row.asset_id].append(row)  # type: ignore[attr-defined]
    return found
