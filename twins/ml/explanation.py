"""Why a health is what it is: exact TreeSHAP values of life left, brought back to inputs, in points of health.

A feature belongs to an index, and an index is a sum over inputs: a feature's value is shared among the inputs in
proportion to what each added to the index lately. Shares sum to the whole, so points sum to the difference between
this item and the fleet's mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.ml.boosting import contributions
from twins.ml.features import AGE, ALL, fill
from twins.ml.lives import Floats, Ints
from twins.ml.model import FleetModel
from twins.ml.rows import SMOOTHED, Rows
from twins.ml.windows import window_mean

_MOST = 5
AGE_NAME = "age"


@dataclass(frozen=True)
class Driver:
    """An input and the points of health it adds or takes, compared with the mean of the fleet."""

    input: str
    points: float


def explain(
    model: FleetModel,
    rows: Rows,
    newest: Ints,
    *,
    columns: Floats,
    owners: list[int],
    normalised: Floats,
) -> list[list[Driver]]:
    """For each row of `newest` the inputs that matter most, the worst first."""
    values = np.mean([contributions(booster, columns[newest])[:, :-1] for booster in model.life_left], axis=0)
    recent = window_mean(fill(normalised, model.indices.covariance), rows.first, SMOOTHED)[newest]
    points = _by_input(values, owners, recent, model.indices.weights) * 100 / model.horizon
    names = [*model.columns.measurements, AGE_NAME]
    return [_worst_first(names, row) for row in points]


def _by_input(values: Floats, owners: list[int], recent: Floats, weights: Floats) -> Floats:
    """[lives, inputs + age] contributions of features [lives, features]."""
    owner = np.array(owners)
    parts = np.abs(recent[:, :, None] * weights[None, :, :])
    shares = parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-12)
    result = np.zeros((len(values), weights.shape[0] + 1))
    for index in range(weights.shape[1]):
        result[:, :-1] += shares[:, :, index] * values[:, owner == index].sum(axis=1, keepdims=True)
    together = parts.sum(axis=2)
    together = together / np.maximum(together.sum(axis=1, keepdims=True), 1e-12)
    result[:, :-1] += together * values[:, owner == ALL].sum(axis=1, keepdims=True)
    result[:, -1] = values[:, owner == AGE].sum(axis=1)
    return result


def _worst_first(names: list[str], points: Floats) -> list[Driver]:
    largest = np.argsort(-np.abs(points), kind="stable")[:_MOST]
    chosen = [Driver(names[i], round(float(points[i]), 2)) for i in largest]
    return sorted((driver for driver in chosen if driver.points), key=lambda driver: (driver.points, driver.input))
