"""Batches that came after a look at the lake: what was seen by then, and what reaches back behind it."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from django.db import connection


class Seen(NamedTuple):
    """The batches that were there at one moment. Ids alone do not say, because they commit out of order."""

    settled: int
    """Up to this id all that will ever be: nobody takes a minute to commit a batch."""
    recent: frozenset[int]
    """Those above it that were there."""

    def has(self, batch: int) -> bool:
        return batch <= self.settled or batch in self.recent


class Late(NamedTuple):
    """A batch, which sensors it may be about, and the earliest time it tells of."""

    batch: int
    sensor_min: int
    sensor_max: int
    time_min: datetime


def batches_seen() -> Seen:
    """The batches that are there now; taken before readings are scanned."""
    with connection.cursor() as cursor:
        cursor.execute(_SEEN)
        settled, recent = cursor.fetchone()
    return Seen(settled, frozenset(recent))


def late_batches(*, after: int, until: datetime) -> list[Late]:
    """Batches above the id `after` with readings of `until` or earlier."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, sensor_min, sensor_max, time_min FROM twins_batch WHERE id > %s AND time_min <= %s",
            [after, until],
        )
        return [Late(*row) for row in cursor.fetchall()]


_SEEN = """
WITH settled AS (SELECT coalesce(max(id), 0) AS id FROM twins_batch WHERE accepted_at < now() - interval '1 minute')
SELECT settled.id, ARRAY(SELECT batch.id FROM twins_batch batch WHERE batch.id > settled.id) FROM settled
"""
