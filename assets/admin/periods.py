"""A period of an installation as a planner reads it: two instants, an open end said in words."""

from __future__ import annotations

from datetime import datetime

from django.contrib import admin
from django.utils import formats, timezone

from assets.models import Installation


class PeriodColumns:
    """Columns for pages of installations: `installed` and `removed`."""

    @admin.display(description="installed", ordering="period__startswith")
    def installed(self, installation: Installation) -> str:
        return installed(installation)

    @admin.display(description="removed", ordering="period__endswith")
    def removed(self, installation: Installation) -> str:
        return removed(installation)


def installed(installation: Installation) -> str:
    """The instant the item was installed; empty for a row yet to be filled in."""
    return instant_in_words(installation.period.lower) if installation.period else ""


def removed(installation: Installation) -> str:
    """The instant the item was removed, or that it still is there; empty for a row yet to be filled in."""
    if not installation.period:
        return ""
    return "still there" if installation.period.upper is None else instant_in_words(installation.period.upper)


def instant_in_words(instant: datetime) -> str:
    return formats.localize(timezone.localtime(instant))
