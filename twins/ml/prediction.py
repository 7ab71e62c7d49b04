"""What a fleet model says of lives that still run: health, life left, probability of failure, drivers and coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twins.ml.boosting import Singles, evaluate
from twins.ml.calibration import probability
from twins.ml.explanation import Driver, explain
from twins.ml.features import BEGINNING, REACH
from twins.ml.lives import Bools, Floats, Grid, Life, Trace, shorten, stack
from twins.ml.model import FleetModel
from twins.ml.regimes import MOST_EQUAL
from twins.ml.rows import featurise, normalise, pick_rows, spoiled

_FRESH_INTERVALS = 3.0
_FRESH_ROWS = 3
"""Rows of the features within which an input without a declared interval must have been read."""
_BEYOND = 0.9
"""Share of the horizon from which on `more than this` is the answer: a mean of capped lives never reaches the cap."""


@dataclass(frozen=True)
class Prediction:
    """What is believed of one life as of `data_time`; life left in life units."""

    health: float
    """0 to 100: the share of the planning horizon that is left, times the chance to survive the first horizon."""
    life_left: tuple[float, float, float]
    """p10, p50, p90, at most the planning horizon."""
    beyond_horizon: bool
    """Half of what is like this outlives the planning horizon: `more than this` is the answer."""
    probabilities: list[tuple[float, float]]
    """(horizon, probability of failing within it), both ascending."""
    drivers: list[Driver]
    coverage: float
    """Share of the inputs that are fresh and good."""
    data_time: int
    """Microseconds since 1970 of the newest reading."""


def rows_needed(model: FleetModel) -> tuple[int, int]:
    """How many first and last steps of a life's trace its newest prediction looks at; see `shorten`."""
    return (BEGINNING + 1) * model.joined, (REACH + 2) * model.joined + MOST_EQUAL


def predict(model: FleetModel, lives: Sequence[Life], traces: Sequence[Trace], *, now: int) -> list[Prediction | None]:
    """Predict each life from its trace; None where nothing was ever read."""
    read = [index for index, rows in enumerate(traces) if len(rows.bins)]
    answers: list[Prediction | None] = [None] * len(lives)
    if read:
        found = _predict(model, [lives[i] for i in read], [traces[i] for i in read], now)
        for index, prediction in zip(read, found, strict=True):
            answers[index] = prediction
    return answers


def _predict(model: FleetModel, lives: Sequence[Life], traces: Sequence[Trace], now: int) -> list[Prediction]:
    first, last = rows_needed(model)
    grid = stack([shorten(rows, first=first, last=last) for rows in traces])
    rows = pick_rows(grid, model.joined)
    normalised = normalise(grid, rows, model.columns, model.joined, model.normaliser)
    bad = _newest_bad(grid, spoiled(grid, model.columns, model.normaliser))
    newest = np.flatnonzero(np.append(np.diff(rows.first) != 0, True))
    columns, owners = featurise(grid, rows, normalised, model.indices, newest)
    beside = model.context.of(lives, np.arange(len(lives)), grid.time[rows.picked][newest])
    asked = np.column_stack([columns, beside]).astype(np.float32)
    middle = life_left(model, asked)
    low, high = model.band.around(middle, model.horizon)
    chances = failing(model, asked)
    drivers = explain(model, rows, newest, columns=asked, owners=owners, normalised=normalised)
    return [
        Prediction(
            health=float(100 * middle[i] / model.horizon * (1 - chances[i, 0])),
            life_left=(float(low[i]), float(middle[i]), float(high[i])),
            beyond_horizon=bool(middle[i] >= _BEYOND * model.horizon),
            probabilities=[(h, float(p)) for h, p in zip(model.horizons, chances[i], strict=True)],
            drivers=drivers[i],
            coverage=coverage(model, life, rows_, now, bad[i]),
            data_time=int(rows_.newest.max()),
        )
        for i, (life, rows_) in enumerate(zip(lives, traces, strict=True))
    ]


def coverage(model: FleetModel, life: Life, rows: Trace, now: int, bad: Bools) -> float:
    """Share of the model's inputs with a good reading within three of their intervals.

    An input without a declared interval is compared with its siblings instead of the clock. `bad` [measurements] says
    of which the newest value cannot be believed.
    """
    intervals = {item.name: item.interval for item in life.inputs}
    oldest = _oldest_row(rows, model.joined * _FRESH_ROWS)
    fresh: list[bool] = []
    for column, name in enumerate(model.columns.names):
        interval, newest = intervals.get(name), int(rows.newest[column])
        since = now - _FRESH_INTERVALS * interval * 1e6 if interval else oldest
        is_setting = column >= len(bad)
        # A setting may be told only when it changes: then it is as good as its last value.
        good = is_setting or not bad[column]
        fresh.append(good and newest > 0 and (newest >= since or (is_setting and not interval)))
    return float(np.mean(fresh)) if fresh else 0.0


def _newest_bad(grid: Grid, bad: Bools) -> Bools:
    """[lives, inputs] whether the newest value of each input must not be believed."""
    known = np.isfinite(grid.values[:, : bad.shape[1]])
    row = np.where(known, np.arange(len(known))[:, None], -1)
    starts = np.flatnonzero(np.append(True, np.diff(grid.life) != 0))
    newest = np.maximum.reduceat(row, starts, axis=0)
    return (newest >= 0) & np.take_along_axis(bad, np.maximum(newest, 0), axis=0)


def _oldest_row(rows: Trace, count: int) -> int:
    return int(rows.time[max(0, len(rows.time) - count)])


def life_left(model: FleetModel, columns: Singles) -> Floats:
    """[rows] median life left, at most the horizon."""
    votes = [evaluate(booster, columns) for booster in model.life_left]
    return np.clip(np.mean(votes, axis=0), 0.0, model.horizon)


def failing(model: FleetModel, columns: Singles) -> Floats:
    """[rows, horizons] calibrated probabilities of failing, and never less likely for a longer horizon."""
    said = [
        probability(evaluate(booster, columns, margin=True), calibration)
        for booster, calibration in zip(model.failure, model.calibration, strict=True)
    ]
    return np.maximum.accumulate(np.column_stack(said), axis=1)
