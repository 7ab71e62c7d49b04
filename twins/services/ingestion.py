"""Acceptance: readings become durable in one transaction, or are refused whole with the reasons.

PostgreSQL is the write-ahead log: the batch row with its body is the acceptance, and everything after it (compaction,
features, subscribers) can be found again from there. A body too big for a row is written and synced before the row
that names it.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from django.db import connection, transaction
from django.utils import timezone

from twins import events, lake
from twins.conf import settings
from twins.exceptions import ConflictingKey, ReadingsError, TokenChanged
from twins.lake import Reject
from twins.models.access import ApiToken
from twins.selectors.binding import Rows, Value, bound_rows
from twins.selectors.known import known_limits
from twins.selectors.lines import Line
from twins.services.tokens import standing

__all__ = [
    "Acceptance",
    "Asking",
    "Reject",
    "accept_readings",
    "answered",
    "answered_on",
    "check_names",
    "find_rejects",
    "first_answer",
    "keep_readings",
]

Step = Callable[[str], None]
Answer = TypeVar("Answer")
Statement = tuple[str, Sequence[Value]]
Asking = Generator[Statement, Rows, Answer]
"""Statements that are asked of the database one after the other, each a transaction by itself, until the answer is
known. What is asked and what follows from it is said once; a thread and an event loop only wait in their own way."""

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


class _Parcel(NamedTuple):
    """Readings on their way into a batch row."""

    packed: lake.Packed
    source: str
    key: str
    landing: str | None
    fingerprint: str | None
    rejected: int
    token: ApiToken | None
    """What it was sent with, which must still stand when it is kept."""


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
    if len(bad) or not len(conforming.sensor):
        return Acceptance(batch=None, accepted=0, rejects=rejects, rejected=len(bad))
    return answered(keep_readings(packed=lake.pack(conforming), source=source, key=key, step=step))


def keep_readings(
    *,
    packed: lake.Packed,
    source: str,
    key: str | None,
    fingerprint: str | None = None,
    rejected: int = 0,
    token: ApiToken | None = None,
    beside: Callable[[int], None] | None = None,
    step: Step = _no_step,
) -> Asking[Acceptance]:
    """The same for readings in which `find_rejects` found nothing.

    `fingerprint` is the hash of the request they came in, `rejected` how many rows of it are not among them; `beside`
    writes what belongs to the new batch into the same transaction. Raises TokenChanged when the `token` they came with
    is not what it was when it was looked up.
    """
    landing = lake.landing_path(uuid.uuid4().hex) if len(packed.body) > MAX_BODY else None
    parcel = _Parcel(packed, source, key or os.urandom(16).hex(), landing, fingerprint, rejected, token)
    storing = _store(parcel, keyed=key is not None)
    if landing or beside:
        acceptance = _keep_together(parcel, storing, beside, step)
    else:
        acceptance = yield from storing
        step("inserted")
    if not acceptance.repeated and acceptance.batch is not None:
        events.tell("readings_accepted", partial(_told, acceptance.batch, packed.body))
    step("committed")
    if landing and acceptance.repeated:
        lake.remove_files(settings().LAKE, [landing])
    return acceptance


def _keep_together(
    parcel: _Parcel, storing: Asking[Acceptance], beside: Callable[[int], None] | None, step: Step
) -> Acceptance:
    """Readings with a landing object, or with more to write, in one transaction."""
    if parcel.landing:
        with _removed_on_failure(parcel.landing):
            lake.write_landing(settings().LAKE, parcel.landing, parcel.packed.body)
        step("landed")
    with transaction.atomic(durable=True), _removed_on_failure(parcel.landing):
        acceptance = _run(storing, bound_rows)
        if beside and not acceptance.repeated and acceptance.batch is not None:
            beside(acceptance.batch)
        step("inserted")
    return acceptance


def answered(asking: Asking[Answer]) -> Answer:
    """The answer, with each statement on disk before the next; raises RuntimeError in a transaction."""
    return _run(asking, _durable_rows)


async def answered_on(line: Line, asking: Asking[Answer]) -> Answer:
    """The same for an event loop, which waits on a connection of its own.

    Raises SynchronousOnlyOperation where Django's connection is needed: asked once more in a thread, it comes to the
    same answer.
    """
    rows: Any = None
    try:
        while True:
            rows = await line.rows(*asking.send(rows))
    except StopIteration as end:
        return end.value


def _run(asking: Asking[Answer], ask: Callable[[str, Sequence[Value]], Rows]) -> Answer:
    rows: Any = None
    try:
        while True:
            rows = ask(*asking.send(rows))
    except StopIteration as end:
        return end.value


def _durable_rows(statement: str, values: Sequence[Value]) -> Rows:
    # Where nobody has begun a transaction a statement is one by itself.
    with contextlib.nullcontext() if connection.get_autocommit() else transaction.atomic(durable=True):
        return bound_rows(statement, values)


def _removed_on_failure(landing: str | None) -> contextlib.AbstractContextManager[None]:
    """Give a full disk its space back; inside the transaction, where a failure is certain to keep nothing."""
    return _removing(landing) if landing else contextlib.nullcontext()


@contextlib.contextmanager
def _removing(landing: str) -> Iterator[None]:
    try:
        yield
    except Exception:
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


def find_rejects(
    readings: lake.Columns, now: datetime, limits: lake.Limits | None = None
) -> tuple[np.ndarray, tuple[Reject, ...]]:
    """The numbers of the rows of conforming readings that may not enter, and the first of them with their reasons.

    `limits` are looked up where they are not known.
    """
    if limits is None:
        limits = lake.limits_of(readings.sensor, known_limits(np.unique(readings.sensor).tolist()))
    return lake.find_rejects(readings, limits=limits, earliest=EARLIEST, latest=now + MAX_AHEAD)


def _store(parcel: _Parcel, *, keyed: bool) -> Asking[Acceptance]:
    """Insert the batch and answer, or the answer to an earlier one; waits for a transaction that may take its key."""
    found = yield _insert(parcel, keyed=keyed)
    if any(what == "stranger" for what, *_ in found):
        raise TokenChanged("The API token was changed or revoked: look it up again.")
    if found:
        [(what, batch, received)] = found
        return Acceptance(batch=batch, accepted=received, repeated=what == "repeat")
    [(batch, received, rejected, content_hash, fingerprint)] = yield _FIRST, (parcel.source, parcel.key)
    if content_hash != parcel.packed.content_hash and (fingerprint is None or fingerprint != parcel.fingerprint):
        raise ConflictingKey(
            f"The key {parcel.key!r} of {parcel.source!r} was used for other readings (batch {batch}): "
            "send a correction under a new key."
        )
    return Acceptance(batch=batch, accepted=received, rejected=rejected, repeated=True)


_FIRST = (
    "SELECT id, rows_received, rejected, content_hash, fingerprint FROM twins_batch "
    "WHERE source = %s::text AND key = %s::text"
)


def _insert(parcel: _Parcel, *, keyed: bool) -> Statement:
    """One row: the new batch, the one it repeats, or that its sender is a stranger now; none when the key is taken."""
    packed = parcel.packed
    time_min, time_max = (lake.from_microseconds(time).isoformat() for time in (packed.time_min, packed.time_max))
    stands, token = ("SELECT 1", ()) if parcel.token is None else standing(parcel.token)
    repeat: tuple[str, tuple[Any, ...]] = ("SELECT 0, 0 WHERE false", ())
    if not keyed:
        span = packed.sensor_max, packed.sensor_min, time_max, time_min
        repeat = _REPEAT, (parcel.source, packed.content_hash, *span)
    row = (
        parcel.source, parcel.key, packed.content_hash, packed.received, packed.rows, len(packed.body),
        packed.sensor_min, packed.sensor_max, time_min, time_max,
        None if parcel.landing else packed.body, parcel.landing, parcel.fingerprint, parcel.rejected,
    )  # fmt: skip
    return _insertion(stands, repeat[0]), (*token, *repeat[1], *row)


@lru_cache(maxsize=16)
def _insertion(stands: str, repeat: str) -> str:
    return _INSERT.format(stands=stands, repeat=repeat)


# In one statement, because each waits for one more answer of the database.
_INSERT = """
WITH sender AS ({stands}), repeat (id, received) AS ({repeat}), new AS (
    INSERT INTO twins_batch (source, key, content_hash, rows_received, rows, bytes, sensor_min, sensor_max, time_min,
        time_max, body, landing, fingerprint, rejected)
    SELECT %s::text, %s::text, %s::text, %s::int, %s::int, %s::bigint, %s::int, %s::int, %s::timestamptz,
        %s::timestamptz, %b::bytea, %s::text, %s::text, %s::int
    WHERE EXISTS (SELECT FROM sender) AND NOT EXISTS (SELECT FROM repeat)
    ON CONFLICT (source, key) DO NOTHING RETURNING id, rows_received)
SELECT 'stranger', 0, 0 WHERE NOT EXISTS (SELECT FROM sender)
UNION ALL SELECT 'repeat', id, received FROM repeat UNION ALL SELECT 'new', id, rows_received FROM new
"""
# The source's newest batch, if it held the same readings and nobody has overwritten any since.
_REPEAT = """
SELECT last.id, last.rows_received FROM (SELECT id, rows_received, content_hash FROM twins_batch
    WHERE source = %s ORDER BY id DESC LIMIT 1) last
WHERE last.content_hash = %s AND NOT EXISTS (SELECT FROM twins_batch later WHERE later.id > last.id
    AND later.sensor_min <= %s AND later.sensor_max >= %s AND later.time_min <= %s AND later.time_max >= %s)
"""


def _told(batch: int, body: bytes) -> dict[str, Any]:
    """The event; its rows are [sensor, microseconds since 1970, value, quality], newest of MAX_TOLD sensors."""
    readings = lake.columns_of(lake.decode_body(body))
    newest = readings.take(np.append(readings.sensor[1:] != readings.sensor[:-1], True))
    if len(newest.sensor) > MAX_TOLD:
        newest = newest.take(np.lexsort((newest.sensor, -newest.time))[:MAX_TOLD])
    columns = [values.tolist() for values in newest]
    return {"batch": batch, "rows": [list(row) for row in zip(*columns, strict=True)]}
