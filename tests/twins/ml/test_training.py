"""What a trained model promises, on a small fleet whose wear is known."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from twins.exceptions import ModelRefused, NotEnoughFailures
from twins.ml import DAY, Readings, Training, dump_model, load_model, predict, suggest_horizon, trace, train


@pytest.fixture(scope="module")
def trained(fleet) -> Training:
    return train(fleet.lives, fleet.readings, horizon=30.0, seed=0)


def test_a_fleet_that_shows_its_wear_is_learned(trained: Training) -> None:
    assert trained.refusal == ""
    assert trained.metrics["failures"] == 12
    assert trained.metrics["rmse"] < 0.5 * trained.metrics["rmse_of_a_constant"]
    assert trained.metrics["brier_0.25"] < 0.7 * trained.metrics["brier_0.25_of_a_constant"]
    assert trained.model.columns.measurements == ("a", "b", "noise")
    assert trained.model.columns.settings == ("load",)
    assert len(trained.model.normaliser.codes) == 2


def test_no_item_is_judged_by_a_model_that_has_seen_it(fleet) -> None:
    """Two lives of one item with the same readings: if one taught, the other would be known by heart."""
    twins = [replace(life, key=life.key + 100) for life in fleet.lives]
    doubled = train([*fleet.lives, *twins], fleet.readings, horizon=30.0, seed=0)
    single = train(fleet.lives, fleet.readings, horizon=30.0, seed=0)
    assert doubled.metrics["rmse"] > 0.8 * single.metrics["rmse"]


def test_the_same_data_and_seed_give_the_same_bytes(fleet, trained: Training) -> None:
    again = train(fleet.lives, fleet.readings, horizon=30.0, seed=0, threads=1)
    assert dump_model(again.model) == dump_model(trained.model)
    assert again.data_hash == trained.data_hash
    other = train(fleet.lives[1:], fleet.readings, horizon=30.0, seed=0)
    assert other.data_hash != trained.data_hash


def test_a_model_no_better_than_a_constant_is_refused(fleets) -> None:
    blind = fleets(informative=False, seed=8)
    # Without age nothing tells: every life starts at a different, unknown age.
    rng = np.random.default_rng(0)
    lives = [replace(life, end=int(life.start + rng.integers(5, 40) * DAY)) for life in blind.lives]
    refused = train(lives, blind.readings, horizon=30.0, seed=0)
    assert refused.metrics["rmse"] >= 0.97 * refused.metrics["rmse_of_a_constant"]
    assert "constant" in refused.refusal


def test_too_few_failures_are_said_with_their_number(fleets) -> None:
    few = fleets(failed=4, running=2)
    with pytest.raises(NotEnoughFailures, match=r"^4 recorded failures .*5 are needed"):
        train(few.lives, few.readings, horizon=None, seed=0)


def test_a_life_without_readings_does_not_count(fleets, tables) -> None:
    few = fleets(failed=5, running=0)
    readings = Readings(tables([column for column in few.columns if column[0] > 10]))
    with pytest.raises(NotEnoughFailures, match="4 recorded failures"):
        train(few.lives, readings, horizon=None, seed=0)


def test_the_suggested_horizon_is_about_two_thirds_of_a_life() -> None:
    assert suggest_horizon([180.0, 199.0, 230.0]) == 130.0


def test_a_stored_model_says_the_same(fleet, trained: Training) -> None:
    content = dump_model(trained.model)
    stored = load_model(content, sha256=hashlib.sha256(content).hexdigest())
    traces = [trace(life, fleet.readings, trained.model.columns) for life in fleet.lives]
    assert predict(stored, fleet.lives, traces, now=0) == predict(trained.model, fleet.lives, traces, now=0)


def test_a_tampered_model_is_refused(trained: Training) -> None:
    content = dump_model(trained.model)
    digest = hashlib.sha256(content).hexdigest()
    with pytest.raises(ModelRefused, match="SHA-256"):
        load_model(content[:-1] + bytes([content[-1] ^ 1]), sha256=digest)


def test_features_use_the_past_only(fleet, tables, trained: Training) -> None:
    """What is said of a life in its middle does not change with what comes later."""
    life = fleet.lives[0]
    middle = life.start + (life.end - life.start) // 2
    cut = replace(life, end=middle, failed=False)
    sensors = {known.sensor for known in life.inputs}
    past = [(s, t[t <= middle], v[t <= middle]) for s, t, v in fleet.columns if s in sensors]
    from_all = predict(trained.model, [cut], [trace(cut, fleet.readings, trained.model.columns)], now=middle)
    from_past = predict(trained.model, [cut], [trace(cut, Readings(tables(past)), trained.model.columns)], now=middle)
    assert from_all == from_past
