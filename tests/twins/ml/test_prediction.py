"""What is said of a running life."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twins.ml import DAY, Readings, Training, boosting, predict, rows_needed, shorten, trace, train


@pytest.fixture(scope="module")
def trained(fleet) -> Training:
    return train(fleet.lives, fleet.readings, horizon=30.0, seed=0)


def _at(fleet, trained: Training, share: float):
    """Predictions of all failed lives at a share of their time."""
    lives = [
        replace(life, end=int(life.start + share * (life.end - life.start)), failed=False)
        for life in fleet.lives
        if life.failed
    ]
    traces = [trace(life, fleet.readings, trained.model.columns) for life in lives]
    return predict(trained.model, lives, traces, now=max(life.end for life in lives))


def test_health_falls_and_failure_becomes_likely_towards_the_end(fleet, trained: Training) -> None:
    young, worn, last = (_at(fleet, trained, share) for share in (0.3, 0.8, 1.0))
    health = [np.mean([said.health for said in stage]) for stage in (young, worn, last)]
    assert health[0] > 85 > 60 > health[1] > health[2]
    assert health[2] < 10
    assert np.mean([said.probabilities[0][1] for said in last]) > 0.8
    assert np.mean([said.probabilities[0][1] for said in young]) < 0.05
    assert sum(said.beyond_horizon for said in young) >= 10
    assert not any(said.beyond_horizon for said in last)


def test_numbers_are_ordered_and_bounded(fleet, trained: Training) -> None:
    for share in (0.1, 0.5, 0.9):
        for said in _at(fleet, trained, share):
            low, middle, high = said.life_left
            assert 0 <= low <= middle <= high <= 30
            assert 0 <= said.health <= 100
            chances = [chance for _, chance in said.probabilities]
            assert chances == sorted(chances)
            assert [within for within, _ in said.probabilities] == [3.0, 7.5, 15.0]


def test_the_inputs_that_show_the_wear_are_named(fleet, trained: Training) -> None:
    for said in _at(fleet, trained, 0.97):
        assert said.drivers[0].input in {"a", "b"}
        assert said.drivers[0].points < 0
        assert [driver.points for driver in said.drivers] == sorted(driver.points for driver in said.drivers)


def test_many_lives_are_explained_as_each_alone(fleet, trained: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = _at(fleet, trained, 0.9)
    monkeypatch.setattr(boosting, "_MANY", 2)
    assert _at(fleet, trained, 0.9) == alone


def test_a_dead_input_lowers_coverage_and_hardly_the_score(fleet, tables, trained: Training) -> None:
    life = replace(fleet.lives[0], end=fleet.lives[0].start + 20 * DAY, failed=False)
    dies = life.start + 10 * DAY
    dead = life.inputs[0].sensor
    columns = [(s, t[t < dies], v[t < dies]) if s == dead else (s, t, v) for s, t, v in fleet.columns]
    whole, broken = (
        predict(trained.model, [life], [trace(life, readings, trained.model.columns)], now=life.end)[0]
        for readings in (fleet.readings, Readings(tables(columns)))
    )
    assert whole.coverage == 1.0
    assert broken.coverage == 0.75
    assert broken.health == pytest.approx(whole.health, abs=15)


def test_a_silent_sensor_with_an_interval_is_judged_by_the_clock(fleet, trained: Training) -> None:
    life = fleet.lives[-1]
    life = replace(life, inputs=tuple(replace(known, interval=43_200.0) for known in life.inputs))
    rows = trace(life, fleet.readings, trained.model.columns)
    soon, late = (predict(trained.model, [life], [rows], now=life.end + wait)[0].coverage for wait in (DAY, 2 * DAY))
    assert (soon, late) == (1.0, 0.0)


def test_a_life_never_read_has_no_prediction(fleet, trained: Training) -> None:
    known, unknown = fleet.lives[0], replace(fleet.lives[1], inputs=())
    traces = [trace(life, fleet.readings, trained.model.columns) for life in (unknown, known)]
    answers = predict(trained.model, [unknown, known], traces, now=known.end)
    assert answers[0] is None
    assert answers[1] is not None


def test_first_and_last_rows_are_enough(fleet, trained: Training) -> None:
    model = replace(trained.model, joined=1)
    first, last = rows_needed(model)
    lives = [life for life in fleet.lives if life.failed]
    traces = [trace(life, fleet.readings, model.columns) for life in lives]
    short = [shorten(rows, first=first, last=last) for rows in traces]
    assert any(len(a.bins) < len(b.bins) for a, b in zip(short, traces, strict=True))
    for one, other in zip(predict(model, lives, short, now=0), predict(model, lives, traces, now=0), strict=True):
        assert one.health == pytest.approx(other.health, abs=1e-6)
        assert one.life_left == pytest.approx(other.life_left, abs=1e-6)
