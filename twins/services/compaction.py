"""Compaction: accepted bodies become sorted files, small files larger ones, and a finished day as few as there can be.

Each of them is a swap, and each can be run at any time, twice at once, and again. A file that was merged has a roll-up
by the minute beside it, where that is worth a file; it comes and goes with its readings.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from django.db import connection, transaction

from twins import lake
from twins.conf import settings
from twins.exceptions import LakeError
from twins.lake import SETTLED
from twins.models import LakeFile
from twins.models.ingestion import Dataset
from twins.selectors.arrays import floats, integers
from twins.selectors.binding import binding_cursor
from twins.services.corrections import note_corrections
from twins.services.parts import Part, swap_parts
from twins.services.swap import DAYS, HOT_TAIL, Overtaken, Step, Written, await_lock, holding, no_step, retire, swap
from twins.services.sweeping import Sweep, sweep_lake

__all__ = [
    "Sweep",
    "compact_all",
    "compact_crowded_days",
    "compact_day",
    "compact_due",
    "compact_hot_tail",
    "much_waits",
    "roll_up_files",
    "settle_day",
    "settle_finished_days",
    "sweep_lake",
]

ROUND_ROWS = 3_000_000
"""Readings taken from the hot tail at a time: bounds memory to some 450 MB, and is enough that a history of years
does not write each of its days many times."""
ROUND_BATCHES = 10_000
DUE_AFTER = 4.0
"""Seconds a batch stays in the hot tail, so that a steady trickle does not make a file of every drop."""
DUE_ROWS = 200_000
"""Readings that are worth files at once."""
MUCH = DUE_ROWS // 4
"""Readings that are worth waiting for until they are in files, which takes some seconds."""
FILE_ROWS = 4_000_000
"""A bigger day is split between sensors."""
FAN_IN = 16
"""Files of one day and level that are merged into one of the next level."""

QUIET = timedelta(minutes=5)
"""A finished day is settled once nothing has come into it for so long."""
LATE_SHARE = 8
"""A settled day is written anew at once when what came late is an eighth of it, else when LATE has passed."""
LATE = timedelta(hours=1)

_log = logging.getLogger(__name__)


def compact_hot_tail(*, limit: int = ROUND_ROWS, step: Step = no_step) -> int:
    """Move the oldest hot batches, about `limit` readings, into files; how many batches, 0 when there is nothing to do.

    Runs once at a time; a second one returns 0. A batch whose body cannot be read stays, is logged and stops no other.
    """
    return _compact(limit, step) or 0


def compact_all() -> None:
    """Move all that is hot into files, and wait for another that is at it."""
    while (moved := _compact(ROUND_ROWS, no_step)) != 0:
        if moved is None:
            with transaction.atomic():
                await_lock(HOT_TAIL)


def _compact(limit: int, step: Step) -> int | None:
    """As `compact_hot_tail`; None when another is at it, or was faster."""
    # Held while bodies are read as well: else whoever is called meanwhile reads them all for nothing.
    with holding(HOT_TAIL) as alone:
        taken = _take(limit) if alone else None
    if taken is None:
        return 0 if alone else None
    batches, pieces, overwriting, newest = taken
    landings = swap_parts(
        [Part(day, 0, partial(_same, piece)) for day, piece in pieces],
        lock=HOT_TAIL,
        step=step,
        replace=partial(_let_go, batches, pieces, overwriting, newest),
    )
    if landings is None:
        return None
    lake.remove_files(settings().LAKE, landings)
    step("unlinked")
    return len(batches)


def _take(limit: int) -> tuple[list[int], list[tuple[date, pa.Table]], pa.Table, pa.Table] | None:
    """Oldest hot batches, their readings by day, what those overwrite of one another, and the newest of each sensor;
    None when there is none that can be read."""
    batches, readings, overwriting = _hot_batches(limit)
    if not batches:
        return None
    pieces = _pieces(readings)
    return batches, pieces, overwriting, lake.newest(lake.merge([lake.newest(piece) for _, piece in pieces]))


def _let_go(
    batches: list[int], pieces: list[tuple[date, pa.Table]], overwriting: pa.Table, newest: pa.Table
) -> list[str]:
    note_corrections(pieces=pieces, among=overwriting)
    return [*_close_batches(batches), *_advance_latest(newest)]


def _same(readings: pa.Table) -> pa.Table:
    return readings


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


def much_waits() -> bool:
    """Whether the hot tail holds so many readings that who looks at files had better wait for them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(rows), 0) >= %s FROM twins_batch WHERE compacted_at IS NULL", [MUCH])
        return bool(cursor.fetchone()[0])


def compact_day(*, day: date, fan_in: int = FAN_IN, step: Step = no_step) -> int:
    """Merge the files of the lowest crowded level of a UTC day into the next level; how many, 0 for nothing to do."""
    level, old = _crowded_level(day, fan_in)
    if not old:
        return 0
    part = Part(day, level + 1, lambda: lake.merge([lake.read_files(settings().LAKE, old)]))
    return _replace(day, old, [part], step)


def _replace(day: date, old: Sequence[str], parts: Sequence[Part], step: Step) -> int:
    try:
        done = swap_parts(parts, lock=DAYS, step=step, replace=lambda: retire(old))
    except FileNotFoundError:
        # Another run has merged and a sweep removed them; a file that is truly lost is said by whoever scans it.
        _log.warning("a file of %s went away before it could be merged", day)
        return 0
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


def settle_day(*, day: date, step: Step = no_step) -> int:
    """Merge all files of a UTC day into as few as there can be, for good; how many, 0 when it is settled already.

    Sensors whose values are mostly noise go into files of their own, which are encoded differently. Memory holds about
    FILE_ROWS readings at a time.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT path, level FROM twins_lakefile WHERE dataset = 'raw' AND state = 'live' AND day = %s ORDER BY id",
            [day],
        )
        rows = cursor.fetchall()
    old = [path for path, _ in rows]
    if all(level == SETTLED for _, level in rows):
        return 0
    try:
        ranges = _sensor_ranges(old)
    except FileNotFoundError:
        return 0
    root = settings().LAKE

    def part(sensors: np.ndarray) -> Part:
        return Part(day, SETTLED, lambda: lake.merge([lake.read_files(root, old, sensors=sensors.tolist())]))

    return _replace(day, old, [part(sensors) for sensors in ranges], step)


def settle_finished_days(*, now: datetime, limit: int = 2) -> int:
    """Run `settle_day` for up to `limit` days that are over and quiet, oldest first; how many files were merged."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT day FROM twins_lakefile WHERE dataset = 'raw' AND state = 'live' AND day < %s GROUP BY day "
            "HAVING max(created_at) FILTER (WHERE level < %s) < %s OR (max(created_at) < %s AND "
            "sum(rows) FILTER (WHERE level < %s) * %s >= coalesce(sum(rows) FILTER (WHERE level = %s), 0)) "
            "ORDER BY day LIMIT %s",
            [
                lake.from_microseconds(lake.microseconds(now - QUIET)).date(),
                SETTLED, now - LATE, now - QUIET, SETTLED, LATE_SHARE, SETTLED, limit,
            ],
        )  # fmt: skip
        days = [row[0] for row in cursor.fetchall()]
    return sum(settle_day(day=day) for day in days)


def _sensor_ranges(paths: Sequence[str]) -> list[np.ndarray]:
    """The sensors of some files in stretches that have about FILE_ROWS readings each."""
    footers = [lake.footer_of(settings().LAKE, path) for path in paths]
    sensors, place = np.unique(np.concatenate([footer.sensors for footer in footers]), return_inverse=True)
    counts = np.zeros(len(sensors), np.int64)
    np.add.at(counts, place, np.concatenate([np.diff(footer.starts) for footer in footers]))
    stretch = (np.cumsum(counts) - counts) // FILE_ROWS
    return np.split(sensors, np.flatnonzero(np.diff(stretch)) + 1)


def roll_up_files(*, limit: int = 10, step: Step = no_step) -> int:
    """Give up to `limit` merged files that nobody has rolled up their roll-up, newest days first; how many were seen.

    Merging does it by itself; these are files of earlier versions, or ones whose roll-up was dropped to be made anew.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT path, day, level, batch_min, batch_max FROM twins_lakefile WHERE dataset = 'raw' "
            "AND state = 'live' AND level > 0 AND minutes IS NULL ORDER BY day DESC, id LIMIT %s",
            [limit],
        )
        rows = cursor.fetchall()
    return sum(_roll_up_file(path, day, level, batches, step) for path, day, level, *batches in rows)


def _roll_up_file(path: str, day: date, level: int, batches: list[int], step: Step) -> int:
    root = settings().LAKE
    try:
        readings = lake.read_files(root, [path])
    except FileNotFoundError:
        return 0
    minutes = lake.roll_up(readings)
    worth = lake.worth_a_file(readings.num_rows, minutes.num_rows)
    intent = LakeFile(path=lake.minute_path(day, uuid.uuid4().hex), dataset=Dataset.MINUTE, day=day, level=level)

    def write() -> list[Written]:
        if not worth:
            return []
        facts = lake.write_minutes(root, intent.path, minutes, level=level, batches=(batches[0], batches[1]))
        return [Written(intent.path, facts, of=path)]

    def count() -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE twins_lakefile SET minutes = %s WHERE path = %s AND state = 'live' AND minutes IS NULL",
                [minutes.num_rows, path],
            )
            if cursor.rowcount != 1:
                raise Overtaken
        return []

    return 0 if swap(intents=[intent], write=write, replace=count, lock=DAYS, step=step) is None else 1


def _hot_batches(limit: int) -> tuple[list[int], pa.Table, pa.Table]:
    """Ids and stamped readings of the oldest hot batches, those that begin before `limit` readings are reached, and
    what they overwrite of one another."""
    with binding_cursor(binary=True) as cursor:
        cursor.execute(
            "SELECT id, landing, body FROM twins_batch JOIN (SELECT id, sum(rows) OVER (ORDER BY id) - rows AS before "
            "FROM (SELECT id, rows FROM twins_batch WHERE compacted_at IS NULL ORDER BY id LIMIT %s) hot) sized "
            "USING (id) WHERE before < %s AND compacted_at IS NULL ORDER BY id",
            [ROUND_BATCHES, limit],
        )
        rows = cursor.fetchall()
    read = [(batch, table) for batch, landing, body in rows if (table := _read(batch, landing, body)) is not None]
    tables = [table for _, table in read]
    merged = lake.merge(tables)
    # Most often each is there once, and there is nothing to compare.
    doubled = merged.num_rows < sum(table.num_rows for table in tables)
    return [batch for batch, _ in read], merged, lake.overwriting([], tables if doubled else [])


def _read(batch: int, landing: str | None, body: Any) -> pa.Table | None:
    try:
        readings = lake.read_landing(settings().LAKE, landing) if landing else lake.decode_body(body)
    except (LakeError, FileNotFoundError) as error:
        _log.error("batch %s cannot be compacted: %s", batch, error)
        return None
    return lake.stamp_batch(readings, batch)


def _pieces(readings: pa.Table) -> list[tuple[date, pa.Table]]:
    return [(day, part) for day, whole in lake.split_by_day(readings) for part in lake.split_by_rows(whole, FILE_ROWS)]


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
        raise Overtaken
    return [landing for landing in landings if landing]


def _advance_latest(newest: pa.Table) -> list[str]:
    """Let newer readings replace the latest; a sensor that has left the register meanwhile is passed over."""
    sensor, time, value, *others = (lake.column(newest, name).tolist() for name in newest.schema.names)
    with binding_cursor(prepared=False) as cursor:
        cursor.execute(_ADVANCE, [*map(integers, (sensor, time)), floats(value), *map(integers, others)])
    return []


# A first reading is inserted while its sensor is held; whoever has one is changed and its sensor let alone.
_ADVANCE = """
WITH new AS MATERIALIZED (
    SELECT sensor, to_timestamp(0) + at * interval '1 microsecond' AS time, value, quality, batch
    FROM unnest(%s::int[], %s::bigint[], %s::float8[], %s::int[], %s::bigint[])
    AS given(sensor, at, value, quality, batch)
), advanced AS (
    UPDATE twins_latestreading old SET time = new.time, value = new.value, quality = new.quality, batch = new.batch
    FROM new WHERE old.sensor_id = new.sensor AND (old.time, old.batch) < (new.time, new.batch)
)
INSERT INTO twins_latestreading AS old (sensor_id, time, value, quality, batch)
SELECT new.* FROM new JOIN (
    SELECT id FROM twins_assets_sensor WHERE id IN (
        SELECT sensor FROM new WHERE NOT EXISTS (SELECT FROM twins_latestreading WHERE sensor_id = new.sensor))
    ORDER BY id FOR KEY SHARE) known ON known.id = new.sensor
ORDER BY new.sensor
ON CONFLICT (sensor_id) DO UPDATE SET time = excluded.time, value = excluded.value, quality = excluded.quality,
    batch = excluded.batch
WHERE (old.time, old.batch) < (excluded.time, excluded.batch)
"""


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
