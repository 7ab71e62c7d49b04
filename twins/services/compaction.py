"""Compaction: accepted bodies become sorted files, small files become larger ones, and what neither is any more is
removed.

Every change of the lake has the same order: the names of the files to come are committed as intents; the files are
written beside, synced, renamed and their directories synced; then one transaction makes them live and lets go of what
they replace. Killed anywhere before it, nothing has changed for a reader; after it, everything has. What is left
behind, the sweep removes.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import pyarrow as pa
from django.db import DatabaseError, connection, transaction

from twins import events, lake
from twins.conf import settings
from twins.exceptions import LakeError
from twins.lake import FileFacts
from twins.models import LakeFile
from twins.services.sweeping import Sweep, sweep_lake

__all__ = ["Sweep", "compact_crowded_days", "compact_day", "compact_due", "compact_hot_tail", "sweep_lake"]

Step = Callable[[str], None]

ROUND_ROWS = 3_000_000
"""Readings taken from the hot tail at a time: bounds memory to some 450 MB, and is enough that a history of years
does not write each of its days many times."""
ROUND_BATCHES = 10_000
DUE_AFTER = 4.0
"""Seconds a batch stays in the hot tail, so that a steady trickle does not make a file of every drop."""
DUE_ROWS = 200_000
"""Readings that are worth files at once."""
FILE_ROWS = 4_000_000
"""A bigger day is split between sensors."""
FAN_IN = 16
"""Files of one day and level that are merged into one of the next level."""

_log = logging.getLogger(__name__)
_HOT_TAIL, _DAYS = 1, 2
_WRITERS = 4


def _no_step(name: str) -> None:
    """Called where a test may kill the process."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Merged readings that will become one file."""

    path: str
    day: date
    level: int
    readings: pa.Table


def compact_hot_tail(*, limit: int = ROUND_ROWS, step: Step = _no_step) -> int:
    """Move the oldest hot batches, about `limit` readings, into files; how many batches, 0 when there is nothing to do.

    Runs once at a time; a second one returns 0. A batch whose body cannot be read stays, is logged and stops no other.
    """
    batches, readings = _hot_batches(limit)
    if not batches:
        return 0
    pieces = _pieces(readings, level=0)
    newest = lake.newest(lake.merge([lake.newest(piece.readings) for piece in pieces]))
    del readings
    landings = _swap(
        pieces, lock=_HOT_TAIL, step=step, replace=lambda: [*_close_batches(batches), *_advance_latest(newest)]
    )
    if landings is None:
        return 0
    lake.remove_files(settings().LAKE, landings)
    step("unlinked")
    return len(batches)


def compact_due(*, rounds: int = 20) -> int:
    """Compact the hot tail once it has waited or grown enough to be worth its files; how many batches."""
    done = 0
    for _ in range(rounds):
        if not _is_due() or not (batches := compact_hot_tail()):
            break
        done += batches
    return done


def _is_due() -> bool:
    # By the clock of the database, which also stamped the batches.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(accepted_at) < now() - make_interval(secs => %s) OR sum(rows) >= %s "
            "FROM twins_batch WHERE compacted_at IS NULL",
            [DUE_AFTER, DUE_ROWS],
        )
        return bool(cursor.fetchone()[0])


def compact_day(*, day: date, fan_in: int = FAN_IN, step: Step = _no_step) -> int:
    """Merge the files of the lowest crowded level of a UTC day into the next level; how many, 0 for nothing to do."""
    level, old = _crowded_level(day, fan_in)
    if not old:
        return 0
    root = settings().LAKE
    try:
        readings = lake.merge([lake.read_files(root, old)])
    except FileNotFoundError:
        # Another run has merged and a sweep removed them; a file that is truly lost is said by whoever scans it.
        _log.warning("a file of %s went away before it could be merged", day)
        return 0
    done = _swap(_pieces(readings, level=level + 1), lock=_DAYS, step=step, replace=lambda: _retire(old))
    return 0 if done is None else len(old)


def compact_crowded_days(*, limit: int = 50, fan_in: int = FAN_IN) -> int:
    """Run `compact_day` for up to `limit` days that have a crowded level, oldest first; how many files were merged."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT day FROM (SELECT day FROM twins_lakefile WHERE dataset = 'raw' AND state = 'live' "
            "AND rows <= %s GROUP BY day, level HAVING count(*) >= %s) crowded ORDER BY day LIMIT %s",
            [FILE_ROWS // 2, fan_in, limit],
        )
        days = [row[0] for row in cursor.fetchall()]
    return sum(compact_day(day=day, fan_in=fan_in) for day in days)


def _hot_batches(limit: int) -> tuple[list[int], pa.Table]:
    """Ids and stamped readings of the oldest hot batches: those that begin before `limit` readings are reached."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, landing, body FROM twins_batch JOIN (SELECT id, sum(rows) OVER (ORDER BY id) - rows AS before "
            "FROM (SELECT id, rows FROM twins_batch WHERE compacted_at IS NULL ORDER BY id LIMIT %s) hot) sized "
            "USING (id) WHERE before < %s AND compacted_at IS NULL ORDER BY id",
            [ROUND_BATCHES, limit],
        )
        rows = cursor.fetchall()
    read = [(batch, table) for batch, landing, body in rows if (table := _read(batch, landing, body)) is not None]
    return [batch for batch, _ in read], lake.merge([table for _, table in read])


def _read(batch: int, landing: str | None, body: Any) -> pa.Table | None:
    try:
        readings = lake.read_landing(settings().LAKE, landing) if landing else lake.decode_body(body)
    except (LakeError, FileNotFoundError) as error:
        _log.error("batch %s cannot be compacted: %s", batch, error)
        return None
    return lake.stamp_batch(readings, batch)


def _pieces(readings: pa.Table, *, level: int) -> list[_Piece]:
    return [
        _Piece(lake.raw_path(day, uuid.uuid4().hex), day, level, part)
        for day, whole in lake.split_by_day(readings)
        for part in lake.split_by_rows(whole, FILE_ROWS)
    ]


def _swap(pieces: Sequence[_Piece], *, lock: int, step: Step, replace: Callable[[], list[str]]) -> list[str] | None:
    """Bring pieces into the lake in place of what `replace` lets go; its answer, or None when another run was faster.

    `replace` runs in the transaction that makes the files live and raises _Overtaken when its part is gone.
    """
    with transaction.atomic(durable=True):
        if not _lock(lock):
            return None
        LakeFile.objects.bulk_create(LakeFile(path=piece.path, day=piece.day, level=piece.level) for piece in pieces)
    step("planned")
    try:
        with transaction.atomic(durable=True):
            if not _lock(lock):
                raise _Overtaken
            facts = _write(pieces, step)
            _make_live(pieces, facts)
            freed = replace()
            events.publish("readings_compacted", {"rows": sum(fact.rows for fact in facts), "files": len(facts)})
            step("indexed")
    except _Overtaken:
        _abandon(pieces)
        return None
    except Exception:
        # A full disk needs its space back at once; when the database is what failed, the sweep does it later.
        with contextlib.suppress(DatabaseError):
            _abandon(pieces)
        raise
    step("committed")
    return freed


def _abandon(pieces: Sequence[_Piece]) -> None:
    """Forget pieces that are still intents. What a lost connection made live in spite of its error is no intent."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM twins_lakefile WHERE path = ANY(%s) AND state = 'intent' RETURNING path",
            [[piece.path for piece in pieces]],
        )
        paths = [row[0] for row in cursor.fetchall()]
    lake.remove_files(settings().LAKE, paths)


class _Overtaken(Exception):
    """Another run did the work, or a sweep took these files for dead."""


def _lock(key: int) -> bool:
    # The transaction's lock, not the session's: it also works behind a pooler, and a killed worker holds nothing.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtext('twins.compaction'), %s)", [key])
        return bool(cursor.fetchone()[0])


def _write(pieces: Sequence[_Piece], step: Step) -> list[FileFacts]:
    root = settings().LAKE

    def write(piece: _Piece) -> FileFacts:
        facts = lake.write_file(root, piece.path, piece.readings, level=piece.level)
        step("written")
        return facts

    # Syncs of several files at once share the file system's journal commits.
    with ThreadPoolExecutor(_WRITERS) as pool:
        facts = list(pool.map(write, pieces))
    step("synced")
    lake.publish(root, [piece.path for piece in pieces], step=step)
    step("published")
    return facts


def _make_live(pieces: Sequence[_Piece], facts: Sequence[FileFacts]) -> None:
    paths = [piece.path for piece in pieces]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE twins_lakefile file SET state = 'live', rows = new.rows, bytes = new.bytes, sha256 = new.sha256, "
            "sensor_min = new.sensor_min, sensor_max = new.sensor_max, "
            "time_min = new.time_min, time_max = new.time_max, "
            "batch_min = new.batch_min, batch_max = new.batch_max FROM unnest(%s::text[], %s::bigint[], %s::bigint[], "
            "%s::text[], %s::int[], %s::int[], %s::timestamptz[], %s::timestamptz[], %s::bigint[], %s::bigint[]) "
            "AS new(path, rows, bytes, sha256, sensor_min, sensor_max, time_min, time_max, batch_min, batch_max) "
            "WHERE file.path = new.path AND file.state = 'intent'",
            [paths, *([getattr(fact, field.name) for fact in facts] for field in fields(FileFacts))],
        )
        if cursor.rowcount != len(paths):
            raise _Overtaken


def _close_batches(batches: list[int]) -> list[str]:
    """Drop the bodies that are now in files; the landing objects that can go once this is committed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH hot AS (SELECT id, landing FROM twins_batch WHERE id = ANY(%s) AND compacted_at IS NULL ORDER BY id "
            "FOR UPDATE) UPDATE twins_batch batch SET compacted_at = now(), body = NULL, landing = NULL FROM hot "
            "WHERE batch.id = hot.id RETURNING hot.landing",
            [batches],
        )
        landings = [row[0] for row in cursor.fetchall()]
    if len(landings) != len(batches):
        raise _Overtaken
    return [landing for landing in landings if landing]


def _advance_latest(newest: pa.Table) -> list[str]:
    """Let newer readings replace the latest; a sensor that has left the register meanwhile is passed over."""
    columns = [newest[name].to_pylist() for name in newest.schema.names]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO twins_latestreading AS old (sensor_id, time, value, quality, batch) "
            "SELECT new.* FROM unnest(%s::int[], %s::timestamptz[], %s::float8[], %s::int[], %s::bigint[]) "
            "AS new(sensor, time, value, quality, batch) "
            "JOIN (SELECT id FROM twins_assets_sensor WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE) known "
            "ON known.id = new.sensor ORDER BY new.sensor "
            "ON CONFLICT (sensor_id) DO UPDATE SET time = excluded.time, value = excluded.value, "
            "quality = excluded.quality, batch = excluded.batch "
            "WHERE (old.time, old.batch) < (excluded.time, excluded.batch)",
            [*columns, columns[0]],
        )
    return []


def _crowded_level(day: date, fan_in: int) -> tuple[int, list[str]]:
    """The lowest level of a day with `fan_in` files, and those of them, smallest first, that fit into one round."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT level, path FROM (SELECT level, path, rows, count(*) OVER (PARTITION BY level) AS files, "
            "sum(rows) OVER (PARTITION BY level ORDER BY rows, id) AS total FROM twins_lakefile "
            "WHERE dataset = 'raw' AND state = 'live' AND day = %s AND rows <= %s) small "
            "WHERE files >= %s AND total <= %s ORDER BY level, rows, path",
            [day, FILE_ROWS // 2, fan_in, ROUND_ROWS],
        )
        rows = cursor.fetchall()
    paths = [path for level, path in rows if level == rows[0][0]]
    return (rows[0][0], paths) if len(paths) > 1 else (0, [])


def _retire(paths: list[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE twins_lakefile SET state = 'retired', retired_at = now() WHERE path = ANY(%s) AND state = 'live'",
            [paths],
        )
        if cursor.rowcount != len(paths):
            raise _Overtaken
    return []
