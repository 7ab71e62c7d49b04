"""What the sensors of one part say together: unusual combinations of values that are each usual (decision 12).

Hotelling's T2 of an exponentially weighted mean (Lowry et al. 1992): each row of values is standardised, smoothed, and
its Mahalanobis distance from the calm beginning compared with what calm rows that taught nothing had. The state
persists: it is unusual from the row that makes it so until it has been usual for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from twins.ml.lives import Floats, Ints
from twins.ml.readings import Readings

ALPHA, SHRINKAGE = 0.07, 0.1
TAUGHT, HELD_OUT = 300, 150
"""Calm rows that teach mean and covariance, and those that set the limit."""
_ABOVE = 3.0
"""The limit over the 99 % point of the rows held out."""
_RISES, _FALLS = 4, 16
"""Rows in a row above the limit that begin a pattern, and below it that end one."""
STALE = 10
"""Steps after which a value that was not read anew is missing; a row with a missing value is left out."""
REMEMBERED = 200
"""Rows after which nothing is left of one in the mean, to a millionth."""
_VERSION = 1.0


@dataclass(frozen=True)
class PatternState:
    """What is known of one part."""

    sensors: tuple[int, ...]
    step: int
    """Microseconds between rows."""
    until: int
    """Time of the newest row, 0 for none."""
    rows: Floats
    """[rows, sensors] kept until there are enough to learn from; empty afterwards."""
    centre: Floats
    scale: Floats
    inverse: Floats
    """[sensors, sensors] of the smoothed rows."""
    mean: Floats
    """[sensors] smoothed row now."""
    limit: float
    run: int
    """Rows in a row that contradict the state."""
    unusual: bool


@dataclass(frozen=True)
class PatternChange:
    """A pattern begins or ends."""

    time: int
    score: float
    """T2 over its limit."""
    begins: bool


def new_pattern(sensors: tuple[int, ...], *, step: int) -> PatternState:
    """The state of a part of which nothing was read; `step` is the longest of the usual intervals."""
    count = len(sensors)
    nothing = np.zeros(0)
    return PatternState(
        sensors=sensors, step=step, until=0, rows=np.zeros((0, count)), centre=nothing, scale=nothing,
        inverse=np.zeros((0, 0)), mean=np.zeros(count), limit=0.0, run=0, unusual=False,
    )  # fmt: skip


def advance_pattern(state: PatternState, readings: Readings, *, until: int) -> tuple[PatternState, list[PatternChange]]:
    """Go on with readings up to `until`; rows that the state knows are passed over, so that nothing counts twice."""
    times, rows = _rows(state, readings, until)
    if not len(times):
        return state, []
    if not len(state.inverse):
        gathered = np.vstack([state.rows, rows])
        if len(gathered) < TAUGHT + HELD_OUT:
            return replace(state, rows=gathered, until=int(times[-1])), []
        # What taught is not judged; rows beyond it are.
        spare = len(gathered) - TAUGHT - HELD_OUT
        state = _learn(state, gathered[: TAUGHT + HELD_OUT])
        times, rows = times[len(times) - spare :], rows[len(rows) - spare :]
        if not spare:
            return replace(state, until=until - until % state.step), []
    smoothed = _smooth(state.mean, (rows - state.centre) / state.scale)
    score = _distance(smoothed, state.inverse) / state.limit
    run, unusual, changes = _walk(state, times, score)
    return replace(state, until=int(times[-1]), mean=smoothed[-1], run=run, unusual=unusual), changes


def rewind_pattern(state: PatternState, readings: Readings, *, until: int, unusual: bool) -> PatternState:
    """The learned state as it was at an earlier row, from readings of REMEMBERED steps before; what it had found by
    then is `unusual`."""
    until -= until % state.step
    nothing = np.zeros(len(state.sensors))
    begun = replace(state, until=until - REMEMBERED * state.step, mean=nothing, run=0, unusual=unusual)
    gone, _ = advance_pattern(begun, readings, until=until)
    return replace(gone, until=until, unusual=unusual, run=gone.run if gone.unusual == unusual else 0)


def dump_pattern(state: PatternState) -> bytes:
    """Numbers, little-endian."""
    head = [_VERSION, len(state.sensors), state.step, state.until, len(state.rows), len(state.inverse), state.limit]
    head += [float(state.run), float(state.unusual)]
    arrays = [np.array(state.sensors), state.rows, state.centre, state.scale, state.inverse, state.mean]
    return np.concatenate([np.array(head, np.float64), *(array.ravel() for array in arrays)]).astype("<f8").tobytes()


def load_pattern(content: bytes) -> PatternState | None:
    """The state of stored bytes; None for another version, which is learned anew."""
    numbers = np.frombuffer(content, "<f8").astype(np.float64)
    if len(numbers) < 9 or numbers[0] != _VERSION:
        return None
    count, step, until, kept, fitted = (int(number) for number in numbers[1:6])
    known = count if fitted else 0
    sizes = [count, kept * count, known, known, known * known, count]
    if len(numbers) != 9 + sum(sizes):
        return None
    sensors, rows, centre, scale, inverse, mean = np.split(numbers[9:], np.cumsum(sizes)[:-1])
    return PatternState(
        sensors=tuple(int(sensor) for sensor in sensors), step=step, until=until, rows=rows.reshape(kept, count),
        centre=centre, scale=scale, inverse=inverse.reshape(known, known), mean=mean, limit=float(numbers[6]),
        run=int(numbers[7]), unusual=bool(numbers[8]),
    )  # fmt: skip


def _rows(state: PatternState, readings: Readings, until: int) -> tuple[Ints, Floats]:
    """Whole rows on the grid of steps after the state: of every sensor the newest value that is not stale."""
    start = state.until
    if not start:
        firsts = [readings.between(sensor, 0, until)[0] for sensor in state.sensors]
        if not all(len(times) for times in firsts):
            return np.zeros(0, np.int64), np.zeros((0, len(state.sensors)))
        start = max(int(times[0]) for times in firsts)
        start -= start % state.step
    grid = np.arange(start + state.step, until + 1, state.step, dtype=np.int64)
    rows = np.full((len(grid), len(state.sensors)), np.nan)
    for column, sensor in enumerate(state.sensors):
        times, values = readings.between(sensor, start - STALE * state.step, until)
        if len(times) and len(grid):
            place = np.searchsorted(times, grid, "right") - 1
            fresh = (place >= 0) & (grid - times[np.maximum(place, 0)] <= STALE * state.step)
            rows[fresh, column] = values[place[fresh]]
    whole = np.isfinite(rows).all(axis=1)
    return grid[whole], rows[whole]


def _learn(state: PatternState, rows: Floats) -> PatternState:
    taught = rows[:TAUGHT]
    centre, scale = taught.mean(axis=0), taught.std(axis=0)
    # What never changed while it was learned says nothing, whatever it does later.
    scale = np.where(scale > 1e-9 * (1 + np.abs(centre)), scale, np.inf)
    smoothed = _smooth(np.zeros(rows.shape[1]), (rows - centre) / scale)
    # The smoothed mean begins at nothing and is as wide as it gets after some rows.
    covariance = np.atleast_2d(np.cov(smoothed[int(2 / ALPHA) : TAUGHT].T))
    spread = np.diag(np.maximum(np.diag(covariance), 1e-9))
    inverse = np.asarray(np.linalg.inv((1 - SHRINKAGE) * covariance + SHRINKAGE * spread), np.float64)
    limit = _ABOVE * float(np.quantile(_distance(smoothed[TAUGHT:], inverse), 0.99))
    return replace(
        state, rows=np.zeros((0, rows.shape[1])), centre=centre, scale=scale, inverse=inverse, mean=smoothed[-1],
        limit=max(limit, 1e-9),
    )  # fmt: skip


def _smooth(mean: Floats, rows: Floats) -> Floats:
    smoothed = np.empty_like(rows)
    for number, row in enumerate(rows):
        mean = smoothed[number] = (1 - ALPHA) * mean + ALPHA * row
    return smoothed


def _distance(smoothed: Floats, inverse: Floats) -> Floats:
    return np.asarray(np.einsum("ij,jk,ik->i", smoothed, inverse, smoothed), np.float64)


def _walk(state: PatternState, times: Ints, score: Floats) -> tuple[int, bool, list[PatternChange]]:
    run, unusual, changes = state.run, state.unusual, []
    for time, value in zip(times, score, strict=True):
        run = run + 1 if (value > 1) != unusual else 0
        if run >= (_FALLS if unusual else _RISES):
            unusual, run = not unusual, 0
            changes.append(PatternChange(int(time), float(value), unusual))
    return run, unusual, changes
