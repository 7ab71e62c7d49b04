"""Half-open periods from the instants a caller gives: with sense, or refused by row and side."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from assets.exceptions import InvalidValue
from assets.services._checks import objection_to_instant


def period(start: datetime, end: datetime | None) -> DateTimeTZRange:
    """From `start` until before `end`; open without one."""
    return DateTimeTZRange(start, end, "[)")


def check_periods(periods: Iterable[tuple[datetime, datetime | None]]) -> None:
    """Raises InvalidValue for an instant without time zone or sense, or an end that does not come after its start."""
    for index, (start, end) in enumerate(periods):
        for name, instant in (("start", start), ("end", end)):
            if instant is not None and (reason := objection_to_instant(instant)):
                raise InvalidValue(f"Row {index}, {name}: {reason}")
        if end is not None and end <= start:
            raise InvalidValue(f"Row {index}, end: {end.isoformat()} is not after {start.isoformat()}: a period lasts.")
