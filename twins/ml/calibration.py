"""Numbers that keep their word: intervals and probabilities corrected by what happened to items not seen."""

from __future__ import annotations

import numpy as np

from twins.ml.lives import Bools, Floats, Ints
from twins.ml.model import Band

_LEVELS = 8
_COVERED = 0.8


def fit_band(predicted: Floats, truth: Floats, life: Ints, horizon: float) -> Band:
    """Errors at each predicted level [rows]; every life weighs the same, however many rows it has."""
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, _LEVELS + 1)))
    where = np.clip(np.searchsorted(edges, predicted, "right") - 1, 0, max(len(edges) - 2, 0))
    levels, low, high = [], [], []
    for level in np.unique(where):
        rows = where == level
        _, lives, counts = np.unique(life[rows], return_inverse=True, return_counts=True)
        error = (truth - predicted)[rows]
        weight = 1.0 / counts[lives]
        # One more life than was seen: the finite-sample correction of conformal prediction.
        tail = (1 - _COVERED) / 2 * len(counts) / (len(counts) + 1)
        levels.append(float(predicted[rows].mean()))
        low.append(min(0.0, _quantile(error, weight, tail)))
        high.append(max(0.0, _quantile(error, weight, 1 - tail)))
    return Band(levels, low, high)


def fit_log_odds(odds: Floats, happened: Bools) -> list[float]:
    """Slope and intercept that make log-odds keep their word, by Newton's method, held near (1, 0)."""
    terms = np.column_stack([odds, np.ones(len(odds))])
    target = happened.astype(np.float64)
    prior, factor = np.array([1.0, 0.0]), np.diag([5.0, 1.0])
    answer = prior.copy()
    for _ in range(25):
        said = _sigmoid(terms @ answer)
        gradient = terms.T @ (said - target) + factor @ (answer - prior)
        curvature = (terms * (said * (1 - said))[:, None]).T @ terms + factor
        change = np.linalg.solve(curvature, gradient)
        answer = answer - np.clip(change, -1.0, 1.0)
    return [max(0.0, float(answer[0])), float(answer[1])]


def probability(odds: Floats, calibration: list[float]) -> Floats:
    """Probabilities of log-odds [rows] after calibration."""
    return _sigmoid(calibration[0] * odds + calibration[1])


def _sigmoid(odds: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0)))


def _quantile(values: Floats, weights: Floats, share: float) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(reached, share)), len(values) - 1)])
