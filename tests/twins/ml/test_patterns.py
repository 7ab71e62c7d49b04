"""Sensors that are each usual and together are not are found, once, and the state survives being stored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from twins.ml import Readings
from twins.ml.patterns import PatternChange, PatternState, advance_pattern, dump_pattern, load_pattern, new_pattern

MINUTE = 60_000_000
COUNT = 2000


@pytest.fixture
def part(tables: Callable) -> Callable[..., Readings]:
    """Temperature follows load; from `broken` on it does not, yet stays within what it ever was."""

    def make(broken: int | None = None, lost: tuple[int, int] | None = None, upto: int = COUNT) -> Readings:
        rng = np.random.default_rng(4)
        load = 10 * np.sin(np.arange(COUNT) / 15) + rng.normal(size=COUNT)
        heat = 50 + 2 * load + rng.normal(size=COUNT)
        if broken is not None:
            heat[broken : broken + 400] = 50 - 2 * load[broken : broken + 400]
        times = (np.arange(COUNT, dtype=np.int64) + 1) * MINUTE
        keep = np.ones(COUNT, bool)
        if lost is not None:
            keep[lost[0] : lost[1]] = False
        shown = times <= upto * MINUTE
        return Readings(tables([(1, times[shown], load[shown]), (2, times[keep & shown], heat[keep & shown])]))

    return make


def run(readings: Readings, state: PatternState | None = None, upto: int = COUNT):
    return advance_pattern(state or new_pattern((1, 2), step=MINUTE), readings, until=upto * MINUTE)


def test_a_broken_relation_is_found_and_ends(part) -> None:
    _, changes = run(part(broken=1200))
    assert [change.begins for change in changes] == [True, False]
    assert 1200 < changes[0].time // MINUTE < 1260
    assert 1600 < changes[1].time // MINUTE < 1720
    assert changes[0].score > 1


def test_calm_rows_say_nothing(part) -> None:
    state, changes = run(part())
    assert changes == []
    assert len(state.inverse) == 2


def test_piece_by_piece_through_storage_is_the_same_as_at_once(part) -> None:
    readings = part(broken=1200)
    whole, at_once = run(readings)
    state: PatternState | None = None
    found: list[PatternChange] = []
    for upto in [100, 449, 450, 451, 700, 1210, 1300, 1301, 1900, 2000]:
        state, changes = run(part(broken=1200, upto=upto), state, upto)
        state = load_pattern(dump_pattern(state))
        found += changes
    assert state is not None
    assert [(one.time, one.begins) for one in found] == [(one.time, one.begins) for one in at_once]
    assert state.mean == pytest.approx(whole.mean)
    assert (state.until, state.unusual, state.run) == (whole.until, whole.unusual, whole.run)


def test_given_twice_counts_once(part) -> None:
    state, _ = run(part())
    again, changes = run(part(), state)
    assert (changes, dump_pattern(again)) == ([], dump_pattern(state))


def test_rows_with_a_missing_value_never_enter(part) -> None:
    state, changes = run(part(lost=(800, 900)))
    assert changes == []
    assert np.isfinite(state.mean).all()


def test_too_little_or_nothing_read_is_no_pattern(part) -> None:
    state, changes = run(part(upto=300), upto=300)
    assert (changes, len(state.inverse), len(state.rows)) == ([], 0, 299)
    empty, changes = run(part(lost=(0, COUNT)))
    assert (changes, empty.until) == ([], 0)


def test_what_never_changed_says_nothing(tables) -> None:
    times = (np.arange(COUNT, dtype=np.int64) + 1) * MINUTE
    noise = np.random.default_rng(1).normal(size=COUNT)
    constant = np.full(COUNT, 7.0)
    constant[1000:] = 9.0
    state, changes = run(Readings(tables([(1, times, noise), (2, times, constant)])))
    assert changes == []
    assert np.isfinite(state.mean).all()


def test_another_version_is_learned_anew() -> None:
    content = dump_pattern(new_pattern((1, 2), step=MINUTE))
    assert load_pattern(content) is not None
    assert load_pattern(b"") is None
    assert load_pattern(content[:-8]) is None
