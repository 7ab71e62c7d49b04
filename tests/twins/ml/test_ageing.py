"""The ageing method is compared with the worked numbers of CNAIM's published R package (version 2.1.4), with plain sums
over its rate, and with what its text demands of special cases.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from twins.ml import AgeingCurve
from twins.ml.ageing import (
    Modifiers,
    ageing_rate,
    combine_condition,
    combine_factors,
    cubic,
    current_score,
    forecast_rate,
)

CURVE = AgeingCurve(40.0)


def test_published_ageing_rates() -> None:
    """beta_1 and beta_2 of the package's examples and tests."""
    assert ageing_rate(10) == pytest.approx(0.239789527, rel=1e-8)
    assert ageing_rate(5) == pytest.approx(0.479579055, rel=1e-8)
    assert forecast_rate(1.0, 25.0, 0.02) == pytest.approx(0.02772589, rel=1e-6)


def test_published_initial_scores() -> None:
    """initial_health(1, 2) and initial_health(100, 200)."""
    life = math.log(11)  # an ageing rate of 1
    assert AgeingCurve(life).initial_score(2) == pytest.approx(3.694528, rel=1e-6)
    assert AgeingCurve(life / 100).initial_score(200) == 5.5


def test_published_expected_life() -> None:
    """expected_life(1, 2, 5): duty and location divide it."""
    assert AgeingCurve(1.0, Modifiers(duty=2, location=5)).life == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("observed", "measured", "factor"),
    [(5, 4, 7), (4, 5, 7), (5, 1, 5), (1, 5, 5), (5, 0.1, 5), (0.1, 5, 5), (1, 1, 1), (1, 0.5, 0.5), (0.5, 1, 0.5)],
)
def test_published_condition_factors(observed: float, measured: float, factor: float) -> None:
    """health_score_excl_ehv_132kv_tf, after table 9."""
    assert combine_condition(observed, measured) == pytest.approx(factor)


@pytest.mark.parametrize(
    ("factors", "first", "second", "most", "combined"),
    [
        ([1, 1.5], 1.5, 1.5, 1, 1.5),
        ([1, 1], 1, 1, 1, 1),
        ([0.75, 0.5], 1, 2, 1, 0.375),
        ([1, 2, 3, 4, 5, 6], 2, 1, 4, 10.5),
        ([1, 1, 1, 1, 5, 6], 2, 1, 4, 8),
        ([9, 8, 7, 6, 5, 4], 5, 1, 20, 14),
        ([9, 8, 7, 6, 5, 4], 5, 1, 1, 9),
        ([9, 3, 3, 3, 1], 6, 1, 20, 10),
        ([], 1.5, 1.5, 3, 1),
    ],
)
def test_published_combinations_of_factors(
    factors: list[float], first: float, second: float, most: int, combined: float
) -> None:
    """mmi."""
    assert combine_factors(factors, divider_1=first, divider_2=second, most=most) == pytest.approx(combined)


def test_published_current_scores() -> None:
    """current_health(2, 3) and current_health(200, 300); then cap before collar."""
    assert current_score(2, 3, 1, 10, 0.5) == 6
    assert current_score(200, 300, 1, 10, 0.5) == 10
    assert current_score(2, 3, 1, 4, 0.5) == 4
    assert current_score(2, 3, 1, 4, 5.5) == 5.5
    assert current_score(0.5, 0.33, 1, 10, 0.5) == 0.5


def test_the_cubic_is_that_of_the_methodology() -> None:
    """By Horner's rule, which shares no term with the sum; a transformer of class K 0.0078 % a year."""
    for score in (4.0, 5.5, 10.0, 15.0):
        x = 1.087 * score
        assert cubic(np.array([score]))[0] == pytest.approx(1 + x * (1 + x / 2 * (1 + x / 3)))
    assert cubic(np.array([0.5]))[0] == cubic(np.array([4.0]))[0]
    transformer = AgeingCurve(60.0, k=0.0078e-2)
    assert transformer.failure_rate(60) == pytest.approx(0.0078e-2 * 60.4639, rel=1e-5)
    assert transformer.failure_rate(0) == pytest.approx(0.0078e-2 * 28.50045, rel=1e-5)


def test_the_score_has_the_fixed_points_of_the_methodology() -> None:
    assert CURVE.score(0) == 0.5
    assert CURVE.score(40) == pytest.approx(5.5)
    assert CURVE.score(20) == pytest.approx(0.5 * math.exp(math.log(11) / 2))
    assert CURVE.score(400) == 5.5  # who lived so long is not known to be worse than old
    assert CURVE.health(0) == 100.0
    assert CURVE.health(400) == pytest.approx(100 * 4.5 / 9.5)
    assert AgeingCurve(40.0, Modifiers(collar=10.0)).health(0) == 0.0


def test_a_future_score_follows_from_the_present_one() -> None:
    assert CURVE.future_score(0, 40) == pytest.approx(5.5)
    aged = CURVE.future_score(40, 10)
    assert aged == pytest.approx(5.5 * math.exp(math.log(11) / 40 / 1.5 * 10))
    assert CURVE.future_score(40, 1000) == 15.0
    worn = AgeingCurve(40.0, Modifiers(observed=1.5))
    # What brought it here would be faster than twice the initial rate, which is the limit.
    young = worn.score(1)
    assert worn.future_score(1, 5) == pytest.approx(young * math.exp(2 * math.log(11) / 40 * 5))


def test_half_of_the_items_fail_before_their_expected_life() -> None:
    assert CURVE.failure_probability(0, 40) == pytest.approx(0.5)
    assert CURVE.life_left(0, 0.5) == pytest.approx(40, rel=1e-4)


@pytest.mark.parametrize("age", [0.0, 13.0, 39.0, 55.0, 500.0])
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("modifiers", [Modifiers(), Modifiers(duty=1.2, observed=1.4, reliability=0.8)])
def test_life_left_and_probability_agree(age: float, probability: float, modifiers: Modifiers) -> None:
    curve = AgeingCurve(40.0, modifiers)
    left = curve.life_left(age, probability)
    assert curve.failure_probability(age, left) == pytest.approx(probability, abs=1e-4)


def test_the_rate_is_the_cubic_of_the_future_score() -> None:
    def rate(later: float, age: float) -> float:
        x = 1.087 * max(CURVE.future_score(age, later), 4.0)
        return 1 + x + x**2 / 2 + x**3 / 6

    ages = np.linspace(0, 40, 4_001)
    scale = math.log(2) / np.trapezoid([rate(age, 0.0) for age in ages], ages)
    window = np.linspace(0, 14, 4_001)
    expected = 1 - math.exp(-scale * np.trapezoid([rate(later, 30.0) for later in window], window))
    assert CURVE.failure_probability(30, 14) == pytest.approx(expected, rel=1e-3)


def test_worse_is_never_healthier() -> None:
    for better, worse in [
        (Modifiers(), Modifiers(duty=1.3)),
        (Modifiers(), Modifiers(location=1.2)),
        (Modifiers(), Modifiers(observed=1.4)),
        (Modifiers(measured=0.9), Modifiers()),
        (Modifiers(reliability=0.6), Modifiers(reliability=1.5)),
        (Modifiers(cap=3.0), Modifiers()),
        (Modifiers(), Modifiers(collar=8.0)),
    ]:
        one, other = AgeingCurve(40.0, better), AgeingCurve(40.0, worse)
        assert other.health(30) < one.health(30)
        assert other.failure_probability(30, 5) >= one.failure_probability(30, 5)
        assert other.life_left(30, 0.5) <= one.life_left(30, 0.5)
