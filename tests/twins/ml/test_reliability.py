"""Lives are told with exposure, failures and interval; lifelines, called directly, is the oracle."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from twins.ml.reliability import (
    Comparison,
    bad_actors,
    compare,
    fit_weibull,
    holm,
    log_rank,
    mean_time,
    quantile,
    survival,
)
from twins.ml.weibull import life_ratio

MACHINES = Path(__file__).resolve().parents[4] / "shared" / "data" / "maintenance" / "maintenance.csv"


@pytest.fixture(scope="module")
def machines() -> tuple[np.ndarray, np.ndarray, list[dict[str, str]]]:
    if not MACHINES.exists():
        pytest.skip(f"{MACHINES} is not there: the public data is not part of the project")
    with MACHINES.open() as stream:
        rows = list(csv.DictReader(stream, delimiter=";"))
    life = np.array([float(row["lifetime"]) for row in rows])
    return life, np.array([row["broken"] == "1" for row in rows]), rows


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray, list[dict[str, object]]]:
    """160 items; those of cutter C7 live 0.69 times as long, batches and hardness do not matter."""
    rng = np.random.default_rng(11)
    build: list[dict[str, object]] = [
        {"cutter": f"C{5 + number % 4}", "batch": str(rng.integers(5)), "hardness": float(rng.normal(60, 2))}
        for number in range(160)
    ]
    life = 1000 * rng.weibull(3, 160) * np.where([each["cutter"] == "C7" for each in build], 0.69, 1.0)
    seen = rng.uniform(300, 1200, 160)
    return np.minimum(life, seen), life <= seen, build


@pytest.mark.full
def test_all_figures_of_the_machines_are_those_of_lifelines(machines) -> None:
    import pandas as pd
    from lifelines import KaplanMeierFitter, WeibullAFTFitter, WeibullFitter
    from lifelines.statistics import logrank_test

    life, failed, rows = machines
    group = np.array([row["provider"] == "Provider2" for row in rows])
    ours, theirs = fit_weibull(life, failed), WeibullFitter(alpha=0.1).fit(life, failed)
    assert ours is not None
    assert (ours.scale, ours.shape) == pytest.approx((theirs.lambda_, theirs.rho_), rel=1e-5)
    errors = theirs.summary["se(coef)"]
    reach = 1.6448536269514722
    assert math.log(ours.scale_high / ours.scale) == pytest.approx(reach * errors["lambda_"] / ours.scale, rel=1e-3)
    assert math.log(ours.shape_high / ours.shape) == pytest.approx(reach * errors["rho_"] / ours.shape, rel=1e-3)
    curve = KaplanMeierFitter(alpha=0.1).fit(life, failed)
    ours_curve = survival(life, failed)
    assert ours_curve.share == pytest.approx(curve.survival_function_at_times(ours_curve.age).to_numpy(), rel=1e-12)
    bounds = curve.confidence_interval_.loc[ours_curve.age].to_numpy()
    assert ours_curve.low == pytest.approx(bounds[:, 0], abs=1e-9)
    assert ours_curve.high == pytest.approx(bounds[:, 1], abs=1e-9)
    assert ours_curve.median == curve.median_survival_time_
    both = logrank_test(life[group], life[~group], failed[group], failed[~group])
    assert log_rank(life, failed, group) == pytest.approx(both.p_value, rel=1e-6)
    frame = pd.DataFrame({"t": life, "e": failed, "x": group.astype(float)})
    coefficients = WeibullAFTFitter(alpha=0.1).fit(frame, "t", "e").summary.loc[("lambda_", "x")]
    expected = np.exp(coefficients[["coef", "coef lower 90%", "coef upper 90%"]].to_numpy(float))
    assert life_ratio(life, failed, group) == pytest.approx(expected, rel=1e-4)


def test_mttf_of_the_machines_is_exposure_over_failures(machines) -> None:
    life, failed, _ = machines
    found = mean_time(life.sum(), int(failed.sum()))
    assert (found.exposure, found.failures) == (55195.0, 397)
    assert found.value == 55195 / 397
    # Wilson and Hilferty's cube for the points of chi-square, which is good to a thousandth here.
    points = [
        degrees * (1 - 2 / (9 * degrees) + z * math.sqrt(2 / (9 * degrees))) ** 3
        for degrees, z in ((796, 1.6448536), (794, -1.6448536))
    ]
    assert [found.low, found.high] == pytest.approx([2 * 55195 / point for point in points], rel=1e-4)


@pytest.mark.parametrize(
    ("failures", "low", "high"),
    # From printed tables of chi-square: 2 n / x at 95 % of 2 n + 2 and at 5 % of 2 n degrees; for none 1 / -ln 0.1.
    [(0, 0.434, None), (1, 0.211, 19.496), (2, 0.318, 5.628), (5, 0.476, 2.538), (10, 0.590, 1.843)],
)
def test_intervals_of_mttf_are_those_of_chi_square(failures: int, low: float, high: float | None) -> None:
    found = mean_time(1000.0, failures)
    per = 1000.0 / max(failures, 1)
    assert found.low / per == pytest.approx(low, abs=1e-3)
    assert (found.high is None) == (high is None)
    if high is not None and found.high is not None:
        assert found.high / per == pytest.approx(high, abs=1e-2)
    assert (found.value is None) == (failures == 0)


def test_survival_by_hand() -> None:
    """The example of Kaplan and Meier's product: 6, 6, 6, 7+, 10 and so on (Freireich 1963, treated group)."""
    life = np.array([6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35], float)
    failed = np.array([1] * 9 + [0] * 12, bool)
    found = survival(life, failed)
    assert found.age.tolist() == [6, 7, 10, 13, 16, 22, 23]
    assert found.share.tolist() == pytest.approx([0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=1e-3)
    assert found.median == 23
    assert quantile(found, 0.9) is None


@pytest.mark.parametrize("failures", [0, 1])
def test_a_shape_needs_two_failures(failures: int) -> None:
    failed = np.arange(10) < failures
    assert fit_weibull(np.arange(1.0, 11.0), failed) is None


def test_equal_ages_and_nobody_left_have_no_shape_and_no_error() -> None:
    assert fit_weibull(np.full(5, 3.0), np.ones(5, bool)) is None
    everyone = fit_weibull(np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4, bool))
    assert everyone is not None
    assert everyone.shape > 1
    empty = survival(np.array([1.0, 2.0]), np.zeros(2, bool))
    assert (len(empty.age), empty.median) == (0, None)


def test_a_weibull_is_found_again() -> None:
    rng = np.random.default_rng(3)
    life = 40 * rng.weibull(2.5, 4000)
    found = fit_weibull(np.minimum(life, 45), life <= 45)
    assert found is not None
    assert found.shape == pytest.approx(2.5, rel=0.05)
    assert found.scale_low < 40 < found.scale_high
    assert found.mean == pytest.approx(40 * math.gamma(1.4), rel=0.03)
    assert found.life_at(0.1) == pytest.approx(40 * (-math.log(0.9)) ** 0.4, rel=0.05)


def test_the_planted_attribute_is_found_with_its_interval_and_nothing_else(planted) -> None:
    found = compare(*planted)
    known = [one for one in found if one.known]
    assert [(one.attribute, one.value) for one in known] == [("cutter", "C7")]
    best = known[0]
    assert best.low is not None and best.high is not None
    assert best.low < 0.69 < best.high < 1
    assert (best.items, best.others) == (40, 120)
    sentence = best.sentence("Bearings")
    assert sentence.startswith("Bearings with cutter C7 live ")
    assert f"% shorter ({best.failures} of 40 failed, of the others {best.other_failures} of 120; interval" in sentence


@pytest.mark.full
def test_attributes_that_do_not_matter_are_seldom_called_so() -> None:
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(100):
        life = 100 * rng.weibull(2, 60)
        build = [{"a": int(rng.integers(3)), "b": int(rng.integers(4))} for _ in range(60)]
        wrong += any(one.known for one in compare(np.minimum(life, 90), life <= 90, build))
    assert wrong <= 10


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_few_failures_are_not_known(failures: int) -> None:
    life = np.arange(1.0, 21.0)
    build = [{"cutter": "C7" if number < failures else "C6"} for number in range(20)]
    found = compare(life, np.arange(20) < failures, build)
    assert [one.known for one in found] == ([] if failures == 0 else [False])
    assert all("is not known" in one.sentence("Bearings") for one in found)


def test_a_group_that_never_failed_has_a_bound_and_no_estimate_of_its_own() -> None:
    rng = np.random.default_rng(2)
    life = np.concatenate([100 * rng.weibull(3, 60), np.full(60, 200.0)])
    failed = np.concatenate([np.ones(60, bool), np.zeros(60, bool)])
    build = [{"coating": "none"}] * 60 + [{"coating": "DLC"}] * 60
    found = compare(life, failed, build)
    assert [(one.value, one.known, one.failures, one.high) for one in found] == [("DLC", True, 0, None)]
    assert "interval at least" in found[0].sentence("Seals")


def test_numbers_are_split_at_their_median_and_missing_attributes_compare_with_nobody() -> None:
    life, failed = np.arange(1.0, 41.0), np.ones(40, bool)
    build = [{"hardness": 50.0 + number} for number in range(30)] + [{} for _ in range(10)]
    found = compare(life, failed, build)
    assert [(one.value, one.items, one.others) for one in found] == [("above 64.5", 15, 15)]


def test_bad_actors_are_places_with_more_failures_than_chance_brings() -> None:
    places = np.repeat(np.arange(10), 6)
    failed = np.zeros(60, bool)
    failed[places == 3] = True
    failed[[0, 12, 30]] = True
    found = bad_actors(places, np.full(60, 10.0), failed)
    assert [(one.place, one.failures, one.exposure, one.expected) for one in found] == [(3, 6, 60.0, 0.9)]
    # Poisson: 1 - sum of e^-0.9 0.9^k / k! for k below 6, times ten places
    tail = 1 - sum(math.exp(-0.9) * 0.9**k / math.factorial(k) for k in range(6))
    assert found[0].probability == pytest.approx(10 * tail, rel=1e-9)
    assert bad_actors(places, np.full(60, 10.0), np.zeros(60, bool)) == []


def test_holm_keeps_the_order_and_multiplies_by_what_is_left() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_a_sentence_of_what_is_no_difference() -> None:
    one = Comparison("cutter", "C7", 4, 1, 20, 6, 0.9, 0.4, 2.0, 0.8)
    assert one.sentence("Bearings") == (
        "Bearings with cutter C7 cannot be told from the others (1 of 4 failed, of the others 6 of 20)."
    )
