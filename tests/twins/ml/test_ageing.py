"""The ageing curve is compared with CNAIM's fixed points and with a plain sum over its rate."""

from __future__ import annotations

import math

import numpy as np
import pytest

from twins.ml import AgeingCurve

CURVE = AgeingCurve(40.0)


def test_the_score_has_the_fixed_points_of_the_methodology() -> None:
    assert CURVE.score(0) == 0.5
    assert CURVE.score(40) == pytest.approx(5.5)
    assert CURVE.score(20) == pytest.approx(0.5 * math.exp(math.log(11) / 2))
    assert CURVE.score(400) == 10.0
    assert CURVE.health(0) == 100.0
    assert CURVE.health(400) == 0.0


def test_half_of_the_items_fail_before_their_expected_life() -> None:
    assert CURVE.failure_probability(0, 40) == pytest.approx(0.5)
    assert CURVE.life_left(0, 0.5) == pytest.approx(40, rel=1e-4)


@pytest.mark.parametrize("age", [0.0, 13.0, 39.0, 55.0, 500.0])
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_life_left_and_probability_agree(age: float, probability: float) -> None:
    left = CURVE.life_left(age, probability)
    assert CURVE.failure_probability(age, left) == pytest.approx(probability, abs=1e-6)


def test_the_rate_is_the_cubic_of_the_score() -> None:
    def rate(age: float) -> float:
        shape = 1.087 * max(CURVE.score(age), 4.0)
        return 1 + shape + shape**2 / 2 + shape**3 / 6

    ages = np.linspace(0, 40, 20_001)
    scale = math.log(2) / np.trapezoid([rate(age) for age in ages], ages)
    window = np.linspace(30, 44, 20_001)
    expected = 1 - math.exp(-scale * np.trapezoid([rate(age) for age in window], window))
    assert CURVE.failure_probability(30, 14) == pytest.approx(expected, rel=1e-3)
