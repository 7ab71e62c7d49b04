"""Regimes are planted and must be found."""

from __future__ import annotations

import numpy as np
import pytest

from twins.ml.regimes import fit_normaliser as fit
from twins.ml.regimes import repeats_of

RNG = np.random.default_rng(4)


def fit_normaliser(values: np.ndarray, settings: np.ndarray):
    return fit(values, settings, repeats_of(values, np.zeros(len(values), np.int64)))


def test_gaps_in_the_settings_make_regimes_and_each_has_its_own_usual() -> None:
    kind = RNG.integers(0, 3, 3000)
    settings = np.column_stack([np.array([0.0, 20.0, 42.0])[kind], np.full(3000, 7.0)]) + RNG.normal(0, 0.01, (3000, 2))
    values = (np.array([500.0, 700.0, 300.0])[kind] + np.array([1.0, 5.0, 2.0])[kind] * RNG.normal(size=3000))[:, None]
    normaliser = fit_normaliser(values, settings)
    assert len(normaliser.codes) == 3
    usual = normaliser.apply(values, settings)
    for regime in range(3):
        assert usual[kind == regime].mean() == pytest.approx(0, abs=0.01)
        assert usual[kind == regime].std() == pytest.approx(1, abs=0.02)


def test_noise_in_a_setting_is_one_regime() -> None:
    settings = RNG.normal(0, 0.003, (2000, 1))
    assert len(fit_normaliser(RNG.normal(size=(2000, 1)), settings).codes) == 1


def test_what_follows_a_setting_is_usual() -> None:
    load = RNG.uniform(40, 100, (2000, 1))
    values = 20 + 0.7 * load + RNG.normal(0, 1, (2000, 1))
    usual = fit_normaliser(values, load).apply(values, load)
    assert abs(np.corrcoef(usual[:, 0], load[:, 0])[0, 1]) < 0.05


def test_no_settings_are_one_regime() -> None:
    values = RNG.normal(5, 2, (500, 2))
    usual = fit_normaliser(values, np.empty((500, 0))).apply(values, np.empty((500, 0)))
    assert usual == pytest.approx((values - values.mean(axis=0)) / values.std(axis=0), abs=1e-6)


def test_an_input_that_never_changes_says_nothing() -> None:
    values = np.full((100, 1), 3.0)
    normaliser = fit_normaliser(values, np.empty((100, 0)))
    assert normaliser.apply(values + 1, np.empty((100, 0))) == pytest.approx(np.zeros((100, 1)), abs=1e-12)


def test_what_cannot_be_a_reading_or_stands_still_is_spoiled() -> None:
    values = np.column_stack([RNG.normal(20, 1, 400), np.round(RNG.normal(0, 0.7, 400)), np.zeros(400)])
    normaliser = fit_normaliser(values, np.empty((400, 0)))
    assert not normaliser.spoiled(values, np.zeros(400, np.int64)).any()
    later = np.full((60, 3), 20.0)
    later[:, 1] = 1.0
    later[:3, 0] = [293.0, np.nan, 20.5]
    spoiled = normaliser.spoiled(later, np.repeat([0, 40], [40, 20]))
    # Another unit; then four equal readings in a row, counted afresh in the next life.
    assert np.flatnonzero(spoiled[:, 0]).tolist() == [0, *range(6, 40), *range(43, 60)]
    # A coarse state repeats itself by nature: it takes longer to be called frozen, and what never moved never is.
    run = int(normaliser.run[1])
    assert run > 10
    assert np.flatnonzero(spoiled[:, 1]).tolist() == [*range(run - 1, 40), *range(39 + run, 60)]
    assert not spoiled[:, 2].any()
