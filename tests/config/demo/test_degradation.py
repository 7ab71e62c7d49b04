"""The laws of wear against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from config.demo import degradation as law


def test_a_catalogue_bearing_reaches_its_catalogue_life() -> None:
    # C/P = 10 at 1000/min: 10^3 million revolutions, 60,000 revolutions an hour.
    life = law.bearing_life_hours(np.asarray([10.0]), np.asarray([100.0]), 1000.0)
    assert life[0] == pytest.approx(1000 * 1e6 / 60_000)


def test_twice_the_load_costs_seven_eighths_of_a_bearings_life() -> None:
    one, two = law.bearing_life_hours(np.asarray([10.0, 20.0]), np.asarray([100.0, 100.0]), 3000.0)
    assert one / two == pytest.approx(8.0)


def test_hot_or_dirty_oil_shortens_a_bearings_life() -> None:
    cool, warm, hot = law.lubrication_factor(np.asarray([60.0, 75.0, 95.0]))
    assert cool > warm > hot > 0
    assert law.lubrication_factor(np.asarray([75.0]), 1.0)[0] == pytest.approx(warm / 2)


@pytest.mark.parametrize("halving", [6.0, 8.0, 10.0])
def test_insulation_ages_twice_as_fast_per_montsinger_step(halving: float) -> None:
    rate = law.ageing_factor(np.asarray([110.0, 110.0 + halving, 110.0 + 3 * halving]), 110.0, halving)
    assert rate.tolist() == pytest.approx([1.0, 2.0, 8.0])


def test_a_spall_grows_exponentially_at_constant_load() -> None:
    size, step = np.asarray([0.004]), 0.01
    for _ in range(round(17 / step)):
        size = size + law.spall_growth(size, np.asarray([1.0]), 17.0) * step
    assert size[0] == pytest.approx(0.004 * np.e, rel=1e-3)


def test_a_gear_at_eleven_tenths_of_its_load_lasts_little_more_than_half_as_long() -> None:
    rate = law.pitting_rate(np.asarray([1.0, 1.1]), np.asarray([1.0, 1.0]), 500.0)
    assert rate[1] / rate[0] == pytest.approx(1.771561)


def test_an_impeller_erodes_faster_with_less_suction_head_and_much_faster_with_more_flow() -> None:
    rich, poor = law.cavitation_rate(np.asarray([9.0, 6.0]), np.asarray(4.5), np.asarray(1.0), 300.0)
    slow, fast = law.cavitation_rate(np.asarray([9.0, 9.0]), np.asarray(4.5), np.asarray([1.0, 1.2]), 300.0)
    assert poor / rich == pytest.approx((0.15 + 0.75**3) / (0.15 + 0.5**3))
    assert fast / slow == pytest.approx(1.2**5)


def test_a_filter_resists_more_the_more_it_holds_and_lets_nothing_through_at_rest() -> None:
    drop = law.filter_pressure(np.asarray(1.0), np.linspace(0, 1, 11), 10.0)
    assert drop[0] == 10.0
    assert (np.diff(drop) > 0).all()
    assert law.filter_pressure(np.asarray(0.0), np.asarray(0.9), 10.0) == 0.0


def test_deposits_grow_towards_an_asymptote() -> None:
    share, shares = np.asarray(0.0), []
    for _ in range(2000):
        share = share + law.fouling_rate(share, np.asarray(1.0), 150.0)
        shares.append(float(share))
    assert shares[149] == pytest.approx(1 - np.exp(-1), rel=5e-3)
    assert shares[-1] == pytest.approx(1.0, abs=1e-5)


def test_leakage_follows_the_cube_of_the_clearance() -> None:
    assert law.leak_flow(np.asarray([1.0, 2.0]), 1.0, 0.5).tolist() == [0.5, 4.0]


def test_wear_follows_pressure_and_sliding_over_hardness() -> None:
    assert law.archard_rate(2.0, np.asarray(3.0), np.asarray(1.5), 100.0) == pytest.approx(0.04)


def test_clogging_follows_dirt_and_flow_over_capacity() -> None:
    assert law.clogging_rate(np.asarray(2.0), np.asarray(0.5), np.asarray(0.8), 250.0) == pytest.approx(0.005)


def test_a_crooked_coupling_tires_with_the_cube_of_its_misalignment() -> None:
    straight, crooked = law.fatigue_rate(np.asarray(1.0), np.asarray([1.0, 1.3]), 800.0)
    assert crooked / straight == pytest.approx(2.197)
