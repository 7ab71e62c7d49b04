"""A warning is one crossing until it clears; what became of it follows from when the item failed or was removed."""

from __future__ import annotations

import numpy as np
import pytest

from twins.ml import Record, Verdict, Warned, calibrate, judge, tally, warnings_of


def test_a_crossing_is_one_warning_until_it_clears() -> None:
    said = np.array([0.1, 0.5, 0.45, 0.7, 0.41, 0.39, 0.6, 0.9])
    assert warnings_of(said, threshold=0.5) == [Warned(1, 5, 0.7), Warned(6, None, 0.9)]


def test_noise_around_the_threshold_is_one_warning_and_missing_values_change_nothing() -> None:
    said = np.array([0.5, 0.45, np.nan, 0.5, 0.45, np.nan])
    assert warnings_of(said, threshold=0.5) == [Warned(0, None, 0.5)]
    assert warnings_of(said, threshold=0.5, clears=0.5) == [Warned(0, 1, 0.5), Warned(3, 4, 0.5)]


def test_nothing_said_warns_of_nothing() -> None:
    assert warnings_of(np.array([]), threshold=0.5) == []
    assert warnings_of(np.array([np.nan, 0.49]), threshold=0.5) == []


@pytest.mark.parametrize(("threshold", "clears"), [(0.0, None), (1.0, None), (float("nan"), None), (0.5, 0.6)])
def test_a_threshold_that_cannot_be_crossed_is_refused(threshold: float, clears: float | None) -> None:
    with pytest.raises(ValueError, match=r"threshold|clear"):
        warnings_of(np.array([0.5]), threshold=threshold, clears=clears)


@pytest.mark.parametrize(
    ("failed", "ended", "now", "verdict"),
    [
        (12.0, None, 12.0, Verdict.RIGHT),
        (25.0, None, 25.0, Verdict.RIGHT),  # exactly a horizon after it was last warned
        (25.1, None, 26.0, Verdict.FALSE),
        (None, None, 24.9, Verdict.OPEN),
        (None, None, 25.0, Verdict.FALSE),
        (None, 17.0, 18.0, Verdict.VOID),  # removed for another reason: nobody will know
        (None, 25.0, 26.0, Verdict.FALSE),  # removed when the promise had run out
        (9.0, None, 12.0, Verdict.OPEN),  # a failure before it was raised says nothing about it
    ],
)
def test_a_warning_is_judged_by_what_came_after(
    failed: float | None, ended: float | None, now: float, verdict: Verdict
) -> None:
    assert judge(raised=10.0, last=15.0, horizon=10.0, failed=failed, ended=ended, now=now) is verdict


@pytest.mark.parametrize(("now", "verdict"), [(39.9, Verdict.OPEN), (40.0, Verdict.FALSE)])
def test_who_warns_for_ever_is_wrong(now: float, verdict: Verdict) -> None:
    assert judge(raised=10.0, last=now, horizon=10.0, failed=None, ended=None, now=now) is verdict
    assert judge(raised=10.0, last=now, horizon=10.0, failed=39.0, ended=None, now=now) is Verdict.RIGHT


def test_a_record_counts_what_is_known() -> None:
    verdicts = [Verdict.RIGHT] * 3 + [Verdict.FALSE, Verdict.OPEN, Verdict.VOID]
    record = tally(verdicts, [4.0, 9.0, 20.0], missed=2)
    assert record == Record(right=3, false=1, open=1, void=1, missed=2, median_lead=9.0)
    assert record.judged == 4
    assert tally([], []).median_lead is None


def test_calibration_is_the_mean_square_and_the_shares() -> None:
    said = np.array([0.05, 0.05, 0.95, 1.0])
    came = np.array([0.0, 1.0, 1.0, 1.0])
    found = calibrate(said, came)
    assert found is not None
    assert found.brier == pytest.approx((0.05**2 + 0.95**2 + 0.05**2 + 0) / 4)
    assert found.brier_of_a_constant == pytest.approx(0.75 * 0.25)
    assert found.said.tolist() == pytest.approx([0.05, 0.975])
    assert found.came.tolist() == [0.5, 1.0]
    assert found.count.tolist() == [2, 2]
    assert calibrate(np.array([]), np.array([])) is None
