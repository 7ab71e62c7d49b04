"""Sensors by the key the outside knows them by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db import connection
from django.db.models import Q

from assets.models import Asset, Sensor


def sensor_keys(uuids: Iterable[str]) -> dict[str, int]:
    """The lake keys of these sensors (UUIDs as canonical lower-case text), in one query; unknown ones are absent."""
    # One array instead of a parameter a sensor, which would cost more than all else.
    with connection.cursor() as cursor:
        cursor.execute("SELECT uuid::text, id FROM twins_assets_sensor WHERE uuid = ANY(%s::uuid[])", [list(uuids)])
        return dict(cursor.fetchall())


def sensor_limits(keys: Iterable[int]) -> dict[int, tuple[float, float]]:
    """Lowest and highest valid value by lake key, infinite where there is none, in one query; unknown are absent."""
    # The register's key has 32 bits; a wider number cannot be one and would be an error of the database.
    possible = [key for key in keys if 0 < key < 2**31]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, coalesce(valid_min, '-infinity'), coalesce(valid_max, 'infinity') FROM twins_assets_sensor "
            "WHERE id = ANY(%s)",
            [possible],
        )
        return {key: (low, high) for key, low, high in cursor.fetchall()}


def sensors_by_place(
    places: Sequence[tuple[str, str]], *, below: int | None = None
) -> dict[tuple[str, str], tuple[int | None, int | None]]:
    """Asset and lake key of the sensor by (tag of the asset, name), None for each that is not there, in one query.

    Only assets at or below the asset `below` count; a tag that is there more than once, in different trees, names none.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT wanted.tag, wanted.name, asset.id, sensor.id "
            "FROM unnest(%s::text[], %s::text[]) AS wanted(tag, name) "
            "LEFT JOIN (SELECT tag, min(id) AS id FROM twins_assets_asset WHERE tag = ANY(%s) "
            "AND (%s::bigint IS NULL OR path @> ARRAY[%s::bigint]) GROUP BY tag HAVING count(*) = 1) asset USING (tag) "
            "LEFT JOIN twins_assets_sensor sensor ON sensor.asset_id = asset.id AND sensor.name = wanted.name",
            [*map(list, zip(*places, strict=True)), [tag for tag, _ in places], below, below],
        )
        return {(tag, name): (asset, key) for tag, name, asset, key in cursor.fetchall()}


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
