"""The search for better trees keeps its budget, repeats, and never makes worse what it is asked about."""

from __future__ import annotations

import pytest

from twins.ml import DEFAULT, Trees, dump_model, train
from twins.ml.tuning import tune


def test_a_search_finds_what_is_better_and_asks_what_is_used_first() -> None:
    asked: list[Trees] = []

    def error(trees: Trees) -> float:
        asked.append(trees)
        return abs(trees.depth - 3) + 1

    found = tune(error, DEFAULT, 15, 0)
    assert asked[0] == DEFAULT
    assert len(asked) == 15
    assert found.depth == 3
    assert tune(error, DEFAULT, 15, 0) == found


@pytest.mark.parametrize("trials", [0, 1, 6])
def test_nothing_better_leaves_what_is_used(trials: int) -> None:
    assert tune(lambda trees: 1.0 if trees == DEFAULT else 1.0 - 0.001, DEFAULT, trials, 0) == DEFAULT


@pytest.mark.full
def test_a_tuned_training_is_no_worse_and_repeats(fleet) -> None:
    plain = train(fleet.lives, fleet.readings, horizon=30.0, seed=0)
    tuned = train(fleet.lives, fleet.readings, horizon=30.0, seed=0, trials=4)
    assert tuned.metrics["rmse"] <= plain.metrics["rmse"]
    assert dump_model(train(fleet.lives, fleet.readings, horizon=30.0, seed=0, trials=4).model) == dump_model(
        tuned.model
    )


def test_trees_that_diverge_are_refused(fleet) -> None:
    diverged = train(fleet.lives, fleet.readings, horizon=30.0, seed=0, trees=Trees(rate=50.0))
    assert "constant" in diverged.refusal
