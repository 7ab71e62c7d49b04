"""Planted ways of failing are found, and none are invented."""

from __future__ import annotations

import numpy as np

from twins.ml.modes import find_modes

RNG = np.random.default_rng(2)


def test_two_directions_are_two_ways_of_failing() -> None:
    kind = np.repeat([0, 1], [14, 9])
    came = np.array([[8.0, 0.0, 0.0], [0.0, 6.0, -6.0]])[kind] * RNG.uniform(0.5, 2, (23, 1)) + RNG.normal(
        0, 1, (23, 3)
    )
    mode = find_modes(came, np.eye(3))
    assert len(np.unique(mode)) == 2
    assert len(np.unique(mode[kind == 0])) == len(np.unique(mode[kind == 1])) == 1


def test_how_far_an_item_came_makes_no_way_of_its_own() -> None:
    came = np.array([[5.0, 2.0]]) * RNG.uniform(0.3, 5, (30, 1)) + RNG.normal(0, 0.3, (30, 2))
    assert find_modes(came, np.eye(2)).tolist() == [0] * 30


def test_few_ends_are_one_way() -> None:
    assert find_modes(RNG.normal(size=(9, 2)), np.eye(2)).tolist() == [0] * 9
    assert find_modes(np.empty((0, 2)), np.eye(2)).tolist() == []
