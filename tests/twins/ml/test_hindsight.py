"""What is said of all rows at once is what was said of each when it came."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twins.ml import Training, judge_model, look_back, predict, rows_needed, shorten, stability, trace, train


@pytest.fixture(scope="module")
def trained(fleet) -> Training:
    return train(fleet.lives, fleet.readings, horizon=30.0, seed=0)


def test_every_row_is_what_was_predicted_when_it_was_the_newest(fleet, trained: Training) -> None:
    """Batch over whole lives against one prediction a row, from a trace that keeps only what is needed."""
    model = trained.model
    lives = [fleet.lives[0], fleet.lives[13]]
    said = look_back(model, lives, fleet.readings)
    first, last = rows_needed(model)
    for row in range(0, len(said.life), 7):
        cut = replace(lives[said.life[row]], end=int(said.time[row]), failed=False)
        rows = shorten(trace(cut, fleet.readings, model.columns), first=first, last=last)
        one = predict(model, [cut], [rows], now=cut.end)[0]
        assert one is not None
        assert one.data_time == said.time[row]
        assert one.life_left == (said.low[row], said.life_left[row], said.high[row])
        assert [chance for _, chance in one.probabilities] == said.probabilities[row].tolist()


def test_true_life_left_is_known_of_failed_lives_only(fleet, trained: Training) -> None:
    said = look_back(trained.model, fleet.lives, fleet.readings)
    failed = np.array([life.failed for life in fleet.lives])[said.life]
    assert np.isfinite(said.left).tolist() == failed.tolist()
    last = np.append(np.diff(said.life) != 0, True)
    assert said.left[last & failed] == pytest.approx(0, abs=1e-9)


def test_a_model_is_judged_on_what_came_after_a_time(fleet, trained: Training) -> None:
    middle = fleet.lives[0].start + 30 * 86_400_000_000
    said = look_back(trained.model, fleet.lives, fleet.readings)
    rows = (said.time > middle) & np.isfinite(said.left)
    error = np.minimum(said.life_left, 25)[rows] - np.minimum(said.left, 25)[rows]
    judged = judge_model(trained.model, fleet.lives, fleet.readings, after=middle, cap=25.0)
    assert judged.rmse == pytest.approx(float(np.sqrt(np.mean(error**2))))
    assert (judged.rows, judged.failures) == (rows.sum(), 12)
    nothing = judge_model(trained.model, fleet.lives, fleet.readings, after=10**17, cap=25.0)
    assert (nothing.rows, nothing.failures) == (0, 0)
    assert np.isnan(nothing.rmse)


def test_inputs_that_are_what_was_learned_from_are_stable_and_others_are_not(fleet, fleets, trained: Training) -> None:
    def traces(fleet):
        return [trace(life, fleet.readings, trained.model.columns) for life in fleet.lives]

    same = stability(trained.model, traces(fleets(seed=11)))
    assert sorted(same) == ["a", "b", "noise"]
    assert max(same.values()) < 0.1
    moved = fleets(seed=11)
    moved.columns[:] = [(s, t, v + 3 if s % 10 == 3 else v) for s, t, v in moved.columns]
    drifted = stability(trained.model, traces(moved))
    assert drifted["noise"] > 1
    assert max(drifted["a"], drifted["b"]) < 0.1
    assert stability(trained.model, []) == {}
