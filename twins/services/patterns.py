"""The sensors of each part are watched together: a pattern begins when they are unusual, though each may be usual.

Derived and exactly once, like `twins.services.watching`: a part goes on from its stored state, which passes over rows
it knows, and state and finding are written in one transaction. Where readings were overwritten it goes back to before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q

from twins import events
from twins.lake import from_microseconds, microseconds
from twins.ml import Readings
from twins.ml import patterns as detector
from twins.models import Finding, FindingKind, PatternState
from twins.selectors.readings import scan_readings
from twins.selectors.watching import WatchedPart, waiting_parts

MOST_A_ROUND = 200
_FIRST_LOOK = timedelta(days=30)
_ROWS_LOOKED_AT = 2_000
"""Rows of the past a part is taught from; what comes later is judged."""
_LOCK = 7_305_004


def watch_patterns(*, now: datetime, limit: int = MOST_A_ROUND) -> int:
    """Go on with up to `limit` parts that have been read since, the longest waiting first; how many.

    Runs once at a time; a second one returns 0.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            if not cursor.fetchone()[0]:
                return 0
        parts = waiting_parts(now=now, limit=limit)
        told = [part.asset for part in parts if _go_on(part, now)]
        if told:
            events.publish("findings", {"assets": sorted(told)})
    return len(parts)


def rewind_patterns(*, corrected: Mapping[int, datetime], now: datetime) -> None:
    """Take parts back to before readings of their sensors that were overwritten, by the first of them, with what was
    found since; the next round goes on from there. In the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    for row in PatternState.objects.filter(asset__sensors__in=corrected).distinct().order_by("asset_id"):
        state = detector.load_pattern(bytes(row.state))
        firsts = [corrected[sensor] for sensor in state.sensors if sensor in corrected] if state is not None else []
        if state is not None and firsts and now - _FIRST_LOOK < min(firsts) <= from_microseconds(state.until):
            _rewind(row, state, microseconds(min(firsts)) - 1)


def _rewind(row: PatternState, state: detector.PatternState, until: int) -> None:
    """Back to the last row that is not later than `until`."""
    if not len(state.inverse):
        # It still gathers what it learns from: then it gathers it again.
        row.delete()
        return
    at = from_microseconds(until - until % state.step)
    found = Finding.objects.filter(asset=row.asset_id, kind=FindingKind.PATTERN)
    found.filter(started_at__gt=at).delete()
    unusual = found.filter(Q(ended_at__isnull=True) | Q(ended_at__gt=at)).update(ended_at=None) > 0
    since = at - (detector.REMEMBERED + detector.STALE) * timedelta(microseconds=state.step)
    readings = Readings(scan_readings(sensors=state.sensors, start=since, end=at + timedelta(microseconds=1)))
    state = detector.rewind_pattern(state, readings, until=until, unusual=unusual)
    row.state, row.until = detector.dump_pattern(state), at
    row.save(update_fields=["state", "until"])


def _go_on(part: WatchedPart, now: datetime) -> bool:
    """Advance one part; whether something began or ended."""
    state = detector.load_pattern(part.state) if part.state is not None else None
    step = round(part.interval * 1e6)
    # Sensors that came or went make it another part, which is learned anew.
    if state is None or (state.sensors, state.step) != (part.sensors, step):
        state = detector.new_pattern(part.sensors, step=step)
    table = scan_readings(
        sensors=part.sensors, start=_since(state, now), end=min(part.newest, now) + timedelta(microseconds=1)
    )
    state, changes = detector.advance_pattern(state, Readings(table), until=microseconds(min(part.newest, now)))
    PatternState.objects.update_or_create(
        asset_id=part.asset, defaults={"until": min(part.newest, now), "state": detector.dump_pattern(state)}
    )
    _store(part.asset, changes)
    return bool(changes)


def _since(state: detector.PatternState, now: datetime) -> datetime:
    if state.until:
        return from_microseconds(state.until - detector.STALE * state.step)
    return now - min(_FIRST_LOOK, timedelta(microseconds=_ROWS_LOOKED_AT * state.step))


def _store(asset: int, changes: Sequence[detector.PatternChange]) -> None:
    for change in changes:
        at = from_microseconds(change.time)
        if change.begins:
            Finding.objects.create(
                asset_id=asset, kind=FindingKind.PATTERN, started_at=at, value=change.score, score=change.score
            )
        else:
            standing = Finding.objects.filter(asset=asset, kind=FindingKind.PATTERN, ended_at__isnull=True)
            standing.update(ended_at=at)
