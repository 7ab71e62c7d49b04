"""Planted lies are refused by name, and what is merely strong is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from twins.exceptions import LeakingInputs
from twins.ml import DAY, Input, Readings, train


def _planted(fleet, tables, values, *, name: str = "planted", role: str = "measurement"):
    """The fleet with one more sensor, whose value is `values(life, times)`, and its readings."""
    lives, columns = [], list(fleet.columns)
    for life in fleet.lives:
        times = next(times for sensor, times, _ in fleet.columns if sensor == life.inputs[0].sensor)
        sensor = life.inputs[0].sensor + 8
        columns.append((sensor, times, np.asarray(values(life, times), np.float64)))
        lives.append(replace(life, inputs=(*life.inputs, Input(name=name, sensor=sensor, role=role))))
    return lives, Readings(tables(columns))


def _days_left(life, times):
    rng = np.random.default_rng(life.key)
    ends = life.end if life.failed else life.end + rng.integers(5, 40) * DAY
    return (ends - times) / DAY


LIES = {
    "days to next order": lambda life, times: np.ceil(_days_left(life, times)),
    "hours to next order": lambda life, times: 24 * _days_left(life, times) + 7,
    "log of it": lambda life, times: np.log1p(_days_left(life, times)),
    "noisy days": lambda life, times: _days_left(life, times) + np.random.default_rng(1).normal(0, 0.7, len(times)),
    "failure flag": lambda life, times: life.failed & (times >= life.end - DAY // 4),
    "fails within a week": lambda life, times: life.failed & (_days_left(life, times) <= 7),
    "failed": lambda life, times: np.full(len(times), life.failed),
    "readings recorded": lambda life, times: np.full(len(times), 3 * len(times)),
    "readings to come": lambda life, times: len(times) - np.arange(len(times)),
}


@pytest.mark.parametrize("lie", LIES)
def test_an_input_that_knows_the_future_is_refused_by_name(fleets, tables, lie: str) -> None:
    fleet = fleets(failed=12, running=8)
    lives, readings = _planted(fleet, tables, LIES[lie], name=lie)
    with pytest.raises(LeakingInputs) as refused:
        train(lives, readings, horizon=30.0, seed=0)
    assert refused.value.inputs == [lie]
    assert lie in str(refused.value)


def test_a_refused_input_may_be_left_out(fleet, tables) -> None:
    lives, readings = _planted(fleet, tables, LIES["days to next order"])
    honest = train(fleet.lives, fleet.readings, horizon=30.0, seed=0)
    assert train(lives, readings, horizon=30.0, seed=0, ignored=["planted"]).metrics == honest.metrics


def _strong(life, times):
    """Wear through hardly any noise: better than every sensor of the fleet."""
    lasts = (life.end - life.start) / DAY / (1.0 if life.failed else 0.7)
    wear = ((times - life.start) / DAY / lasts) ** 3
    return 60 + 20 * wear + np.random.default_rng(life.key).normal(0, 0.2, len(times))


def _alarm(life, times):
    """Raised before most failures, some days more or fewer, sometimes for nothing."""
    rng = np.random.default_rng(life.key)
    return (_days_left(life, times) < rng.uniform(2, 9)) | (rng.uniform(size=len(times)) < 0.01)


HONEST = {
    "strong": _strong,
    "alarm": _alarm,
    "hours run": lambda life, times: 24 * (times - life.start) / DAY,
    "energy": lambda life, times: 1e4 * life.key + (times - life.start) / DAY * 37,
    "starts": lambda life, times: np.floor((times - life.start) / DAY / 3),
    "a state": lambda life, times: np.random.default_rng(life.key).integers(0, 3, len(times)),
    "serial": lambda life, times: np.full(len(times), 1000.0 + life.key),
    "threshold gauge": lambda life, times: 10 - 9 * (times - life.start) / (life.end - life.start + 1)
    + np.random.default_rng(life.key).normal(0, 0.3, len(times)),
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_a_strong_sensor_is_no_lie(fleets, tables, name: str) -> None:
    lives, readings = _planted(fleets(failed=12, running=8), tables, HONEST[name])
    assert train(lives, readings, horizon=30.0, seed=0).refusal == ""


def test_an_attribute_written_after_the_failure_is_refused(fleets) -> None:
    fleet = fleets(failed=12, running=8)
    lives = [replace(life, attributes=(("build teardown", float(life.failed)),)) for life in fleet.lives]
    with pytest.raises(LeakingInputs, match="build teardown"):
        train(lives, fleet.readings, horizon=30.0, seed=0)
