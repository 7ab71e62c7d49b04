"""Whether the lake is what its index says, and what follows from it made anew.

A check reads every byte: of live files, bodies and landing objects. A rebuild makes the roll-ups and the latest
readings again from the readings; whatever it makes equals what was there, value for value.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pyarrow as pa
from django.db import connection, transaction

from twins import lake
from twins.conf import settings
from twins.exceptions import LakeError
from twins.selectors.view import read_body
from twins.services.compaction import roll_up_files
from twins.services.swap import HOT_TAIL, await_lock


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found: how much it read, what is wrong, and files that no row names (a writer may be at them)."""

    files: int
    rows: int
    bytes: int
    faults: tuple[str, ...]
    orphans: tuple[str, ...]


def check_lake() -> Check:
    """Compare every live file and hot body with its hash, and look for files that nothing names."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT path, rows, bytes, sha256 FROM twins_lakefile WHERE state = 'live' ORDER BY path")
        files = cursor.fetchall()
        cursor.execute("SELECT id FROM twins_batch WHERE compacted_at IS NULL ORDER BY id")
        batches = [row[0] for row in cursor.fetchall()]
    faults = [fault for row in files if (fault := _fault_of_file(*row))]
    faults += [fault for batch in batches if (fault := _fault_of_batch(batch))]
    return Check(
        files=len(files),
        rows=sum(row[1] for row in files),
        bytes=sum(row[2] for row in files),
        faults=tuple(faults),
        orphans=tuple(_orphans()),
    )


def _fault_of_file(path: str, rows: int, size: int, sha256: str) -> str | None:
    try:
        data = lake.read_whole(settings().LAKE, path)
    except FileNotFoundError:
        return f"{path} is missing" if _is_live(path) else None
    if data.size != size or hashlib.sha256(data).hexdigest() != sha256:
        return f"{path} is not what was written: {data.size} bytes of {size}, or another hash"
    if (found := int(lake.footer_of(settings().LAKE, path).starts[-1])) != rows:
        return f"{path} holds {found} rows and its index says {rows}"
    return None


def _is_live(path: str) -> bool:
    """Whether a file is live still: it may have been replaced and swept since its row was read."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM twins_lakefile WHERE path = %s AND state = 'live'", [path])
        return cursor.fetchone() is not None


def _fault_of_batch(batch: int) -> str | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT landing, body, content_hash, rows FROM twins_batch WHERE id = %s AND compacted_at IS NULL", [batch]
        )
        row = cursor.fetchone()
    if row is None:
        return None
    landing, body, content_hash, rows = row
    try:
        readings = read_body(landing, body)
    except (LakeError, FileNotFoundError) as error:
        return f"batch {batch} cannot be read ({error})"
    if readings.num_rows != rows or lake.content_hash(lake.columns_of(readings)) != content_hash:
        return f"batch {batch} is not what was accepted"
    return None


def _orphans() -> list[str]:
    found = {lake.published_path(path) for path in lake.list_files(settings().LAKE)}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT path FROM twins_lakefile WHERE path = ANY(%s) "
            "UNION ALL SELECT landing FROM twins_batch WHERE compacted_at IS NULL AND landing IS NOT NULL",
            [sorted(found)],
        )
        known = {row[0] for row in cursor.fetchall()}
    return sorted(found - known - lake.files_of_manifest(settings().LAKE))


def rebuild_lake() -> tuple[int, int]:
    """Make all roll-ups and the table of latest readings again from the readings; files seen, and sensors that have a
    latest reading. Readers and writers go on meanwhile."""
    _drop_rollups()
    seen = 0
    while files := roll_up_files():
        seen += files
    return seen, _rebuild_latest()


@transaction.atomic
def _drop_rollups() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE twins_lakefile SET minutes = NULL WHERE dataset = 'raw' AND state = 'live'")
        cursor.execute(
            "UPDATE twins_lakefile SET state = 'retired', retired_at = now() "
            "WHERE dataset = 'minute' AND state = 'live' AND of_id IS NOT NULL"
        )


def _rebuild_latest() -> int:
    with transaction.atomic():
        # Compaction would bring newer ones in between.
        await_lock(HOT_TAIL)
        newest = _newest_of_files()
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM twins_latestreading")
            cursor.execute(
                "INSERT INTO twins_latestreading (sensor_id, time, value, quality, batch) "
                "SELECT new.* FROM unnest(%s::int[], %s::timestamptz[], %s::float8[], %s::int[], %s::bigint[]) "
                "AS new(sensor, time, value, quality, batch) JOIN twins_assets_sensor known ON known.id = new.sensor",
                [newest[name].to_pylist() for name in newest.schema.names],
            )
            return int(cursor.rowcount)


def _newest_of_files() -> pa.Table:
    with connection.cursor() as cursor:
        # Replaced files keep their readings for GRACE, so the list stays readable while days are merged.
        cursor.execute("SELECT path FROM twins_lakefile WHERE dataset = 'raw' AND state = 'live' ORDER BY day, id")
        paths = [row[0] for row in cursor.fetchall()]
    newest = lake.READING_SCHEMA.empty_table()
    for path in paths:
        newest = lake.newest(lake.merge([newest, lake.newest(lake.read_files(settings().LAKE, [path]))]))
    return newest
