"""Accepted readings are watched on arrival: the detector of each sensor goes on from its stored state.

What must be looked at is derived: sensors whose newest compacted reading is later than their state. States and findings
are written in one transaction, and a state passes over readings it knows, so a worker killed anywhere repeats its work
without counting anything twice. A sensor of which readings were overwritten is taught anew from its past. Readings from
the future wait until their time has come, so that a clock that jumped ahead does not make its sensor blind.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate

import numpy as np
from django.db import connection, transaction

from twins import events
from twins.lake import microseconds
from twins.ml import Readings
from twins.ml import anomaly as detector
from twins.selectors.arrays import floats, integers, words
from twins.selectors.binding import binding_cursor
from twins.selectors.readings import later_readings
from twins.selectors.watching import (
    Corrected,
    WatchedSensor,
    corrected_sensors,
    never_watched,
    newly_read,
    silent_since,
    stored_heads,
    stored_states,
)
from twins.services.compaction import much_waits
from twins.services.findings import KINDS, replace_findings
from twins.services.patterns import rewind_patterns

MOST_A_ROUND = 2_000
NEW_A_ROUND = 20
"""Sensors watched for the first time in one round: each is taught from its past, which is the dear part."""
TAUGHT_WITHIN = 1.0
"""Seconds after which a look begins no further round of new sensors: a plant of thousands is watched after minutes, and
meanwhile what is new of the others waits no longer than it may."""
_TAUGHT_READINGS = 5_000
"""Readings that fill the memory of the detector."""
_FIRST_LOOK, _SHORTEST_LOOK, _LONGEST_LOOK = timedelta(days=7), timedelta(hours=1), timedelta(days=60)
"""How much of the past a sensor without a declared interval is taught from; bounds for those with one."""
_AT_ONCE = 100
"""States in memory, of 8 kB each: what is no longer than a megabyte is not asked of the system each time anew."""
PUT_OFF = 8.0
"""Seconds for which a process puts off looking at most."""
KEPT = timedelta(days=90)
MOST_KEPT = 1_000_000
_LOCK = 7_305_003

_Looked = tuple[int, datetime]
"""A sensor, and until when it was looked at."""


class _Delay:
    """For how long this process has put off looking."""

    def __init__(self) -> None:
        self._since: float | None = None

    def lasts(self) -> bool:
        """Whether it may go on, from now at the latest."""
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        return now - self._since < PUT_OFF

    def end(self) -> None:
        self._since = None


_delay = _Delay()


class _Walk:
    """How far this process has come in its search for new sensors. Only a hint: what nobody has looked at stays so
    until somebody comes by, so a process that begins anew, or several of them, miss nothing."""

    def __init__(self) -> None:
        self._after = 0

    def next(self, *, now: datetime, limit: int) -> list[WatchedSensor]:
        """New sensors behind those that were given before, from the first again when there are no more."""
        begun = self._after
        found, self._after = never_watched(now=now, limit=limit, after=begun)
        if begun and not found and not self._after:
            found, self._after = never_watched(now=now, limit=limit)
        return found


_walk = _Walk()


def watch_due(*, now: datetime) -> int:
    """`watch_arrivals`, but while much is about to become files put off for some seconds: a look costs by the number of
    sensors, however many readings there are of each, and then one does for several."""
    if much_waits() and _delay.lasts():
        return 0
    _delay.end()
    begun, looked = time.monotonic(), watch_arrivals(now=now)
    while (new := watch_new(now=now)) and time.monotonic() - begun < TAUGHT_WITHIN:
        looked += new
    return looked + new


def watch_arrivals(*, now: datetime, limit: int = MOST_A_ROUND) -> int:
    """Look at what has arrived at up to `limit` sensors, the longest waiting first; how many sensors were looked at.

    Runs once at a time; a second one returns 0.
    """
    with transaction.atomic():
        if not _alone():
            return 0
        again = _watch_again(now)
        known = newly_read(now=now, limit=limit)
        waiting = [*known, *_walk.next(now=now, limit=min(NEW_A_ROUND, limit - len(known)))]
        _look_at(waiting, now)
    return again + len(waiting)


def watch_new(*, now: datetime) -> int:
    """Look at up to NEW_A_ROUND sensors that nobody has looked at; how many. Runs once at a time, as the other does."""
    with transaction.atomic():
        waiting = _walk.next(now=now, limit=NEW_A_ROUND) if _alone() else []
        _look_at(waiting, now)
    return len(waiting)


def _look_at(waiting: Sequence[WatchedSensor], now: datetime) -> None:
    scans: dict[int, list[WatchedSensor]] = defaultdict(list)
    for one in waiting:
        scans[_reach(one, now)].append(one)
    found = [finding for group in scans.values() for finding in _advance(group, now)]
    _store(found, {one.sensor: one.asset for one in waiting})


def _watch_again(now: datetime) -> int:
    """Teach sensors of which readings were overwritten anew from their past, and find anew from there on; how many."""
    corrected = corrected_sensors(now=now, limit=NEW_A_ROUND)
    if not corrected:
        return 0
    # Taken as never watched, which also says how far back their past is read.
    again = [(each, replace(each.one, until=None)) for each in _seen(corrected)]
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


def _seen(corrected: Sequence[Corrected]) -> list[Corrected]:
    """Those of which readings were looked at before they were overwritten."""
    states = _states([each.one for each in corrected])
    pairs = zip(corrected, states.rows, strict=True)
    return [each for each, state in pairs if microseconds(each.first) <= detector.read_until(state)]


def notice_silence(*, now: datetime, limit: int = MOST_A_ROUND) -> int:
    """Look for sensors of which nothing was read for long; how many fell silent. What never comes tells nobody."""
    with transaction.atomic():
        if not _alone():
            return 0
        quiet = _silent(silent_since(now=now, limit=limit), now)
        found = [finding for some in _portions(quiet) for finding in _find_silence(some, now)]
        _store(found, {one.sensor: one.asset for one in quiet})
    return len(found)


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        return bool(cursor.fetchone()[0])


def _since(one: WatchedSensor, now: datetime) -> datetime:
    """The instant after which its readings are looked at."""
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
    # To the microsecond: what is dated later than now is read when its time has come.
    end = now + timedelta(microseconds=1)
    table = later_readings(after={one.sensor: _since(one, now) for one in waiting}, end=end)
    readings = Readings(table)
    return [finding for some in _portions(waiting) for finding in _watch(some, readings, now)]


def _watch(some: Sequence[WatchedSensor], readings: Readings, now: datetime) -> list[detector.Finding]:
    states = _states(some)
    found = detector.watch_all(
        [one.watched for one in some],
        states.rows,
        readings.time,
        readings.value,
        bounds=np.array([readings.bounds(one.sensor) for one in some]),
    )
    # Nothing good up to now counts as looked at too, or a sensor that sends only bad readings is read for ever.
    _write([(one.sensor, max(one.newest, one.until or one.newest)) for one in some], states)
    return found


def _silent(quiet: Sequence[WatchedSensor], now: datetime) -> list[WatchedSensor]:
    """Those of which there is something to tell. Of slow ones, and those too young to tell, there is nothing, every
    minute anew, so that only the beginnings of their states are read."""
    stored, instant = stored_heads(one.sensor for one in quiet), microseconds(now)
    heads = (detector.load_head(stored.get(one.sensor, b"")) for one in quiet)
    return [
        one
        for one, head in zip(quiet, heads, strict=True)
        if detector.find_silence(one.watched, head, now=instant) is not None
    ]


def _find_silence(quiet: Sequence[WatchedSensor], now: datetime) -> list[detector.Finding]:
    states = _states(quiet)
    looked: list[_Looked] = []
    found: dict[int, detector.Finding] = {}
    for row, one in enumerate(quiet):
        finding = detector.find_silence(one.watched, states.rows[row], now=microseconds(now))
        if finding is not None and one.until is not None:
            found[row] = finding
            looked.append((one.sensor, one.until))
    rows = list(found)
    _write(looked, detector.States(states.rows[rows], states.blocks[rows]))
    return list(found.values())


def _portions(sensors: Sequence[WatchedSensor]) -> Iterator[Sequence[WatchedSensor]]:
    return (sensors[at : at + _AT_ONCE] for at in range(0, len(sensors), _AT_ONCE))


def _states(sensors: Sequence[WatchedSensor]) -> detector.States:
    """The state of each, a new one of whoever was never looked at, or is as if."""
    stored, nothing = stored_states(one.sensor for one in sensors if one.until is not None), detector.Stored(None)
    return detector.load_states([stored.get(one.sensor, nothing) for one in sensors])


def _write(looked: Sequence[_Looked], states: detector.States) -> None:
    """Keep states: as a whole where they must be, else what is recent of them."""
    for statement, dumped in zip((_KEEP_WHOLE, _KEEP_RECENT), detector.dump_states(states), strict=True):
        if dumped.rows:
            sensors, until = zip(*(looked[row] for row in dumped.rows), strict=True)
            firsts = [end - size + 1 for end, size in zip(accumulate(dumped.sizes), dumped.sizes, strict=True)]
            numbers = (sensors, map(microseconds, until), firsts, dumped.sizes)
            with binding_cursor() as cursor:
                cursor.execute(statement, [dumped.content, *map(integers, numbers)])


# Bytes as bytes, and all in one piece: they would be written in twice as many digits, or looked at one by one.
_KEEP_WHOLE = """
INSERT INTO twins_sensorstate (sensor_id, until, state)
SELECT sensor, to_timestamp(0) + until * interval '1 microsecond', substr(%b::bytea, first, size)
FROM unnest(%s::int[], %s::bigint[], %s::int[], %s::int[]) AS new(sensor, until, first, size)
ON CONFLICT (sensor_id) DO UPDATE SET until = excluded.until, state = excluded.state, recent = ''
"""
_KEEP_RECENT = """
UPDATE twins_sensorstate known
SET recent = substr(%b::bytea, first, size), until = to_timestamp(0) + new.until * interval '1 microsecond'
FROM unnest(%s::int[], %s::bigint[], %s::int[], %s::int[]) AS new(sensor, until, first, size)
WHERE known.sensor_id = new.sensor
"""


def _store(found: Sequence[detector.Finding], assets: dict[int, int]) -> None:
    """Write what began, end what is over, and tell."""
    began = [one for one in found if one.begins]
    columns = [
        integers(one.sensor for one in began),
        integers(assets[one.sensor] for one in began),
        words(KINDS[one.kind].value for one in began),
        integers(one.time for one in began),
        floats(one.value for one in began),
        floats(one.score for one in began),
    ]
    if began:
        with binding_cursor(prepared=False) as cursor:
            cursor.execute(_BEGIN, columns)
    _end([one for one in found if not one.begins])
    if found:
        events.publish("findings", {"assets": sorted({assets[one.sensor] for one in found})})


def _end(ended: Sequence[detector.Finding]) -> None:
    """End what is over: the first ending of each sensor and kind, in order of time, then the second, and so on."""
    turns: defaultdict[int, list[tuple[int, str, int]]] = defaultdict(list)
    seen: Counter[tuple[int, detector.Kind]] = Counter()
    for one in sorted(ended, key=lambda one: (one.sensor, one.kind, one.time)):
        turns[seen[one.sensor, one.kind]].append((one.sensor, KINDS[one.kind].value, one.time))
        seen[one.sensor, one.kind] += 1
    with binding_cursor(prepared=False) as cursor:
        for _, rows in sorted(turns.items()):
            sensors, kinds, times = zip(*rows, strict=True)
            cursor.execute(_END, [integers(sensors), words(kinds), integers(times)])


# What is there already was found by a run before.
_BEGIN = """
INSERT INTO twins_finding (sensor_id, asset_id, kind, started_at, value, score)
SELECT sensor, asset, kind, to_timestamp(0) + time * interval '1 microsecond', value, score
FROM unnest(%s::int[], %s::bigint[], %s::text[], %s::bigint[], %s::float8[], %s::float8[])
     AS new(sensor, asset, kind, time, value, score)
ON CONFLICT DO NOTHING
"""
# The oldest that is open and began before.
_END = """
UPDATE twins_finding SET ended_at = ended.time FROM (
    SELECT oldest.id, ending.time FROM (
        SELECT sensor, kind, to_timestamp(0) + at * interval '1 microsecond' AS time
        FROM unnest(%s::int[], %s::text[], %s::bigint[]) AS given(sensor, kind, at)) ending
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
