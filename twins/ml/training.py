"""A fleet model is learned from lives, proved by cross-validation that never tears an item apart, or refused.

Life left is boosted squared error capped at the planning horizon; its interval is conformal: what the errors on
unseen items were at the same predicted level (Papadopoulos et al. 2002, in bins). Failure within a horizon is a
boosted probability, recalibrated on unseen items (Platt 1999). Lives that did not end by failure count where what is
asked is known: they teach that they survived.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from twins.exceptions import NotEnoughFailures
from twins.ml.boosting import boost, evaluate
from twins.ml.calibration import fit_band, fit_log_odds, probability
from twins.ml.features import Indices, fit_indices
from twins.ml.lives import Bools, Columns, Floats, Grid, Ints, Life, choose_step, stack, trace
from twins.ml.model import FleetModel
from twins.ml.readings import Readings
from twins.ml.regimes import Normaliser, fit_normaliser
from twins.ml.rows import Rows, featurise, normalise, pick_rows

FEWEST_FAILURES = 5
_FOLDS = 5
_HORIZONS = (0.1, 0.25, 0.5)
"""Horizons of the failure probabilities as shares of the planning horizon."""
_SHARE_OF_LIFE = 0.65
_THINNED = 10
"""Of the rows beyond the horizon, which all have the same answer, one of so many is kept."""
_FEWEST_ROUNDS, _MOST_ROUNDS, _ROWS_A_ROUND = 100, 300, 25
_BETTER = 0.97
"""Share of a constant's error that a model must stay below; chance alone brings noise a little under it."""
_NORMALISER_ROWS = 60_000


@dataclass(frozen=True)
class Proof:
    """What the model said of items it had not seen, in rows of age."""

    life: Ints
    """[rows] index of the life."""
    age: Floats
    left: Floats
    """[rows] true life left, or what was survived where not exact."""
    exact: Bools
    predicted: Floats
    """[rows] life left, at most the horizon."""
    low: Floats
    """[rows] p10, and below p90, as wide as the errors on items of other folds were."""
    high: Floats


@dataclass(frozen=True)
class Training:
    """A model, what it proved to be worth, and why it is refused if it is."""

    model: FleetModel
    metrics: dict[str, float]
    proof: Proof
    data_hash: str
    refusal: str


@dataclass(frozen=True)
class _Task:
    """Rows of all lives and what is asked of them."""

    grid: Grid
    rows: Rows
    columns: Columns
    joined: int
    horizon: float
    group: Ints
    left: Floats
    exact: Bools

    @property
    def known(self) -> Bools:
        """Whether life left, capped at the horizon, is known."""
        return self.exact | (self.left >= self.horizon)


@dataclass(frozen=True)
class _Fit:
    normaliser: Normaliser
    indices: Indices
    life_left: tuple[bytes, ...]
    failure: tuple[bytes, ...]
    columns: Floats
    """[rows, features] of all rows, not only those it was fitted on."""


def suggest_horizon(lives: Sequence[float]) -> float:
    """A planning horizon for a design whose failed lives lasted so long: about two thirds, two digits."""
    value = _SHARE_OF_LIFE * float(np.median(lives))
    return float(f"{value:.1e}")


def train(
    lives: Sequence[Life],
    readings: Readings,
    *,
    horizon: float | None,
    seed: int,
    threads: int = 2,
    fewest_failures: int = FEWEST_FAILURES,
) -> Training:
    """Learn and prove a model; raises NotEnoughFailures. A refused model is returned with its reason."""
    task = _task(lives, readings, horizon, fewest_failures)
    fold = _folds(task, seed)
    life_left, odds = np.empty(len(fold)), np.empty((len(fold), len(_HORIZONS)))
    # Every fit has one thread and the fits run side by side: nobody waits at a barrier on a busy machine, and the
    # bytes do not depend on the number of threads.
    with ThreadPoolExecutor(threads) as pool:
        whole = pool.submit(_fit, task, np.ones(len(fold), bool), seed)
        for unseen, left, log_odds in pool.map(lambda number: _prove(task, fold == number, seed), np.unique(fold)):
            life_left[unseen], odds[unseen] = left, log_odds
        fit = whole.result()
    known = task.known
    answers = np.minimum(task.left, task.horizon)
    band = fit_band(life_left[known], answers[known], task.grid.life[task.rows.picked][known], task.horizon)
    horizons = [share * task.horizon for share in _HORIZONS]
    calibration = []
    for column, within in enumerate(horizons):
        asked = task.exact | (task.left >= within)
        calibration.append(fit_log_odds(odds[asked, column], (task.left <= within)[asked]))
    model = FleetModel(
        columns=task.columns,
        joined=task.joined,
        horizon=task.horizon,
        horizons=horizons,
        calibration=calibration,
        normaliser=fit.normaliser,
        indices=fit.indices,
        band=band,
        life_left=fit.life_left,
        failure=fit.failure,
    )
    low, high = _held_out_band(task, life_left, answers, fold)
    proof = Proof(
        life=task.grid.life[task.rows.picked],
        age=task.grid.age[task.rows.picked],
        left=task.left,
        exact=task.exact,
        predicted=life_left,
        low=low,
        high=high,
    )
    metrics = _metrics(task, proof, odds, model, fold)
    return Training(model, metrics, proof, _data_hash(task), _refusal(metrics))


def _task(lives: Sequence[Life], readings: Readings, horizon: float | None, fewest_failures: int) -> _Task:
    measurements, settings = _names(lives, "measurement"), _names(lives, "setting")
    step, joined = choose_step(lives, readings)
    columns = Columns(measurements, settings, step)
    traced = [(life, trace(life, readings, columns)) for life in lives]
    traced = [(life, rows) for life, rows in traced if len(rows.bins)]
    failures = sum(life.failed for life, _ in traced)
    if failures < fewest_failures or not measurements:
        raise NotEnoughFailures(
            f"{failures} recorded failures with readings are too few to learn from ({fewest_failures} are needed): "
            "the ageing curve speaks until more are recorded."
        )
    grid = stack([rows for _, rows in traced])
    varying = _varying(grid.values[:, : len(measurements)])
    keep = np.append(varying, np.ones(len(settings), bool))
    columns = Columns(tuple(n for n, v in zip(measurements, varying, strict=True) if v), settings, step)
    grid = Grid(grid.life, grid.first, grid.bins, grid.age, grid.time, grid.values[:, keep])
    rows = pick_rows(grid, joined)
    reached = np.array([rows.reached for _, rows in traced])
    failed = np.array([life.failed for life, _ in traced])
    life = grid.life[rows.picked]
    return _Task(
        grid=grid,
        rows=rows,
        columns=columns,
        joined=joined,
        horizon=horizon or suggest_horizon(reached[failed].tolist()),
        group=np.array([life.group for life, _ in traced])[life],
        left=reached[life] - grid.age[rows.picked],
        exact=failed[life],
    )


def _names(lives: Sequence[Life], role: str) -> tuple[str, ...]:
    """Inputs that at least half of the lives have."""
    counts: dict[str, int] = {}
    for life in lives:
        for item in life.inputs:
            if item.role == role:
                counts[item.name] = counts.get(item.name, 0) + 1
    return tuple(sorted(name for name, count in counts.items() if 2 * count >= len(lives)))


def _varying(values: Floats) -> Bools:
    """Inputs that are not constant over the whole fleet."""
    known = np.isfinite(values)
    low = np.where(known, values, np.inf).min(axis=0)
    high = np.where(known, values, -np.inf).max(axis=0)
    return (high - low) > 1e-9 * (1 + np.abs(high))


def _folds(task: _Task, seed: int) -> Ints:
    """[rows] fold of every row: items that failed are spread evenly, then the others."""
    groups, which = np.unique(task.group, return_inverse=True)
    failed = np.zeros(len(groups), bool)
    failed[which[task.exact]] = True
    # The failed are dealt first, so that folds stay what they were when running items join the fleet.
    dice = np.random.default_rng(seed)
    order = np.concatenate([dice.permutation(np.flatnonzero(kind)) for kind in (failed, ~failed)])
    fold = np.empty(len(groups), np.int64)
    fold[order] = np.arange(len(groups)) % min(_FOLDS, int(failed.sum()))
    return fold[which]


def _prove(task: _Task, unseen: Bools, seed: int) -> tuple[Bools, Floats, Floats]:
    """What a model taught without the `unseen` rows says of them: life left and log-odds of failure."""
    fit = _fit(task, ~unseen, seed)
    votes = [evaluate(booster, fit.columns[unseen]) for booster in fit.life_left]
    odds = [evaluate(booster, fit.columns[unseen], margin=True) for booster in fit.failure]
    return unseen, np.clip(np.mean(votes, axis=0), 0.0, task.horizon), np.column_stack(odds)


def _held_out_band(task: _Task, predicted: Floats, answers: Floats, fold: Ints) -> tuple[Floats, Floats]:
    """[rows] p10 and p90 by intervals that are as wide as the errors on other items, so that coverage is measured."""
    life, known = task.grid.life[task.rows.picked], task.known
    low, high = np.empty(len(fold)), np.empty(len(fold))
    for number in np.unique(fold):
        here, others = fold == number, known & (fold != number)
        band = fit_band(predicted[others], answers[others], life[others], task.horizon)
        low[here], high[here] = band.around(predicted[here], task.horizon)
    return low, high


def _fit(task: _Task, taught: Bools, seed: int) -> _Fit:
    """Everything that is learned is learned from the rows `taught` alone."""
    count = len(task.columns.measurements)
    steps = np.flatnonzero(_spread(taught, task))
    steps = steps[:: max(1, len(steps) // _NORMALISER_ROWS)]
    normaliser = fit_normaliser(task.grid.values[steps, :count], task.grid.values[steps, count:])
    normalised = normalise(task.grid, task.rows, task.columns, task.joined, normaliser)
    learned = np.flatnonzero(taught)
    first = np.searchsorted(learned, task.rows.first[learned])
    answers = np.minimum(task.left, task.horizon)
    indices = fit_indices(normalised[learned], first, answers[learned], task.exact[learned])
    columns, _ = featurise(task.grid, task.rows, normalised, indices)
    failure = tuple(
        _boost(
            task,
            columns,
            task.left <= share * task.horizon,
            taught & _asked(task, share),
            seed=seed,
            failure=True,
        )
        for share in _HORIZONS
    )
    life_left = _boost(task, columns, answers, taught & task.known, seed=seed, failure=False)
    return _Fit(normaliser, indices, (life_left,), failure, columns)


def _asked(task: _Task, share: float) -> Bools:
    """Rows where it is known whether the item failed within this share of the horizon."""
    return task.exact | (task.left >= share * task.horizon)


def _spread(taught: Bools, task: _Task) -> Bools:
    """Whether a step of the grid belongs to a life that is taught."""
    lives = np.zeros(int(task.grid.life.max()) + 1, bool)
    lives[task.grid.life[task.rows.picked[taught]]] = True
    return lives[task.grid.life]


def _boost(task: _Task, columns: Floats, answers: Floats | Bools, use: Bools, *, seed: int, failure: bool) -> bytes:
    near = task.left <= task.horizon
    chosen = np.flatnonzero(use & (near | (np.arange(len(use)) % _THINNED == 0)))
    rounds = int(np.clip(len(chosen) // _ROWS_A_ROUND, _FEWEST_ROUNDS, _MOST_ROUNDS))
    return boost(
        columns[chosen],
        answers[chosen].astype(np.float64),
        failure=failure,
        seed=seed,
        rounds=rounds // 3 if failure else rounds,
    )


def _metrics(task: _Task, proof: Proof, odds: Floats, model: FleetModel, fold: Ints) -> dict[str, float]:
    """Errors on unseen items, in life units, and what a constant would have done on the same rows."""
    answers = np.minimum(task.left, task.horizon)
    known = task.known
    error = (proof.predicted - answers)[known]
    constant = np.empty(len(fold))
    for number in np.unique(fold):
        constant[fold == number] = answers[known & (fold != number)].mean()
    inside = ((proof.low <= answers) & (answers <= proof.high))[known & (answers < task.horizon)]
    metrics = {
        "failures": float(len(np.unique(proof.life[proof.exact]))),
        "lives": float(len(np.unique(proof.life))),
        "rows": float(len(fold)),
        "rmse": float(np.sqrt(np.mean(error**2))),
        "bias": float(error.mean()),
        "rmse_of_a_constant": float(np.sqrt(np.mean((constant - answers)[known] ** 2))),
        "coverage_80": float(inside.mean()) if len(inside) else 1.0,
    }
    for column, (within, share) in enumerate(zip(model.horizons, _HORIZONS, strict=True)):
        asked = _asked(task, share)
        truth = (task.left <= within)[asked].astype(np.float64)
        said = probability(odds[asked, column], model.calibration[column])
        metrics[f"brier_{share:g}"] = float(np.mean((said - truth) ** 2))
        metrics[f"brier_{share:g}_of_a_constant"] = float(truth.mean() * (1 - truth.mean()))
    return metrics


def _refusal(metrics: dict[str, float]) -> str:
    if metrics["rmse"] < _BETTER * metrics["rmse_of_a_constant"]:
        return ""
    return (
        f"On items it had not seen its error ({metrics['rmse']:.3g}) is not clearly smaller than that of a constant "
        f"({metrics['rmse_of_a_constant']:.3g}): its inputs do not tell when these items fail."
    )


def _data_hash(task: _Task) -> str:
    digest = hashlib.sha256()
    for array in (task.grid.life, task.grid.age, task.grid.values, task.left, task.exact, task.group):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
