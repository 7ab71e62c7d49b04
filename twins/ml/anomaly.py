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
from typing import NamedTuple

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
    KEPT,
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
    """All of it as it was at one time; None: what is stored stands, or nothing is."""
    recent: bytes = b""
    """Its head now, and the means since then; empty: nothing has changed since."""


class States(NamedTuple):
    """States of several sensors."""

    rows: Floats
    """[sensors, STATE_SIZE]"""
    blocks: Ints
    """How many blocks each had when it was stored as a whole, -1 for none."""


def load_states(stored: Sequence[Stored]) -> States:
    """States of stored bytes; new ones of nothing or another version, because learning again takes little."""
    new = new_state()
    nothing = bytes(new.nbytes)
    wholes = [one.whole if one.whole and len(one.whole) == len(nothing) else None for one in stored]
    # Put together in memory that can be written to, so that it is not copied again.
    joined = np.frombuffer(bytearray().join([whole or nothing for whole in wholes]), "<f8")
    rows = joined.astype(np.float64, copy=False).reshape(-1, STATE_SIZE)
    blocks = rows[:, AT_BLOCKS].astype(np.int64)
    known = (rows[:, AT_VERSION] == NUMBER) & np.array([whole is not None for whole in wholes], np.bool_)
    rows[~known], blocks[~known] = new, -1
    for row in np.flatnonzero(known).tolist():
        if recent := stored[row].recent:
            _go_on(rows[row], np.frombuffer(recent, "<f8"))
    return States(rows, blocks)


def _go_on(state: Floats, recent: Floats) -> None:
    """Bring a state to where its head and the means since then say."""
    first, count = int(state[AT_BLOCKS]) % KEPT, len(recent) - HEAD
    state[:HEAD] = recent[:HEAD]
    upto = min(count, KEPT - first)
    state[HEAD + first : HEAD + first + upto] = recent[HEAD : HEAD + upto]
    state[HEAD : HEAD + count - upto] = recent[HEAD + upto :]


def dump_states(states: States) -> list[Stored]:
    """What is to be stored of each: what is recent, or all of it where that has become too much or there is nothing."""
    made = np.where(states.blocks < 0, RECENT + 1, states.rows[:, AT_BLOCKS].astype(np.int64) - states.blocks)
    return [
        Stored(_bytes(row)) if count > RECENT else Stored(None, _bytes(_recent(row, block % KEPT, count)))
        for row, block, count in zip(states.rows, states.blocks.tolist(), made.tolist(), strict=True)
    ]


def _bytes(numbers: Floats) -> bytes:
    return numbers.astype("<f8", copy=False).tobytes()


def _recent(state: Floats, first: int, count: int) -> Floats:
    """The head of a state and so many means from one on."""
    upto = HEAD + min(first + count, KEPT)
    return np.concatenate([state[:HEAD], state[HEAD + first : upto], state[HEAD : HEAD + max(first + count - KEPT, 0)]])


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
    times, values = times.view(), values.view()
    # Told apart by the compiler, so always the same.
    times.flags.writeable = values.flags.writeable = False
    # Compiled at first use: neither a web server nor a notebook that only reads should wait for it.
    from twins.ml.anomaly_loop import advance_all

    told: list[Finding] = []
    found = np.empty((_MOST + 2 * len(watched), 6))
    done = 0
    while done < len(watched):
        done, count = advance_all(done, states, times, values, bounds, limits, every, measures, _MOST, found)
        told += [
            Finding(watched[int(row)].sensor, Kind(int(kind)), int(time), value, score, bool(begins))
            for kind, time, value, score, begins, row in found[:count].tolist()
        ]
    return told


def find_silence(watched: Watched, state: Floats, *, now: int) -> Finding | None:
    """The beginning of a gap, told once, when a sensor should have been read long before `now`."""
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
