"""Windows are compared with a loop over every life and row."""

from __future__ import annotations

import numpy as np
import pytest

from twins.ml.windows import beginning, window_mean, window_sd, window_slope

FIRST = np.repeat([0, 7, 8], [7, 1, 12])
VALUES = np.random.default_rng(1).normal(5, 2, (20, 3))


def _rows(row: int, width: int) -> np.ndarray:
    return VALUES[max(FIRST[row], row - width + 1) : row + 1]


@pytest.mark.parametrize("width", [1, 3, 50])
def test_windows_hold_the_last_rows_of_their_own_life(width: int) -> None:
    for row in range(20):
        window = _rows(row, width)
        assert window_mean(VALUES, FIRST, width)[row] == pytest.approx(window.mean(axis=0))
        assert window_sd(VALUES, FIRST, width)[row] == pytest.approx(window.std(axis=0), abs=1e-6)
        slope = np.polyfit(np.arange(len(window)), window, 1)[0] if len(window) > 1 else np.zeros(3)
        assert window_slope(VALUES, FIRST, width)[row] == pytest.approx(slope, abs=1e-9)


def test_the_beginning_is_known_only_as_far_as_it_has_been_lived() -> None:
    for row in range(20):
        known = VALUES[FIRST[row] : min(row, FIRST[row] + 3) + 1]
        assert beginning(VALUES, FIRST, 4)[row] == pytest.approx(known.mean(axis=0))


def test_a_mean_leaves_out_what_is_missing() -> None:
    values = np.array([[1.0], [np.nan], [3.0], [np.nan]])
    mean = window_mean(values, np.array([0, 0, 0, 3]), 3)
    assert mean[:3, 0].tolist() == [1.0, 1.0, 2.0]
    assert np.isnan(mean[3, 0])


@pytest.mark.parametrize("window", [window_mean, window_sd, window_slope])
def test_one_row_asked_alone_is_the_same_number_to_the_bit(window) -> None:
    """All rows of a fleet at once, or the newest of one life from its last rows: batch and online agree exactly."""
    whole = window(VALUES, FIRST, 5)
    for row in range(20):
        alone = VALUES[max(FIRST[row], row - 4) : row + 1]
        answer = window(alone, np.zeros(len(alone), np.int64), 5, np.array([len(alone) - 1]))
        assert answer.tobytes() == whole[row : row + 1].tobytes()
