"""The swap: files come into the lake in place of what they replace, and no reader sees anything between.

Every change of the lake has the same order: the names of the files to come are committed as intents; the files are
written, durably; then one transaction makes them live and lets go of what they replace. Killed anywhere before it,
nothing has changed for a reader; after it, everything has. What is left behind, the sweep removes. This holds without
any rename, so it holds on an object store as well: the index alone decides what is live.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

from django.db import DatabaseError, connection, transaction

from twins import events, lake
from twins.conf import settings
from twins.lake import FileFacts
from twins.models import LakeFile

Step = Callable[[str], None]

HOT_TAIL, DAYS = 1, 2
"""What may run once at a time: moving the hot tail into files, and replacing files by others."""


class Overtaken(Exception):
    """Another run did the work, or a sweep took these files for dead."""


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written: what is known of it, the readings it is a roll-up of, and the roll-up it could have."""

    path: str
    facts: FileFacts
    of: str | None = None
    minutes: int | None = None


def no_step(name: str) -> None:
    """Called where a test may kill the process."""


def swap(
    *,
    intents: Sequence[LakeFile],
    write: Callable[[], Sequence[Written]],
    replace: Callable[[], list[str]],
    lock: int,
    step: Step = no_step,
) -> list[str] | None:
    """Bring files into the lake in place of what `replace` lets go; its answer, or None when another run was faster.

    `intents` are files that may come (path, dataset, level, day); `write` writes some or all of them; `replace` runs in
    the transaction that makes them live, before it does, and raises Overtaken when its part is gone.
    """
    with holding(lock) as alone:
        if not alone:
            return None
        LakeFile.objects.bulk_create(intents)
    step("planned")
    try:
        with transaction.atomic(durable=True):
            if not _lock(lock):
                raise Overtaken
            written = write()
            step("synced")
            lake.publish(settings().LAKE, [file.path for file in written], step=step)
            step("published")
            freed = replace()
            _make_live(written)
            _forget({file.path for file in intents} - {file.path for file in written})
            events.publish("readings_compacted", _told(written))
            step("indexed")
    except Overtaken:
        _abandon(intents)
        return None
    except Exception:
        # A full disk needs its space back at once; when the database is what failed, the sweep does it later.
        with contextlib.suppress(DatabaseError):
            _abandon(intents)
        raise
    step("committed")
    return freed


def retire(paths: Sequence[str]) -> list[str]:
    """Let go of live files and of the roll-ups of them; raises Overtaken when one is not live any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE twins_lakefile SET state = 'retired', retired_at = now() WHERE state = 'live' AND (path = ANY(%s) "
            "OR of_id IN (SELECT id FROM twins_lakefile WHERE path = ANY(%s))) RETURNING path",
            [list(paths), list(paths)],
        )
        if not {row[0] for row in cursor.fetchall()} >= set(paths):
            raise Overtaken
    return []


def _told(written: Sequence[Written]) -> dict[str, Any]:
    raw = [file.facts.rows for file in written if file.path.startswith(lake.RAW)]
    return {"rows": sum(raw), "files": len(raw)}


def _abandon(intents: Sequence[LakeFile]) -> None:
    """Forget files that are still intents. What a lost connection made live in spite of its error is no intent."""
    lake.remove_files(settings().LAKE, _forget({file.path for file in intents}))


def _forget(paths: set[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM twins_lakefile WHERE path = ANY(%s) AND state = 'intent' RETURNING path", [sorted(paths)]
        )
        return [row[0] for row in cursor.fetchall()]


def await_lock(key: int) -> None:
    """Wait for what holds a lock, and hold it until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('twins.compaction'), %s)", [key])


@contextlib.contextmanager
def holding(key: int) -> Iterator[bool]:
    """Whether nobody else holds a lock; then it is held until the block ends, in a transaction of its own."""
    with transaction.atomic(durable=True):
        yield _lock(key)


def _lock(key: int) -> bool:
    # The transaction's lock, not the session's: it also works behind a pooler, and a killed worker holds nothing.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('twins.compaction'), %s)", [key])
        return bool(cursor.fetchone()[0])


def _make_live(written: Sequence[Written]) -> None:
    columns = [[getattr(file, name) for file in written] for name in ("path", "of", "minutes")]
    facts = [[getattr(file.facts, field.name) for file in written] for field in fields(FileFacts)]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE twins_lakefile file SET state = 'live', minutes = new.minutes, "
            "of_id = (SELECT id FROM twins_lakefile WHERE path = new.of), "
            "rows = new.rows, bytes = new.bytes, sha256 = new.sha256, "
            "sensor_min = new.sensor_min, sensor_max = new.sensor_max, "
            "time_min = new.time_min, time_max = new.time_max, "
            "batch_min = new.batch_min, batch_max = new.batch_max FROM unnest(%s::text[], %s::text[], %s::bigint[], "
            "%s::bigint[], %s::bigint[], "
            "%s::text[], %s::int[], %s::int[], %s::timestamptz[], %s::timestamptz[], %s::bigint[], %s::bigint[]) "
            "AS new(path, of, minutes, "
            "rows, bytes, sha256, sensor_min, sensor_max, time_min, time_max, batch_min, batch_max) "
            "WHERE file.path = new.path AND file.state = 'intent'",
            [*columns, *facts],
        )
        if cursor.rowcount != len(written):
            raise Overtaken
