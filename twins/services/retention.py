"""Retention: readings of a sensor that are older than it keeps them leave the disk; their minutes stay.

It works by whole UTC days: a day's readings go once the day ended `retention_days` ago. What is removed leaves its
roll-up behind, for ROLLUP_DAYS, or for ever when that setting is None. Readings that arrive for a time that is past
keeping are removed by the next run, and change no minute that was left behind. Reading a day's files to find that
they hold nothing of the expired sensors is not repeated while the same sensors are expired.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
from django.db import connection

from assets.models import Sensor
from twins import lake
from twins.conf import settings
from twins.lake.schema import column
from twins.models import LakeFile
from twins.models.ingestion import Dataset
from twins.services.parts import Part, intents_of, write_part
from twins.services.swap import DAYS, Step, Written, no_step, retire, swap


@dataclass(frozen=True, slots=True)
class Expiry:
    """What a run did: readings removed, and files of minutes that went for good."""

    readings: int
    archives: int


def expire_readings(*, now: datetime, limit: int = 50, step: Step = no_step) -> Expiry:
    """Remove what the sensors' `retention_days` no longer keep, of up to `limit` days, oldest first."""
    today = lake.from_microseconds(lake.microseconds(now)).date()
    keeps = _keeps()
    removed = done = 0
    for day, files in _old_days(today, min(keeps, default=None)) if keeps else ():
        expired = sorted(pk for days, sensors in keeps.items() if _is_over(day, days, today) for pk in sensors)
        mark = hashlib.sha256(repr(expired).encode()).hexdigest()
        dirty = [path for path, known in files if known != mark]
        if not dirty or done >= limit:
            continue
        done += 1
        removed += _expire_day(day, [path for path, _ in files], np.array(expired), mark, step)
    _forget_latest(keeps, today)
    return Expiry(removed, _drop_archives(today))


def _keeps() -> dict[int, list[int]]:
    """Sensors by the days they keep their readings."""
    keeps: dict[int, list[int]] = defaultdict(list)
    for pk, days in Sensor.objects.filter(retention_days__isnull=False).values_list("pk", "retention_days"):
        keeps[int(days or 0)].append(pk)
    return keeps


def _is_over(day: date, days: int, today: date) -> bool:
    return day + timedelta(days=days) < today


def _old_days(today: date, shortest: int | None) -> list[tuple[date, list[tuple[str, str]]]]:
    """Days of which something may be over, and their live files with the mark of what they are clean of."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT day, array_agg(path ORDER BY id), array_agg(cleaned_of ORDER BY id) FROM twins_lakefile "
            "WHERE dataset = 'raw' AND state = 'live' AND day < %s GROUP BY day ORDER BY day",
            [today - timedelta(days=shortest or 0)],
        )
        return [(day, list(zip(paths, marks, strict=True))) for day, paths, marks in cursor.fetchall()]


def _expire_day(day: date, paths: list[str], expired: np.ndarray, mark: str, step: Step) -> int:
    """Rewrite the files of a day that hold readings of `expired`; how many readings went."""
    try:
        held = {path: np.intersect1d(lake.footer_of(settings().LAKE, path).sensors, expired) for path in paths}
    except FileNotFoundError:
        return 0  # merged meanwhile; the next run finds the new file
    dirty = [path for path in paths if len(held[path])]
    _mark([path for path in paths if path not in dirty], mark)
    levels = _levels(dirty)
    # Settled files share no sensor, so each can go alone, which bounds memory.
    alone = all(level == lake.SETTLED for level in levels.values())
    groups = [[path] for path in dirty] if alone else [dirty] if dirty else []
    return sum(_expire_files(day, group, held, levels, step) for group in groups)


def _expire_files(day: date, paths: list[str], held: dict[str, np.ndarray], levels: dict[str, int], step: Step) -> int:
    """Rewrite files that share no minute with others of their day, in one swap; how many readings went."""
    root = settings().LAKE
    try:
        gone = lake.merge([lake.read_files(root, [path], sensors=held[path].tolist()) for path in paths])
    except FileNotFoundError:
        return 0
    planned = [(part := Part(day, levels[path], _without(path, held[path])), intents_of(part)) for path in paths]
    name = lake.minute_path(day, uuid.uuid4().hex)
    archive = LakeFile(path=name, dataset=Dataset.MINUTE, day=day, level=lake.SETTLED)
    old = _archives(day)

    def write() -> list[Written]:
        files = [file for part, intents in planned for file in write_part(part, intents, step)]
        batch = column(gone, "batch")
        batches = (int(batch.min()), int(batch.max()))
        facts = lake.write_minutes(root, name, _kept_minutes(gone, old), level=archive.level, batches=batches)
        return [*files, Written(name, facts)]

    intents = [*(intent for _, each in planned for intent in each), archive]
    done = swap(intents=intents, write=write, replace=lambda: retire([*paths, *old]), lock=DAYS, step=step)
    return 0 if done is None else gone.num_rows


def _without(path: str, expired: np.ndarray) -> Callable[[], pa.Table]:
    def load() -> pa.Table:
        kept = np.setdiff1d(lake.footer_of(settings().LAKE, path).sensors, expired)
        return lake.merge([lake.read_files(settings().LAKE, [path], sensors=kept.tolist())])

    return load


def _kept_minutes(gone: pa.Table, archives: Sequence[str]) -> pa.Table:
    """What stays of a day: the minutes left behind before, and those of readings that go now for the first time."""
    before = lake.sort_minutes([lake.read_files(settings().LAKE, archives, schema=lake.MINUTE_SCHEMA)])
    minutes = lake.roll_up(gone)
    new = ~np.isin(lake.minute_keys(minutes), lake.minute_keys(before))
    return lake.sort_minutes([before, minutes.filter(pa.array(new))])


def _levels(paths: Sequence[str]) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT path, level FROM twins_lakefile WHERE path = ANY(%s)", [list(paths)])
        return dict(cursor.fetchall())


def _archives(day: date) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT path FROM twins_lakefile WHERE dataset = 'minute' AND state = 'live' AND of_id IS NULL "
            "AND day = %s ORDER BY id",
            [day],
        )
        return [row[0] for row in cursor.fetchall()]


def _mark(paths: Sequence[str], mark: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE twins_lakefile SET cleaned_of = %s WHERE path = ANY(%s)", [mark, list(paths)])


def _forget_latest(keeps: dict[int, list[int]], today: date) -> None:
    """A latest reading that is past keeping is none any more."""
    for days, sensors in keeps.items():
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM twins_latestreading WHERE sensor_id = ANY(%s) AND time < %s::date AT TIME ZONE 'UTC'",
                [sensors, today - timedelta(days=days)],
            )


def _drop_archives(today: date) -> int:
    """Let go of minutes that were left behind and are older than ROLLUP_DAYS."""
    if (days := settings().ROLLUP_DAYS) is None:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE twins_lakefile SET state = 'retired', retired_at = now() WHERE dataset = 'minute' "
            "AND state = 'live' AND of_id IS NULL AND day < %s",
            [today - timedelta(days=days)],
        )
        return int(cursor.rowcount)
