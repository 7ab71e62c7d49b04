"""Sensors by the key the outside knows them by."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Q

from assets.models import Asset, Sensor


def sensor_keys(uuids: Iterable[str]) -> dict[str, int]:
    """The lake keys of these sensors (UUIDs as canonical lower-case text), in one query; unknown ones are absent."""
    return {str(uuid): key for uuid, key in Sensor.objects.filter(uuid__in=list(uuids)).values_list("uuid", "id")}


def watched_sensors(
    *, uuids: Iterable[UUID] | None, assets: Iterable[int] | None, visible: Q, limit: int
) -> list[Sensor]:
    """At most `limit` visible sensors: those named and those of whole subtrees; all of them when neither is given."""
    rows = Sensor.objects.filter(asset__in=Asset.objects.filter(visible)).order_by("id")
    if uuids is not None or assets is not None:
        rows = rows.filter(Q(uuid__in=list(uuids or ())) | Q(asset__path__overlap=list(assets or ())))
    return list(rows[:limit])


def watched_assets(*, assets: Iterable[int] | None, visible: Q, limit: int) -> list[int]:
    """At most `limit` ids of visible assets: those of whole subtrees; of all when none is given."""
    rows = Asset.objects.filter(visible).order_by("id")
    if assets is not None:
        rows = rows.filter(path__overlap=list(assets))
    return list(rows.values_list("id", flat=True)[:limit])
