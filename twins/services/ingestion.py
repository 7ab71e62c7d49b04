"""Acceptance: readings become durable in one transaction, or are refused whole with the reasons.

PostgreSQL is the write-ahead log: the batch row with its body is the acceptance, and everything after it (compaction,
features, subscribers) can be found again from there. A body too big for a row is written and synced before the row
that names it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from django.db import connection, transaction
from django.utils import timezone

from twins import events, lake
from twins.conf import settings
from twins.exceptions import ConflictingKey, ReadingsError
from twins.lake import Reject
from twins.selectors.known import known_limits

__all__ = ["Acceptance", "Reject", "accept_readings", "check_names", "find_rejects", "first_answer", "keep_readings"]

Step = Callable[[str], None]

EARLIEST = lake.EPOCH
MAX_AHEAD = timedelta(days=1)
MAX_BODY = 1_000_000  # bytes; above, a landing object instead of a row
MAX_NAME = 200  # characters of source and key
MAX_TOLD = 10_000  # sensors in one event


def _no_step(name: str) -> None:
    """Called where a test may kill the process."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The answer. `batch` is None when nothing was written; `rejected` counts all faulty rows, `rejects` lists the
    first 1,000 of them, unless it is a repeat; `repeated` says that this is the answer already given to the same
    readings."""

    batch: int | None
    accepted: int
    rejects: tuple[Reject, ...] = ()
    repeated: bool = False
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class _Parcel:
    """Sorted readings on their way into a batch row."""

    source: str
    key: str
    received: int
    readings: pa.Table
    content_hash: str
    body: bytes
    landing: str | None
    fingerprint: str | None
    rejected: int


def accept_readings(
    *,
    readings: pa.Table,
    source: str,
    key: str | None = None,
    now: datetime | None = None,
    step: Step = _no_step,
) -> Acceptance:
    """Keep readings (columns sensor = lake key, time, value, quality) durably; when this returns they survive a power
    cut.

    A batch with any reject is refused whole. Refused are unknown sensors, times before 1970 or more than a day after
    `now` (default: the clock), values that are missing, NaN or infinite, whatever their quality, and values outside
    the valid range of their sensor. Of two readings of one (sensor, time) the last row stays. The same `key` of a
    `source` with the same readings gives the first answer again; without a key only an immediate repeat is recognised,
    so that A, B, A ends with A.

    Raises ReadingsError for a table of another shape, ConflictingKey for a key used again for other readings,
    RuntimeError inside a transaction, where nothing would be durable on return. `step` is told where it is, for tests
    that kill it there.
    """
    check_names(source, key)
    conforming = lake.conform(readings)
    bad, rejects = find_rejects(conforming, now or timezone.now())
    if len(bad) or not conforming.num_rows:
        return Acceptance(batch=None, accepted=0, rejects=rejects, rejected=len(bad))
    return keep_readings(readings=conforming, source=source, key=key, step=step)


def keep_readings(
    *,
    readings: pa.Table,
    source: str,
    key: str | None,
    fingerprint: str | None = None,
    rejected: int = 0,
    beside: Callable[[int], None] | None = None,
    step: Step = _no_step,
) -> Acceptance:
    """The same for conforming readings in which `find_rejects` finds nothing, at least one.

    `fingerprint` is the hash of the request they came in, `rejected` how many rows of it are not among them; `beside`
    writes what belongs to the new batch into the same transaction.
    """
    parcel = _pack(readings, source, key, fingerprint, rejected)
    if parcel.landing:
        with _removed_on_failure(parcel.landing):
            lake.write_landing(settings().LAKE, parcel.landing, parcel.body)
        step("landed")
    with transaction.atomic(durable=True), _removed_on_failure(parcel.landing):
        acceptance = _store(parcel, keyed=key is not None)
        if not acceptance.repeated and acceptance.batch is not None:
            if beside:
                beside(acceptance.batch)
            events.publish("readings_accepted", _told(acceptance.batch, parcel.readings))
        step("inserted")
    step("committed")
    if parcel.landing and acceptance.repeated:
        lake.remove_files(settings().LAKE, [parcel.landing])
    return acceptance


@contextlib.contextmanager
def _removed_on_failure(landing: str | None) -> Iterator[None]:
    """Give a full disk its space back; inside the transaction, where a failure is certain to keep nothing."""
    try:
        yield
    except Exception:
        if landing:
            with contextlib.suppress(OSError):
                lake.remove_files(settings().LAKE, [landing])
        raise


def first_answer(*, source: str, key: str, fingerprint: str) -> Acceptance | None:
    """The answer to the same request, if there was one under this key; its rejects are not listed again."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, rows_received, rejected FROM twins_batch WHERE source = %s AND key = %s AND fingerprint = %s",
            [source, key, fingerprint],
        )
        row = cursor.fetchone()
    return Acceptance(batch=row[0], accepted=row[1], rejected=row[2], repeated=True) if row else None


def check_names(source: str, key: str | None) -> None:
    """Raises ReadingsError for a source or key that cannot be kept."""
    for what, name in (("source", source), ("key", key)):
        if name is not None and not 0 < len(name) <= MAX_NAME:
            raise ReadingsError(f"The {what} has {len(name)} characters: use 1 to {MAX_NAME}.")
        if name is not None and "\x00" in name:
            raise ReadingsError(f"The {what} contains a NUL character: remove it.")


def find_rejects(readings: pa.Table, now: datetime) -> tuple[np.ndarray, tuple[Reject, ...]]:
    """The numbers of the rows of a conforming table that may not enter, and the first of them with their reasons."""
    limits = known_limits(readings["sensor"].unique().drop_null().to_pylist())
    return lake.find_rejects(readings, limits=limits, earliest=EARLIEST, latest=now + MAX_AHEAD)


def _pack(readings: pa.Table, source: str, key: str | None, fingerprint: str | None, rejected: int) -> _Parcel:
    kept = lake.sort_and_drop_repeats(readings)
    body = lake.encode_body(kept)
    return _Parcel(
        source=source,
        key=key or str(uuid.uuid4()),
        received=readings.num_rows,
        readings=kept,
        content_hash=lake.content_hash(kept),
        body=body,
        landing=lake.landing_path(uuid.uuid4().hex) if len(body) > MAX_BODY else None,
        fingerprint=fingerprint,
        rejected=rejected,
    )


def _store(parcel: _Parcel, *, keyed: bool) -> Acceptance:
    if not keyed and (repeat := _immediate_repeat(parcel)):
        return repeat
    if batch := _insert(parcel):
        return Acceptance(batch=batch, accepted=parcel.received)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, rows_received, rejected, content_hash, fingerprint FROM twins_batch "
            "WHERE source = %s AND key = %s",
            [parcel.source, parcel.key],
        )
        batch, received, rejected, content_hash, fingerprint = cursor.fetchone()
    if content_hash != parcel.content_hash and (fingerprint is None or fingerprint != parcel.fingerprint):
        raise ConflictingKey(
            f"The key {parcel.key!r} of {parcel.source!r} was used for other readings (batch {batch}): "
            "send a correction under a new key."
        )
    return Acceptance(batch=batch, accepted=received, rejected=rejected, repeated=True)


def _insert(parcel: _Parcel) -> int | None:
    """The new batch's id, or None when the key is taken; waits for a transaction that is about to take it."""
    sensor_min, sensor_max, time_min, time_max = lake.ranges(parcel.readings)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO twins_batch (source, key, content_hash, rows_received, rows, bytes, sensor_min, sensor_max, "
            "time_min, time_max, body, landing, fingerprint, rejected) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (source, key) DO NOTHING RETURNING id",
            [
                parcel.source, parcel.key, parcel.content_hash, parcel.received, parcel.readings.num_rows,
                len(parcel.body), sensor_min, sensor_max, time_min, time_max,
                None if parcel.landing else parcel.body, parcel.landing, parcel.fingerprint, parcel.rejected,
            ],
        )  # fmt: skip
        row = cursor.fetchone()
    return row[0] if row else None


def _immediate_repeat(parcel: _Parcel) -> Acceptance | None:
    """The answer to the source's newest batch if it held the same readings and nobody has overwritten any since."""
    sensor_min, sensor_max, time_min, time_max = lake.ranges(parcel.readings)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT last.id, last.rows_received FROM (SELECT id, rows_received, content_hash FROM twins_batch "
            "WHERE source = %s ORDER BY id DESC LIMIT 1) last WHERE last.content_hash = %s AND NOT EXISTS ("
            "SELECT FROM twins_batch later WHERE later.id > last.id "
            "AND later.sensor_min <= %s AND later.sensor_max >= %s AND later.time_min <= %s AND later.time_max >= %s)",
            [parcel.source, parcel.content_hash, sensor_max, sensor_min, time_max, time_min],
        )
        row = cursor.fetchone()
    return Acceptance(batch=row[0], accepted=row[1], repeated=True) if row else None


def _told(batch: int, readings: pa.Table) -> dict[str, Any]:
    """The event; its rows are [sensor, microseconds since 1970, value, quality], newest of MAX_TOLD sensors."""
    newest = lake.newest(readings)
    if newest.num_rows > MAX_TOLD:
        newest = newest.sort_by([("time", "descending"), ("sensor", "ascending")]).slice(0, MAX_TOLD)
    columns = [newest[name].cast(pa.int64()) if name == "time" else newest[name] for name in newest.schema.names]
    rows = zip(*(values.to_pylist() for values in columns), strict=True)
    return {"batch": batch, "rows": [list(row) for row in rows]}
