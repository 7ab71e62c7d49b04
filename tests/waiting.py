"""Waiting in tests: for what must come, never for a time to pass, and long enough for a machine that does much else."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.db import connection

PATIENCE = 300.0
"""Seconds in which everything comes that comes at all; only what never comes takes them."""

# Of this database alone: elsewhere others may wait, and the server's own processes do now and then.
_WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE NOT granted AND datname = current_database() AND backend_type = 'client backend'
"""


def wait_until(
    condition: Callable[[], object],
    *,
    seconds: float = PATIENCE,
    step: float = 0.02,
    said: Callable[[], object] = str,
) -> None:
    """Ask until the answer is true; `said` tells what there was instead when the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, said()
        time.sleep(step)


def wait_for_lock() -> None:
    """Until another connection waits for a lock."""

    def waiting() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_WAITING)
            return bool(cursor.fetchone()[0])

    wait_until(waiting)
