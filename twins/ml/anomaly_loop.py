"""The compiled loop of the anomaly detector: every reading once, in order of time. Importing this loads the compiler.

A row of findings is (kind, time, value, score, begins, row of the sensor).
"""

# ruff: noqa: PLR0917 (compiled functions take arrays by position)

from __future__ import annotations

import numpy as np

from twins.ml.compiled import compiled, compiled_at_once
from twins.ml.states import (
    APART,
    AT_BLOCKS,
    AT_CHANGED,
    AT_COUNT,
    AT_EVERY,
    AT_FLAT,
    AT_GONE,
    AT_LONGEST,
    AT_OUT,
    AT_ROSE,
    AT_RUN,
    AT_SEEN,
    AT_SINCE,
    AT_SUM,
    AT_TIME,
    AT_TOLD,
    AT_TOP,
    AT_VALUE,
    BLOCK,
    CHANGES,
    HALF_LIFE,
    HEAD,
    KEPT,
    LEARNED,
    RESOLUTION,
    REST,
    RISES,
    SHORTEST,
    SILENT,
    STUCK,
    STUCK_TIMES,
    SURELY,
    WARM,
    WINDOW,
)

ROOM = KEPT + 3 * WINDOW
"""Numbers that comparing windows needs for a moment."""


@compiled(
    "int64, float64[:, ::1], Array(int64, 1, 'C', readonly=True), Array(float64, 1, 'C', readonly=True), "
    "int64[:, ::1], float64[:, ::1], float64[::1], boolean[::1], int64, float64[:, ::1]"
)
def advance_all(first, states, times, values, bounds, limits, every, measures, most, found):  # type: ignore[no-untyped-def]
    """Advance rows of `states` from `first` on and fill `found`, up to where it may not hold the `most` that one more
    row may find; which row that is, and how many findings there are."""
    count, room = 0, np.empty(ROOM)
    for row in range(first, len(states)):
        if count + most > len(found):
            return row, count
        low, high = bounds[row]
        own = found[count : count + most]
        filled = _advance(
            states[row], times[low:high], values[low:high], limits[row], every[row], measures[row], own, room
        )
        own[:filled, 5] = row
        count += filled
    return len(states), count


@compiled_at_once
def _advance(state, times, values, limits, every, measures, found, room):  # type: ignore[no-untyped-def]
    """Advance `state` by readings newer than it and fill `found` [most, 6]; how many rows of it were filled."""
    count = 0
    for row in range(len(times)):
        time, value = times[row], values[row]
        if time <= state[AT_TIME] or not np.isfinite(value):
            continue
        count = _gap(state, time, value, every, found, count)
        count = _limits(state, time, value, limits, found, count)
        count = _flat_line(state, time, value, measures, found, count)
        state[AT_TIME] = time
        state[AT_VALUE] = value
        if measures:
            count = _novelty(state, time, value, found, count, room)
    return count


@compiled_at_once
def _tell(found, count, kind, time, value, score, begins):  # type: ignore[no-untyped-def]
    if count >= len(found):
        return count
    found[count, 0] = kind
    found[count, 1] = time
    found[count, 2] = value
    found[count, 3] = score
    found[count, 4] = begins
    return count + 1


@compiled_at_once
def _gap(state, time, value, every, found, count):  # type: ignore[no-untyped-def]
    """Silence that was long for this sensor. What the clock has told before has only its end to tell."""
    if state[AT_TIME] == 0:
        return count
    gap = time - state[AT_TIME]
    usual = every
    if usual == 0 and state[AT_SEEN] >= LEARNED:
        usual = state[AT_EVERY]
    if usual > 0 and gap > SILENT * usual and state[AT_GONE] == 0:
        count = _tell(found, count, 2, state[AT_TIME], state[AT_VALUE], gap / usual, 1)
        state[AT_GONE] = 1
    if state[AT_GONE] > 0:
        count = _tell(found, count, 2, time, value, gap / max(usual, 1.0), 0)
        state[AT_GONE] = 0
    if state[AT_SEEN] > 0:
        gap = min(gap, 4 * state[AT_EVERY])
    state[AT_SEEN] += 1
    state[AT_EVERY] += (gap - state[AT_EVERY]) / min(state[AT_SEEN], 50.0)
    return count


@compiled_at_once
def _limits(state, time, value, limits, found, count):  # type: ignore[no-untyped-def]
    # A missing limit is NaN, beyond which nothing lies.
    outside = value < limits[0] or value > limits[1]
    if outside != (state[AT_OUT] > 0):
        count = _tell(found, count, 3, time, value, 0.0, outside)
        state[AT_OUT] = outside
    return count


@compiled_at_once
def _flat_line(state, time, value, measures, found, count):  # type: ignore[no-untyped-def]
    """A run of equal readings much longer than any before; what was found to be stuck does not become usual."""
    if state[AT_TIME] > 0 and value == state[AT_VALUE]:
        state[AT_RUN] += 1
        stuck = state[AT_RUN] >= max(STUCK, STUCK_TIMES * state[AT_LONGEST])
        if measures and stuck and state[AT_FLAT] == 0 and state[AT_CHANGED] >= CHANGES:
            count = _tell(found, count, 1, state[AT_SINCE], value, state[AT_RUN], 1)
            state[AT_FLAT] = 1
        return count
    if state[AT_FLAT] > 0:
        count = _tell(found, count, 1, time, value, state[AT_RUN], 0)
        state[AT_FLAT] = 0
    elif state[AT_TIME] > 0:
        state[AT_LONGEST] = max(state[AT_LONGEST], state[AT_RUN])
        state[AT_CHANGED] += 1
    state[AT_RUN] = 1
    state[AT_SINCE] = time
    return count


@compiled_at_once
def _novelty(state, time, value, found, count, room):  # type: ignore[no-untyped-def]
    """Close a block when it is whole and compare the newest window with those before."""
    state[AT_SUM] += value
    state[AT_COUNT] += 1
    if state[AT_COUNT] < BLOCK:
        return count
    block = int(state[AT_BLOCKS])
    state[HEAD + block % KEPT] = state[AT_SUM] / BLOCK
    state[AT_SUM] = 0
    state[AT_COUNT] = 0
    state[AT_BLOCKS] += 1
    oldest = max(0, block - KEPT + 1)
    if block - oldest < WARM:
        return count
    novelty = _nearest(state, oldest, block, room)
    if novelty <= RESOLUTION * (1.0 + abs(value)):
        novelty = 0.0
    if novelty > 0 and state[AT_TOP] > 0:
        score = np.log(novelty / state[AT_TOP])
        if score >= RISES:
            quiet = block - state[AT_ROSE] > REST
            if quiet or (score >= SURELY and block - state[AT_TOLD] >= WINDOW):
                state[AT_TOLD] = block
                count = _tell(found, count, 0, time, value, score, 1)
            state[AT_ROSE] = block
    half_life = max(SHORTEST, HALF_LIFE * block)
    state[AT_TOP] = max(state[AT_TOP] * 0.5 ** (1.0 / half_life), novelty)
    return count


@compiled_at_once
def _nearest(state, oldest, block, room):  # type: ignore[no-untyped-def]
    """Root mean square distance of the newest window to the nearest of the kept ones, but its neighbours; `room` is
    overwritten."""
    newest, across, distance = room[:WINDOW], room[WINDOW : 3 * WINDOW], room[3 * WINDOW :]
    for step in range(WINDOW):
        newest[step] = state[HEAD + (block - WINDOW + 1 + step) % KEPT]
    first, windows = oldest % KEPT, block - oldest - APART - WINDOW + 2
    # Those up to where the ring begins anew, those across, and those from its beginning.
    end = min(windows, KEPT - first)
    whole = max(0, min(windows, KEPT - WINDOW + 1 - first))
    _compare(newest, state[HEAD + first :], distance[:whole])
    if whole < windows:
        for step in range(end - whole + WINDOW - 1):
            across[step] = state[HEAD + (first + whole + step) % KEPT]
        _compare(newest, across, distance[whole:end])
        _compare(newest, state[HEAD:], distance[end:windows])
    # As whole numbers the bits of what is not negative have the same order, and the least of several is one step.
    bits = distance.view(np.int64)
    least = bits[0]
    for other in range(1, windows):
        least = min(least, bits[other])
    bits[0] = least
    return np.sqrt(distance[0] / WINDOW)


@compiled_at_once
def _compare(newest, means, distance):  # type: ignore[no-untyped-def]
    """Fill in the square distances of the newest window to those that begin at the first of `means` and at the next."""
    # So few steps that the compiler writes them out, and takes several windows at once.
    for other in range(len(distance)):
        total = 0.0
        for back in range(WINDOW):
            step = newest[WINDOW - 1 - back] - means[other + WINDOW - 1 - back]
            total += step * step
        distance[other] = total


@compiled("float64[:, ::1], int64[::1], Array(float64, 1, 'C', readonly=True), int64[::1]")
def put_recent(states, blocks, recent, sizes):  # type: ignore[no-untyped-def]
    """Bring states, stored as a whole after so many blocks, to where heads and means since then say; `sizes` are
    numbers of each in `recent`, none of one of which nothing is recent or known."""
    at = 0
    for row in range(len(states)):
        if sizes[row] > 0 and blocks[row] >= 0:
            states[row, :HEAD] = recent[at : at + HEAD]
            for mean in range(sizes[row] - HEAD):
                states[row, HEAD + (blocks[row] + mean) % KEPT] = recent[at + HEAD + mean]
        at += sizes[row]


@compiled("float64[:, ::1], int64[::1], int64, float64[::1], int64[::1]")
def take_recent(states, blocks, most, recent, sizes):  # type: ignore[no-untyped-def]
    """The other way round; how many numbers there are. None of a state with more than `most` means since, or none
    before."""
    at = 0
    for row in range(len(states)):
        count = int(states[row, AT_BLOCKS]) - blocks[row]
        sizes[row] = 0 if blocks[row] < 0 or count > most else HEAD + count
        if sizes[row] > 0:
            recent[at : at + HEAD] = states[row, :HEAD]
            for mean in range(count):
                recent[at + HEAD + mean] = states[row, HEAD + (blocks[row] + mean) % KEPT]
        at += sizes[row]
    return at
