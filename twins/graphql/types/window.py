"""A window of time as a client says it: from and to, or this long until now; and how much of it is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import strawberry
from graphql import GraphQLError

from twins.lake import EPOCH

MAX_POINTS = 1000

From = Annotated[datetime | None, strawberry.argument(name="from", description="Start of the window, included.")]
To = Annotated[datetime | None, strawberry.argument(description="End of the window, not included; default: open.")]
Last = Annotated[timedelta | None, strawberry.argument(description="Instead of from and to: this long until now.")]


def window_of(
    field: str, start: datetime | None, end: datetime | None, last: timedelta | None, now: datetime
) -> tuple[datetime, datetime | None]:
    """Start and end, None where it is open; raises GraphQLError for what is no window."""
    if (start is None) == (last is None) or (last is not None and end is not None):
        raise GraphQLError(f"{field} needs a window: either from (and to), or last.")
    if last is not None:
        # Before the first reading that can be accepted there is nothing to find, and dates come to their end.
        return max(EPOCH, now - min(last, now - EPOCH)), None
    assert start is not None
    if end is not None and end < start:
        raise GraphQLError(f"{field} ends before it starts: exchange from and to.")
    return start, end


def check_points(points: int, least: int) -> None:
    """Raises GraphQLError for a number of points that is not told."""
    if not least <= points <= MAX_POINTS:
        raise GraphQLError(f"points is {points}: ask for {least} to {MAX_POINTS}.")
