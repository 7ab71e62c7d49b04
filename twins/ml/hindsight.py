"""What a model would have said all along a life: every row at once, as it would have been said when it came.

The same numbers as `predict` gives for the life cut off at that row, because features use the past only. By this a
champion is judged on what happened after it was trained, and the past is replayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twins.ml.boosting import Singles
from twins.ml.lives import Floats, Ints, Life, stack, trace
from twins.ml.model import FleetModel
from twins.ml.prediction import failing, life_left
from twins.ml.readings import Readings
from twins.ml.rows import featurise, normalise, pick_rows
from twins.ml.training import Proof


@dataclass(frozen=True)
class Hindsight:
    """Rows of all lives, each life in order of age."""

    life: Ints
    """[rows] index of the life."""
    time: Ints
    """[rows] microseconds since 1970 of the newest reading."""
    age: Floats
    life_left: Floats
    """[rows] median, at most the horizon."""
    low: Floats
    high: Floats
    probabilities: Floats
    """[rows, horizons of the model]"""
    left: Floats
    """[rows] true life left of lives that failed, NaN of others."""
    reached: Floats
    """[lives] age at the end."""


@dataclass(frozen=True)
class FeatureRows:
    """What a model's boosters are asked, for whole lives."""

    columns: Singles
    """[rows, features]"""
    life: Ints
    time: Ints
    age: Floats
    reached: Floats
    """[lives] age at the end."""


def feature_rows(model: FleetModel, lives: Sequence[Life], readings: Readings) -> FeatureRows:
    """Features of every row of `lives`."""
    traces = [trace(life, readings, model.columns) for life in lives]
    grid = stack(traces)
    rows = pick_rows(grid, model.joined)
    normalised = normalise(grid, rows, model.columns, model.joined, model.normaliser)
    columns, _ = featurise(grid, rows, normalised, model.indices)
    life, time = grid.life[rows.picked], grid.time[rows.picked]
    beside = model.context.of(lives, life, time)
    return FeatureRows(
        columns=np.column_stack([columns, beside]).astype(np.float32),
        life=life,
        time=time,
        age=grid.age[rows.picked],
        reached=np.array([rows.reached for rows in traces]),
    )


def look_back(model: FleetModel, lives: Sequence[Life], readings: Readings) -> Hindsight:
    """What the model says of every row of `lives`."""
    rows = feature_rows(model, lives, readings)
    middle = life_left(model, rows.columns)
    low, high = model.band.around(middle, model.horizon)
    ends = np.where([life.failed for life in lives], rows.reached, np.nan)
    return Hindsight(
        life=rows.life,
        time=rows.time,
        age=rows.age,
        life_left=middle,
        low=low,
        high=high,
        probabilities=failing(model, rows.columns),
        left=ends[rows.life] - rows.age,
        reached=rows.reached,
    )


@dataclass(frozen=True)
class Judgement:
    """How well a model did on what it could not know."""

    rows: int
    failures: int
    rmse: float
    """Life units, both sides at most the cap that was asked for; NaN without rows."""
    coverage_80: float
    """Share of true lives left within p10 and p90, of those within the horizon; NaN without any."""


def judge_model(model: FleetModel, lives: Sequence[Life], readings: Readings, *, after: int, cap: float) -> Judgement:
    """Judge `model` on the rows of `lives` that came after a time, where life left is known by now."""
    said = look_back(model, lives, readings)
    rows = (said.time > after) & np.isfinite(said.left)
    return _judge(said.life[rows], said.left[rows], (said.life_left[rows], said.low[rows], said.high[rows]), cap)


def judge_proof(proof: Proof, *, after: int, cap: float) -> Judgement:
    """Judge a training on the same rows by what it said of items it had not seen."""
    rows = (proof.time > after) & proof.exact
    return _judge(proof.life[rows], proof.left[rows], (proof.predicted[rows], proof.low[rows], proof.high[rows]), cap)


def _judge(life: Ints, left: Floats, said: tuple[Floats, Floats, Floats], cap: float) -> Judgement:
    middle, low, high = said
    near = left < cap
    held = (low <= left) & (left <= high)
    error = np.minimum(middle, cap) - np.minimum(left, cap)
    return Judgement(
        rows=len(left),
        failures=len(np.unique(life)),
        rmse=float(np.sqrt(np.mean(error**2))) if len(left) else np.nan,
        coverage_80=float(held[near].mean()) if near.any() else np.nan,
    )
