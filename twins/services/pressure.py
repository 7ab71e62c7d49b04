"""Back-pressure: acceptance stops while compaction is too far behind, so that what waits has a bound."""

from __future__ import annotations

import time
from typing import Any

from django.db import connection

from twins.conf import settings
from twins.exceptions import TooBusy

ASKED_EVERY = 1.0
"""Seconds between two looks at what waits; every request in between goes by the last one."""
RETRY_AFTER = 10
"""Seconds a sender is asked to wait: about two rounds of compaction."""


class _Gauge:
    """What waited when somebody last looked."""

    def __init__(self) -> None:
        self.until = 0.0
        self.waiting, self.delay = 0, 0.0

    def look(self) -> None:
        now = time.monotonic()
        if now < self.until:
            return
        before, self.until = self.until, now + ASKED_EVERY  # first, so that one of many threads asks
        try:
            waiting, delay = _waiting()
        except Exception:  # nobody has looked
            self.until = before
            raise
        self.waiting, self.delay = int(waiting), float(delay)


def _waiting() -> tuple[Any, Any]:
    with connection.cursor() as cursor:
        # By the clock of the database, which also stamped the batches.
        cursor.execute(
            "SELECT coalesce(sum(bytes), 0), coalesce(extract(epoch FROM now() - min(accepted_at)), 0) "
            "FROM twins_batch WHERE compacted_at IS NULL"
        )
        waiting, delay = cursor.fetchone()
    return waiting, delay


_gauge = _Gauge()


def check_pressure() -> None:
    """Raises TooBusy while more bytes than INGEST_MAX_WAITING, or any for longer than INGEST_MAX_DELAY, wait."""
    _gauge.look()
    if _gauge.waiting > settings().INGEST_MAX_WAITING:
        raise TooBusy(f"{_gauge.waiting} bytes wait for compaction: send again later, and see that a worker runs.")
    if _gauge.delay > settings().INGEST_MAX_DELAY:
        raise TooBusy(
            f"Readings have waited {_gauge.delay:.0f} s for compaction: send again later, and see that a worker runs."
        )


def look_again() -> None:
    """Let the next request ask the database."""
    _gauge.until = 0.0
