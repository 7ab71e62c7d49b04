"""Health from below by policy, and points that add up to the change whatever changed."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twins.ml.rollup import Child, Policy, roll, share_change

POLICIES = [Policy(), Policy("weighted"), Policy("k_of_n", 1), Policy("k_of_n", 2), Policy("k_of_n", 9)]


def children(*healths: float, weights: tuple[float, ...] = ()) -> list[Child]:
    return [Child(key, health, 1.0, weights[key] if weights else 1.0) for key, health in enumerate(healths)]


def test_each_rule_by_hand() -> None:
    three = children(90.0, 30.0, 60.0, weights=(1, 1, 4))
    assert [(roll(p, three).health, roll(p, three).decisive) for p in POLICIES] == [
        (30.0, 1), (60.0, 2), (90.0, 0), (60.0, 2), (30.0, 1),
    ]  # fmt: skip


def test_coverage_is_the_mean_and_weighted_where_the_score_is() -> None:
    two = [Child(0, 90.0, 1.0, 3.0), Child(1, 30.0, 0.5, 1.0)]
    assert roll(Policy(), two).coverage == 0.75
    assert roll(Policy("weighted"), two).coverage == 0.875


def test_a_spare_that_fails_costs_nothing_while_enough_are_left() -> None:
    before, after = children(90.0, 80.0, 85.0), children(90.0, 0.0, 85.0)
    assert share_change(Policy("k_of_n", 2), before, after) == {1: pytest.approx(0.0)}
    assert share_change(Policy(), before, after) == {1: pytest.approx(-80.0)}


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.integers(1, 5)), min_size=1, max_size=12),
    st.sampled_from(POLICIES),
)
def test_points_always_add_up(rows: list[tuple[float, float, int]], policy: Policy) -> None:
    before = [Child(key, one, 1.0, weight) for key, (one, _, weight) in enumerate(rows)]
    after = [Child(key, other, 1.0, weight) for key, (_, other, weight) in enumerate(rows)]
    points = share_change(policy, before, after)
    change = roll(policy, after).health - roll(policy, before).health
    assert sum(points.values()) == pytest.approx(change, abs=1e-9)
    assert set(points) == {key for key, (one, other, _) in enumerate(rows) if one != other}


@pytest.mark.parametrize("policy", POLICIES)
def test_points_are_the_mean_over_all_orders(policy: Policy) -> None:
    before, after = children(90.0, 40.0, 70.0, 55.0), children(20.0, 60.0, 10.0, 55.0)
    expected = dict.fromkeys(range(3), 0.0)
    for order in permutations(range(3)):
        state = list(before)
        for key in order:
            old = roll(policy, state).health
            state[key] = after[key]
            expected[key] += (roll(policy, state).health - old) / 6
    assert share_change(policy, before, after) == pytest.approx(expected)


def test_what_is_new_or_gone_takes_part() -> None:
    before, after = children(90.0, 80.0), children(90.0, 80.0, 10.0)
    assert share_change(Policy(), before, after) == {2: pytest.approx(-70.0)}
    assert share_change(Policy(), after, before) == {2: pytest.approx(70.0)}
    assert share_change(Policy(), before, before) == {}
