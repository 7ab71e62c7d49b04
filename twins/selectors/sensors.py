"""Sensors by the key the outside knows them by."""

from __future__ import annotations

from collections.abc import Iterable

from assets.models import Sensor


def sensor_keys(uuids: Iterable[str]) -> dict[str, int]:
    """The lake keys of these sensors (UUIDs as canonical lower-case text), in one query; unknown ones are absent."""
    return {str(uuid): key for uuid, key in Sensor.objects.filter(uuid__in=list(uuids)).values_list("uuid", "id")}
