"""What is unlike anything before is found once, on arrival, and what is missing, stuck or out of bounds as well."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from twins.ml.anomaly import (
    Finding,
    Kind,
    States,
    Stored,
    Watched,
    dump_states,
    find_silence,
    load_states,
    new_state,
    read_until,
    watch,
    watch_all,
)
from twins.ml.states import AT_BLOCKS, HEAD, RECENT, STATE_SIZE

SECOND = 1_000_000
WATCHED = Watched(7)


def wave(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    times = (np.arange(count, dtype=np.int64) + 1) * 60 * SECOND
    return times, 50 + 5 * np.sin(np.arange(count) / 40) + rng.normal(0, 0.3, count)


def of_kind(found: list[Finding], kind: Kind) -> list[Finding]:
    return [finding for finding in found if finding.kind is kind]


def test_a_shape_never_seen_is_one_onset_within_a_few_blocks() -> None:
    times, values = wave(6000)
    values[4000:4060] += np.linspace(0, 25, 60)
    found = of_kind(watch(WATCHED, new_state(), times, values), Kind.NOVELTY)
    after = [finding for finding in found if finding.time >= times[4000]]
    assert [times[4000] <= finding.time <= times[4060] for finding in after] == [True]


def test_what_was_seen_before_is_not_new() -> None:
    times, values = wave(6000)
    for start in (2000, 4000):
        values[start : start + 60] += np.linspace(0, 25, 60)
    found = of_kind(watch(WATCHED, new_state(), times, values), Kind.NOVELTY)
    assert [finding for finding in found if finding.time >= times[4000]] == []


def test_the_distance_is_that_of_the_nearest_window_before() -> None:
    """Against the definition, by brute force over all windows."""
    times, values = wave(2000)
    values[1500:] += 3
    state = new_state()
    watch(WATCHED, state, times, values)
    means = values.reshape(-1, 4).mean(axis=1)
    top = 0.0
    for block in range(100, len(means)):
        window = means[block - 5 : block + 1]
        others = [means[end - 5 : end + 1] for end in range(5, block - 12 + 1)]
        novelty = min(np.sqrt(np.mean((window - other) ** 2)) for other in others)
        top = max(top * 0.5 ** (1 / max(20.0, 0.4 * block)), novelty)
    assert state[4] == pytest.approx(top, rel=1e-12)


def stored_after(before: Stored, states: States) -> Stored:
    """What is stored once these states of one sensor were, as a table would keep it."""
    whole, recent = dump_states(states)
    assert len(whole.rows) + len(recent.rows) == 1
    return Stored(whole.content) if whole.rows else Stored(before.whole, recent.content)


@pytest.mark.parametrize("count", [7, 4 * RECENT + 5, 4 * RECENT + 7])
def test_readings_some_by_some_and_all_at_once_are_the_same(count: int) -> None:
    times, values = wave(6000)
    values[2500:2520] = 90.0
    whole, stored = new_state(), Stored(None)
    at_once = watch(WATCHED, whole, times, values)
    found: list[Finding] = []
    for start in range(0, 6000, count):
        states = load_states([stored])
        found += watch(WATCHED, states.rows[0], times[start : start + count], values[start : start + count])
        stored = stored_after(stored, states)
    assert found == at_once
    assert load_states([stored]).rows[0].tolist() == whole.tolist()


def test_a_state_is_stored_as_a_whole_only_when_much_of_it_has_changed() -> None:
    times, values = wave(4 * (RECENT + 2))
    stored, states = Stored(None), load_states([Stored(None)])
    wholes = []
    for block in range(RECENT + 2):
        rows = slice(4 * block, 4 * block + 4)
        watch(WATCHED, states.rows[0], times[rows], values[rows])
        whole, recent = dump_states(states)
        if whole.rows:
            wholes.append(block)
            assert (whole.sizes, len(whole.content), recent.content) == ([8 * STATE_SIZE], 8 * STATE_SIZE, b"")
        else:
            assert (recent.sizes, len(recent.content)) == ([8 * (HEAD + block)], 8 * (HEAD + block))
        stored = stored_after(stored, states)
        states = load_states([stored])
    assert wholes == [0, RECENT + 1]
    assert states.blocks.tolist() == [RECENT + 2]
    assert states.rows[0, AT_BLOCKS] == RECENT + 2


def test_many_sensors_are_watched_as_each_of_them_would_be() -> None:
    times, values = wave(3000)
    values[1500:1800:2] = 90.0
    watched = [Watched(1), Watched(2, high=50.0), Watched(3, measures=False), Watched(4, low=90.0, interval=1.0)]
    bounds = np.array([[0, 1000], [1000, 2000], [0, 0], [2000, 3000]])
    rows = np.stack([new_state() for _ in watched])
    found = watch_all(watched, rows, times, values, bounds=bounds)

    alone = [new_state() for _ in watched]
    expected = []
    for one, state, (low, high) in zip(watched, alone, bounds, strict=True):
        expected += watch(one, state, times[low:high], values[low:high])
    assert len({one.sensor for one in found}) == 3
    assert sum(one.sensor == 2 for one in found) > 100
    assert found == expected
    assert rows.tolist() == [state.tolist() for state in alone]


def test_given_twice_counts_once() -> None:
    times, values = wave(1000)
    state = new_state()
    watch(WATCHED, state, times, values)
    before = state.copy()
    assert watch(WATCHED, state, times, values) == []
    assert state.tolist() == before.tolist()
    assert read_until(state) == times[-1]


def test_what_is_no_number_never_enters() -> None:
    times, values = wave(1000)
    clean = new_state()
    watch(WATCHED, clean, times, values)
    broken = np.insert(values, [100, 500, 900], [np.nan, np.inf, -np.inf])
    stamps = np.insert(times, [100, 500, 900], times[[100, 500, 900]] - 1)
    state = new_state()
    assert watch(WATCHED, state, stamps, broken) == watch(WATCHED, new_state(), times, values)
    assert state.tolist() == clean.tolist()


def test_a_sensor_that_freezes_is_a_flat_line_until_it_moves() -> None:
    times, values = wave(2000)
    values[1000:1200] = values[1000]
    found = of_kind(watch(WATCHED, new_state(), times, values), Kind.FLAT_LINE)
    assert [(finding.begins, finding.time) for finding in found] == [(True, times[1000]), (False, times[1200])]


def test_what_stands_still_by_nature_is_no_flat_line() -> None:
    times = (np.arange(3000, dtype=np.int64) + 1) * SECOND
    constant = np.full(3000, 7.0)
    steps = np.repeat(np.arange(60), 50).astype(float)
    setting = Watched(7, measures=False)
    noisy = np.concatenate([np.random.default_rng(0).normal(size=1000), np.full(2000, 3.0)])
    assert watch(WATCHED, new_state(), times, constant) == []
    assert of_kind(watch(WATCHED, new_state(), times, steps), Kind.FLAT_LINE) == []
    assert watch(setting, new_state(), times, noisy) == []


def test_silence_is_told_once_by_the_clock_and_ended_by_the_next_reading() -> None:
    times, values = wave(500)
    state = new_state()
    watch(WATCHED, state, times, values)
    last = int(times[-1])
    assert find_silence(WATCHED, state, now=last + 600 * SECOND) is None
    told = find_silence(WATCHED, state, now=last + 3600 * SECOND)
    assert told is not None
    assert (told.kind, told.time, told.begins) == (Kind.GAP, last, True)
    assert find_silence(WATCHED, state, now=last + 7200 * SECOND) is None
    back = np.array([last + 7300 * SECOND])
    found = watch(WATCHED, state, back, np.array([50.0]))
    assert [(one.kind, one.time, one.begins) for one in found] == [(Kind.GAP, back[0], False)]


def test_a_gap_nobody_watched_is_told_when_it_is_over() -> None:
    times, values = wave(500)
    times[300:] += 7200 * SECOND
    found = of_kind(watch(WATCHED, new_state(), times, values), Kind.GAP)
    assert [(one.time, one.begins) for one in found] == [(times[299], True), (times[300], False)]


def test_a_declared_interval_needs_no_learning() -> None:
    state = new_state()
    watched = Watched(7, interval=60.0)
    watch(watched, state, np.array([SECOND]), np.array([1.0]))
    assert find_silence(watched, state, now=602 * SECOND) is not None
    assert find_silence(WATCHED, new_state(), now=602 * SECOND) is None


def test_limits_are_told_at_their_crossing() -> None:
    times = (np.arange(6, dtype=np.int64) + 1) * SECOND
    values = np.array([5.0, 11.0, 12.0, 10.0, -1.0, 0.0])
    found = watch(Watched(7, low=0.0, high=10.0), new_state(), times, values)
    assert [(one.kind, one.value, one.begins) for one in found] == [
        (Kind.LIMIT, 11.0, True),
        (Kind.LIMIT, 10.0, False),
        (Kind.LIMIT, -1.0, True),
        (Kind.LIMIT, 0.0, False),
    ]


def test_a_sensor_gone_mad_does_not_fill_the_store() -> None:
    times = (np.arange(5000, dtype=np.int64) + 1) * SECOND
    values = np.where(np.arange(5000) % 2, 11.0, 9.0)
    assert len(watch(Watched(7, high=10.0), new_state(), times, values)) == 200


def test_a_state_of_another_version_is_learned_anew() -> None:
    times, values = wave(100)
    state = new_state()
    watch(WATCHED, state, times, values)
    good = state.tobytes()
    state[0] = 99.0
    states = load_states([Stored(state.tobytes(), good[: 8 * HEAD]), Stored(b"short"), Stored(None), Stored(good)])
    assert states.rows[:3].tolist() == [new_state().tolist()] * 3
    assert states.blocks.tolist() == [-1, -1, -1, 25]
    assert states.rows[3].tobytes() == good


def test_nothing_is_compiled_before_something_is_watched() -> None:
    code = "import sys, twins.ml.anomaly; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
