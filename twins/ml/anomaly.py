"""What is unlike anything before, found on arrival in one pass: novelty, flat lines, gaps and limits of each sensor.

Novelty needs no failure data and no unit: readings are joined to means of four, and the last six means are compared
with the nearest of the last thousand such windows (a matrix profile to the left, Yeh et al. 2016, on coarse steps). The
distance is judged against its own decaying maximum, whose half-life grows with the stream, so that a young stream is
quick to learn what is usual and an old one slow to forget it. What rises near that maximum is an onset; while it lasts
nothing more is said. Stuck values, silence and limits are not novel, so plain checks stand beside it.

The state of a sensor is one row of numbers; NaN never enters it. It is stored as it was at one time and, apart from
that, with what has changed since: a few means and its head, where the whole would be written for every new reading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from twins.ml.lives import Floats, Ints
from twins.ml.states import (
    AT_BLOCKS,
    AT_EVERY,
    AT_GONE,
    AT_ROSE,
    AT_SEEN,
    AT_TIME,
    AT_TOLD,
    AT_VALUE,
    AT_VERSION,
    HEAD,
    LEARNED,
    NUMBER,
    RECENT,
    REST,
    SILENT,
    STATE_SIZE,
)

_MOST = 200
"""Findings of one sensor in one call; a broken sensor must not fill a store."""


class Kind(IntEnum):
    """What was found."""

    NOVELTY = 0
    FLAT_LINE = 1
    GAP = 2
    LIMIT = 3


@dataclass(frozen=True)
class Finding:
    """Something began or ended at a sensor; novelty only begins."""

    sensor: int
    kind: Kind
    time: int
    """Microseconds since 1970: when it began, or when it was over."""
    value: float
    """The reading that showed it."""
    score: float
    """Novelty: log of its distance over the decaying maximum. Flat line: equal readings. Gap: usual intervals."""
    begins: bool


@dataclass(frozen=True)
class Watched:
    """A sensor and what is allowed of it."""

    sensor: int
    measures: bool = True
    """A setting or a usage counter is not judged by novelty and may stand still."""
    low: float | None = None
    high: float | None = None
    interval: float | None = None
    """Expected seconds between readings; None: learned."""


def new_state() -> Floats:
    """The state of a sensor of which nothing was read."""
    state = np.zeros(STATE_SIZE)
    state[AT_VERSION], state[AT_ROSE], state[AT_TOLD] = NUMBER, -float(REST), -float(REST)
    return state


class Stored(NamedTuple):
    """What is stored of a state."""

    whole: bytes | None
    """All of it as it was at one time; None: nothing is."""
    recent: bytes = b""
    """Its head now, and the means since then; empty: nothing has changed since."""


class States(NamedTuple):
    """States of several sensors."""

    rows: Floats
    """[sensors, STATE_SIZE]"""
    blocks: Ints
    """How many blocks each had when it was stored as a whole, -1 for none."""


class Dumped(NamedTuple):
    """What is to be stored of some states, one after the other."""

    rows: list[int]
    content: bytes
    sizes: list[int]
    """Bytes of each."""


def load_states(stored: Sequence[Stored]) -> States:
    """States of stored bytes; new ones of nothing or another version, because learning again takes little."""
    new = new_state()
    nothing = bytes(new.nbytes)
    wholes = [one.whole if one.whole and len(one.whole) == len(nothing) else nothing for one in stored]
    # Put together in memory that can be written to, so that it is not copied again.
    rows = np.frombuffer(bytearray().join(wholes), "<f8").astype(np.float64, copy=False).reshape(-1, STATE_SIZE)
    blocks = rows[:, AT_BLOCKS].astype(np.int64)
    unknown = rows[:, AT_VERSION] != NUMBER
    rows[unknown], blocks[unknown] = new, -1
    recent = np.frombuffer(b"".join([one.recent for one in stored]), "<f8").astype(np.float64, copy=False)
    sizes = np.array([len(one.recent) // 8 for one in stored], np.int64)
    if len(recent):
        _loop().put_recent(rows, blocks, recent, sizes)
    return States(rows, blocks)


def load_head(stored: bytes) -> Floats:
    """The beginning of a state, of which `find_silence` needs no more; that of a new one of another version."""
    head = np.frombuffer(stored, "<f8").astype(np.float64)
    return head if len(head) == HEAD and head[AT_VERSION] == NUMBER else new_state()[:HEAD]


def dump_states(states: States) -> tuple[Dumped, Dumped]:
    """Those to be stored as a whole, because nothing is or much has changed, and of the others what is recent."""
    count = len(states.rows)
    recent, sizes = np.empty(count * (HEAD + RECENT)), np.empty(count, np.int64)
    total = _loop().take_recent(states.rows, states.blocks, RECENT, recent, sizes)
    wholes, others = np.flatnonzero(sizes == 0), np.flatnonzero(sizes)
    return (
        Dumped(wholes.tolist(), _bytes(states.rows[wholes]), [8 * STATE_SIZE] * len(wholes)),
        Dumped(others.tolist(), _bytes(recent[:total]), (8 * sizes[others]).tolist()),
    )


def _bytes(numbers: Floats) -> bytes:
    return numbers.astype("<f8", copy=False).tobytes()


def _loop() -> Any:
    # Loaded at first use: neither a web server nor a notebook that only reads should wait for it.
    from twins.ml import anomaly_loop

    return anomaly_loop


def read_until(state: Floats) -> int:
    """Time in microseconds of the newest reading the state knows, 0 for none."""
    return int(state[AT_TIME])


def watch(watched: Watched, state: Floats, times: Ints, values: Floats) -> list[Finding]:
    """`watch_all` for one sensor."""
    return watch_all([watched], state[None], times, values, bounds=np.array([[0, len(times)]]))


def watch_all(
    watched: Sequence[Watched], states: Floats, times: Ints, values: Floats, *, bounds: Ints
) -> list[Finding]:
    """Advance `states` [sensors, STATE_SIZE] in place by readings in order of time, those of each sensor in its row of
    `bounds` [sensors, 2], and say what began or ended, in order of sensors, then of time.

    Readings not newer than the state are passed over: given twice, they count once. So is what is not a number. Of one
    sensor no more than the first 200 findings are told.
    """
    limits = np.array([[np.nan if bound is None else bound for bound in (one.low, one.high)] for one in watched])
    every = np.array([0.0 if one.interval is None else one.interval * 1e6 for one in watched])
    measures = np.array([one.measures for one in watched], np.bool_)
    told: list[Finding] = []
    found = np.empty((_MOST + 2 * len(watched), 6))
    done, loop = 0, _loop()
    while done < len(watched):
        done, count = loop.advance_all(done, states, times, values, bounds, limits, every, measures, _MOST, found)
        told += [
            Finding(watched[int(row)].sensor, Kind(int(kind)), int(time), value, score, bool(begins))
            for kind, time, value, score, begins, row in found[:count].tolist()
        ]
    return told


def find_silence(watched: Watched, state: Floats, *, now: int) -> Finding | None:
    """The beginning of a gap, told once, when a sensor should have been read long before `now`; of `state` only its
    beginning is looked at, and changed."""
    if state[AT_GONE] or state[AT_TIME] == 0:
        return None
    every = watched.interval * 1e6 if watched.interval else (state[AT_EVERY] if state[AT_SEEN] >= LEARNED else 0.0)
    quiet = now - state[AT_TIME]
    if not every or quiet <= SILENT * every:
        return None
    state[AT_GONE] = 1.0
    return Finding(
        watched.sensor, Kind.GAP, int(state[AT_TIME]), float(state[AT_VALUE]), float(quiet / every), begins=True
    )
