"""What is watched on arrival: which sensors have something new, their states, and what was found."""

from __future__ import annotations

from collections.abc import Iterable

from twins.models import Finding, FindingKind


def unsound_sensors(sensors: Iterable[int]) -> set[int]:
    """Those of the sensors that stand still, or lie outside their valid range, right now."""
    kinds = [FindingKind.FLAT_LINE, FindingKind.LIMIT]
    rows = Finding.objects.filter(sensor__in=list(sensors), kind__in=kinds, ended_at__isnull=True)
    return set(rows.values_list("sensor", flat=True))
