"""Why a health is what it is: exact TreeSHAP values of life left, brought back to inputs, in points of health.

A feature belongs to an index, and an index is a sum over inputs: a feature's value is shared among the inputs in
proportion to what each added to the index lately. Shares sum to the whole, so points sum to the difference between
this item and the fleet's mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.ml.boosting import Singles, contributions
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
    columns: Singles,
    owners: list[int],
    normalised: Floats,
) -> list[list[Driver]]:
    """For each row of `newest`, whose features are `columns`, the inputs that matter most, the worst first."""
    values = np.mean([contributions(booster, columns)[:, :-1] for booster in model.life_left], axis=0)
    recent = window_mean(fill(normalised, model.indices.covariance), rows.first, SMOOTHED, newest)
    points = _by_input(values, owners, recent, model.indices.weights) * 100 / model.horizon
    names = [*model.columns.measurements, AGE_NAME, *model.context.names]
    return _worst_first(names, points)


def _by_input(values: Floats, owners: list[int], recent: Floats, weights: Floats) -> Floats:
    """[lives, inputs + age + context] contributions of features and context [lives, features + context]."""
    owner = np.array(owners)
    values, beside = values[:, : len(owner)], values[:, len(owner) :]
    parts = np.abs(recent[:, :, None] * weights[None, :, :])
    shares = parts / np.maximum(parts.sum(axis=1, keepdims=True), 1e-12)
    result = np.zeros((len(values), weights.shape[0] + 1))
    for index in range(weights.shape[1]):
        result[:, :-1] += shares[:, :, index] * values[:, owner == index].sum(axis=1, keepdims=True)
    together = parts.sum(axis=2)
    together = together / np.maximum(together.sum(axis=1, keepdims=True), 1e-12)
    result[:, :-1] += together * values[:, owner == ALL].sum(axis=1, keepdims=True)
    result[:, -1] = values[:, owner == AGE].sum(axis=1)
    return np.column_stack([result, beside])


def _worst_first(names: list[str], points: Floats) -> list[list[Driver]]:
    """The largest of each row of `points` [lives, names]."""
    largest = np.argsort(-np.abs(points), axis=1, kind="stable")[:, :_MOST]
    chosen = np.round(np.take_along_axis(points, largest, axis=1), 2)
    drivers = [
        [Driver(names[i], value) for i, value in zip(which, values, strict=True) if value]
        for which, values in zip(largest.tolist(), chosen.tolist(), strict=True)
    ]
    return [sorted(row, key=lambda driver: (driver.points, driver.input)) for row in drivers]
