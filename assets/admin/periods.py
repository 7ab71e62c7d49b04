"""A period of an installation as a planner reads it: two instants, an open end said in words."""

from __future__ import annotations

from datetime import datetime

from django.contrib import admin
from django.utils import formats, timezone

from assets.models import Installation


@admin.display(description="installed", ordering="period__startswith")
def installed(installation: Installation) -> str:
    return _words(installation.period.lower) if installation.period else ""


@admin.display(description="removed", ordering="period__endswith")
def removed(installation: Installation) -> str:
    if not installation.period:
        return ""
    return "still there" if installation.period.upper is None else _words(installation.period.upper)


def _words(instant: datetime) -> str:
    return formats.localize(timezone.localtime(instant))
