"""What is unlike anything before, found on arrival in one pass: novelty, flat lines, gaps and limits of each sensor.

Novelty needs no failure data and no unit: readings are joined to means of four, and the last six means are compared
with the nearest of the last thousand such windows (a matrix profile to the left, Yeh et al. 2016, on coarse steps). The
distance is judged against its own decaying maximum, whose half-life grows with the stream, so that a young stream is
quick to learn what is usual and an old one slow to forget it. What rises near that maximum is an onset; while it lasts
nothing more is said. Stuck values, silence and limits are not novel, so plain checks stand beside it.

The state of a sensor is one row of numbers, which is also what is stored; NaN never enters it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from twins.ml.lives import Floats, Ints
from twins.ml.states import (
    AT_EVERY,
    AT_GONE,
    AT_ROSE,
    AT_SEEN,
    AT_TIME,
    AT_TOLD,
    AT_VALUE,
    AT_VERSION,
    LEARNED,
    NUMBER,
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


def dump_state(state: Floats) -> bytes:
    """The row as bytes, little-endian."""
    return state.astype("<f8").tobytes()


def load_state(content: bytes) -> Floats:
    """The row of stored bytes; a new one when they are of another version, because learning again takes little."""
    if len(content) == 8 * STATE_SIZE:
        state = np.frombuffer(content, "<f8").astype(np.float64)
        if state[AT_VERSION] == NUMBER:
            return state
    return new_state()


def read_until(state: Floats) -> int:
    """Time in microseconds of the newest reading the state knows, 0 for none."""
    return int(state[AT_TIME])


def watch(watched: Watched, state: Floats, times: Ints, values: Floats) -> list[Finding]:
    """Advance `state` in place by readings in order of time, and say what began or ended.

    Readings not newer than the state are passed over: given twice, they count once. So is what is not a number.
    """
    fresh = np.isfinite(values) & (times > read_until(state))
    times, values = times[fresh], values[fresh]
    if not len(times):
        return []
    limits = np.array([np.nan if bound is None else bound for bound in (watched.low, watched.high)])
    found = np.empty((_MOST, 5))
    every = 0.0 if watched.interval is None else watched.interval * 1e6
    # Compiled at first use: neither a web server nor a notebook that only reads should wait for it.
    from twins.ml.anomaly_loop import advance

    count = advance(state, times, values, limits, every, watched.measures, found)
    return [
        Finding(watched.sensor, Kind(int(kind)), int(time), float(value), float(score), bool(begins))
        for kind, time, value, score, begins in found[:count]
    ]


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


def watch_all(
    watched: Sequence[Watched], states: Sequence[Floats], readings: Sequence[tuple[Ints, Floats]]
) -> list[Finding]:
    """`watch` for many sensors; findings in order of sensors, then of time."""
    pairs = zip(watched, states, readings, strict=True)
    return [finding for one, state, (times, values) in pairs for finding in watch(one, state, times, values)]
