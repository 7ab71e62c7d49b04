"""Accepted readings are watched on arrival: the detector of each sensor goes on from its stored state.

What must be looked at is derived: sensors whose newest compacted reading is later than their state. States and findings
are written in one transaction, and a state passes over readings it knows, so a worker killed anywhere repeats its work
without counting anything twice. A sensor of which readings were overwritten is taught anew from its past. Readings from
the future wait until their time has come, so that a clock that jumped ahead does not make its sensor blind.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from django.db import connection, transaction

from twins import events
from twins.lake import from_microseconds, microseconds
from twins.ml import Readings
from twins.ml import anomaly as detector
from twins.models import Finding
from twins.selectors.arrays import integers
from twins.selectors.binding import binding_cursor
from twins.selectors.readings import scan_readings
from twins.selectors.watching import (
    Corrected,
    WatchedSensor,
    corrected_sensors,
    never_watched,
    newly_read,
    silent_since,
)
from twins.services.findings import KINDS, replace_findings
from twins.services.patterns import rewind_patterns

MOST_A_ROUND = 2_000
NEW_A_ROUND = 20
"""Sensors watched for the first time in one round: each is taught from its past, which is the dear part."""
_TAUGHT_READINGS = 5_000
"""Readings that fill the memory of the detector."""
_FIRST_LOOK, _SHORTEST_LOOK, _LONGEST_LOOK = timedelta(days=7), timedelta(hours=1), timedelta(days=60)
"""How much of the past a sensor without a declared interval is taught from; bounds for those with one."""
_AT_ONCE = 500
"""States in one statement, of some kilobytes each."""
KEPT = timedelta(days=90)
MOST_KEPT = 1_000_000
_LOCK = 7_305_003

_State = tuple[int, datetime, bytes]
"""Of a sensor: until when it was looked at, and what is stored of its detector."""


def watch_arrivals(*, now: datetime, limit: int = MOST_A_ROUND) -> int:
    """Look at what has arrived at up to `limit` sensors, the longest waiting first; how many sensors were looked at.

    Runs once at a time; a second one returns 0.
    """
    with transaction.atomic():
        if not _alone():
            return 0
        again = _watch_again(now)
        known = newly_read(now=now, limit=limit)
        waiting = [*known, *never_watched(now=now, limit=min(NEW_A_ROUND, max(0, limit - len(known))))]
        scans: dict[int, list[WatchedSensor]] = defaultdict(list)
        for one in waiting:
            scans[_reach(one, now)].append(one)
        found = [finding for group in scans.values() for finding in _advance(group, now)]
        _store(found, {one.sensor: one.asset for one in waiting})
    return again + len(waiting)


def _watch_again(now: datetime) -> int:
    """Teach sensors of which readings were overwritten anew from their past, and find anew from there on; how many."""
    corrected = corrected_sensors(now=now, limit=NEW_A_ROUND)
    if not corrected:
        return 0
    # Taken as never watched, which also says how far back their past is read.
    again = [(each, replace(each.one, until=None, state=None)) for each in corrected if _was_seen(each)]
    again = [(each, one) for each, one in again if each.last >= _since(one, now)]
    for each, one in again:
        found = _advance([one], now)
        since = max(each.first, _since(one, now))
        replace_findings(sensor=one.sensor, asset=one.asset, found=found, since=since)
    rewind_patterns(corrected={each.one.sensor: each.first for each in corrected}, now=now)
    if again:
        events.publish("findings", {"assets": sorted({one.asset for _, one in again})})
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE twins_correction SET watched = true WHERE NOT watched AND sensor_id = ANY(%s) AND id <= %s",
            [[each.one.sensor for each in corrected], max(each.correction for each in corrected)],
        )
    return len(again)


def _was_seen(corrected: Corrected) -> bool:
    state = corrected.one.state
    return state is not None and microseconds(corrected.first) <= detector.read_until(detector.load_state(state))


def notice_silence(*, now: datetime, limit: int = MOST_A_ROUND) -> int:
    """Look for sensors of which nothing was read for long; how many fell silent. What never comes tells nobody."""
    with transaction.atomic():
        if not _alone():
            return 0
        quiet = silent_since(now=now, limit=limit)
        found = _find_silence(quiet, now)
        _store(found, {one.sensor: one.asset for one in quiet})
    return len(found)


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def _since(one: WatchedSensor, now: datetime) -> datetime:
    """From when on its readings are looked at."""
    if one.until is not None:
        return one.until
    if one.watched.interval is None:
        return now - _FIRST_LOOK
    wanted = timedelta(seconds=_TAUGHT_READINGS * min(one.watched.interval, _LONGEST_LOOK.total_seconds()))
    return now - min(max(wanted, _SHORTEST_LOOK), _LONGEST_LOOK)


def _reach(one: WatchedSensor, now: datetime) -> int:
    """Sensors that need about equally old readings share a scan: one that was away does not make all read far."""
    return int((now - _since(one, now)) / timedelta(minutes=10)).bit_length()


def _advance(waiting: Sequence[WatchedSensor], now: datetime) -> list[detector.Finding]:
    start = min(_since(one, now) for one in waiting)
    # To the microsecond: what is dated later than now is read when its time has come.
    table = scan_readings(sensors=[one.sensor for one in waiting], start=start, end=now + timedelta(microseconds=1))
    readings, end = Readings(table), microseconds(now)
    states: list[_State] = []
    found: list[detector.Finding] = []
    for one in waiting:
        state = detector.load_state(one.state) if one.state is not None else detector.new_state()
        since = microseconds(_since(one, now))
        found += detector.watch(one.watched, state, *readings.between(one.sensor, since, end))
        # Nothing good up to now counts as looked at too, or a sensor that sends only bad readings is read for ever.
        until = max(one.newest, one.until or one.newest)
        states.append((one.sensor, until, detector.dump_state(state)))
    _write(states)
    return found


def _find_silence(quiet: Sequence[WatchedSensor], now: datetime) -> list[detector.Finding]:
    states: list[_State] = []
    found: list[detector.Finding] = []
    for one in quiet:
        if one.state is None or one.until is None:
            continue
        state = detector.load_state(one.state)
        finding = detector.find_silence(one.watched, state, now=microseconds(now))
        if finding is not None:
            found.append(finding)
            states.append((one.sensor, one.until, detector.dump_state(state)))
    _write(states)
    return found


def _write(states: Sequence[_State]) -> None:
    rows = sorted(states)
    with binding_cursor(binary=True) as cursor:
        for at in range(0, len(rows), _AT_ONCE):
            columns = zip(*rows[at : at + _AT_ONCE], strict=True)
            cursor.execute(_KEEP_STATES, [list(column) for column in columns])


# Bytes as bytes: a state is 8 kB, which the framework would write in 16 kB of digits.
_KEEP_STATES = """
INSERT INTO twins_sensorstate (sensor_id, until, state)
SELECT * FROM unnest(%s::int[], %s::timestamptz[], %b::bytea[])
ON CONFLICT (sensor_id) DO UPDATE SET until = excluded.until, state = excluded.state
"""


def _store(found: Sequence[detector.Finding], assets: dict[int, int]) -> None:
    """Write what began, end what is over, and tell."""
    began = [one for one in found if one.begins]
    rows = [
        Finding(
            sensor_id=one.sensor,
            asset_id=assets[one.sensor],
            kind=KINDS[one.kind],
            started_at=from_microseconds(one.time),
            value=one.value,
            score=one.score,
        )
        for one in began
    ]
    Finding.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)
    _end([one for one in found if not one.begins])
    if found:
        events.publish("findings", {"assets": sorted({assets[one.sensor] for one in found})})


def _end(ended: Sequence[detector.Finding]) -> None:
    """End what is over: the first ending of each sensor and kind, in order of time, then the second, and so on."""
    turns: defaultdict[int, list[tuple[int, str, datetime]]] = defaultdict(list)
    seen: Counter[tuple[int, detector.Kind]] = Counter()
    for one in sorted(ended, key=lambda one: (one.sensor, one.kind, one.time)):
        turns[seen[one.sensor, one.kind]].append((one.sensor, KINDS[one.kind].value, from_microseconds(one.time)))
        seen[one.sensor, one.kind] += 1
    with binding_cursor(prepared=False) as cursor:
        for _, rows in sorted(turns.items()):
            sensors, kinds, times = zip(*rows, strict=True)
            cursor.execute(_END, [integers(sensors), list(kinds), list(times)])


# The oldest that is open and began before.
_END = """
UPDATE twins_finding SET ended_at = ended.time FROM (
    SELECT oldest.id, ending.time FROM unnest(%s::int[], %s::text[], %s::timestamptz[]) AS ending(sensor, kind, time)
    CROSS JOIN LATERAL (
        SELECT id FROM twins_finding WHERE sensor_id = ending.sensor AND kind = ending.kind AND ended_at IS NULL
        AND started_at <= ending.time ORDER BY started_at LIMIT 1) oldest) ended
WHERE twins_finding.id = ended.id
"""


def prune_findings(*, now: datetime) -> int:
    """Drop findings that are old, or more than the store is meant to hold, the oldest first; open ones stay longest."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM twins_finding WHERE found_at < %s AND (ended_at IS NOT NULL OR kind = 'novelty')", [now - KEPT]
        )
        gone = cursor.rowcount
        cursor.execute(
            "DELETE FROM twins_finding WHERE id IN "
            "(SELECT id FROM twins_finding ORDER BY found_at DESC, id DESC OFFSET %s)",
            [MOST_KEPT],
        )
        return gone + cursor.rowcount
