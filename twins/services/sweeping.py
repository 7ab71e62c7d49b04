"""The sweep: what killed writers left, and what no reader can still hold, is removed a grace period later."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from twins import lake
from twins.conf import settings

GRACE = timedelta(hours=1)
"""How long replaced files stay for readers that hold them, and unknown ones for writers that are slow."""
BACKUP = 3
"""The lock that a backup shares and a sweep cannot have meanwhile."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep did: files removed, and batches that still wait for compaction."""

    removed: int
    hot_batches: int


def sweep_lake(*, now: datetime, grace: timedelta = GRACE) -> Sweep:
    """Remove what no reader or writer can still need: retired files, dead intents and unknown files older than `grace`.

    A live file, or the landing object of a hot batch, is never touched. Safe at any time and twice at once.
    """
    before = now - grace
    removed = 0 if _is_backed_up() else _sweep_retired(before) + _sweep_intents(before) + _sweep_unknown(before)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM twins_batch WHERE compacted_at IS NULL")
        return Sweep(removed=removed, hot_batches=cursor.fetchone()[0])


def _is_backed_up() -> bool:
    """Whether a backup is copying files, some of which may have been replaced since it began."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT NOT pg_try_advisory_xact_lock(hashtext('twins.compaction'), %s)", [BACKUP])
        return bool(cursor.fetchone()[0])


def _sweep_retired(before: datetime) -> int:
    # Retired is final, so the file may go before its row: killed between, the row leads the next sweep here again.
    paths = _paths("SELECT path FROM twins_lakefile WHERE state = 'retired' AND retired_at < %s", before)
    removed = lake.remove_files(settings().LAKE, paths)
    _paths("DELETE FROM twins_lakefile WHERE state = 'retired' AND path = ANY(%s) RETURNING path", paths)
    return removed


def _sweep_intents(before: datetime) -> int:
    # An intent could still come alive, so its row goes first: a writer that is only slow then finds itself overtaken.
    paths = _paths("DELETE FROM twins_lakefile WHERE state = 'intent' AND created_at < %s RETURNING path", before)
    return lake.remove_files(settings().LAKE, paths)


def _sweep_unknown(before: datetime) -> int:
    """Files without a row. Intents are committed before their files are written, so whatever has no row is dead."""
    found = {lake.published_path(path) for path in lake.old_files(settings().LAKE, before.timestamp())}
    known = _paths(
        "SELECT path FROM twins_lakefile WHERE path = ANY(%s) "
        "UNION ALL SELECT landing FROM twins_batch WHERE compacted_at IS NULL AND landing IS NOT NULL",
        sorted(found),
    )
    return lake.remove_files(settings().LAKE, found.difference(known, lake.files_of_manifest(settings().LAKE)))


def _paths(statement: str, argument: datetime | list[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [argument])
        return [row[0] for row in cursor.fetchall()]
