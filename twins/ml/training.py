"""A fleet model is learned from lives, proved by cross-validation that never tears an item apart, or refused.

Life left is boosted squared error capped at the planning horizon; its interval is conformal: what the errors on
unseen items were at the same predicted level (Papadopoulos et al. 2002, in bins). Failure within a horizon is a
boosted probability, recalibrated on unseen items (Platt 1999). Lives that did not end by failure count where what is
asked is known: they teach that they survived. What is known of a life beside its readings teaches too where that made
the errors on unseen items smaller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from twins.exceptions import LeakingInputs
from twins.ml.boosting import DEFAULT, Binned, Singles, Trees, evaluate
from twins.ml.calibration import fit_band, fit_log_odds, probability
from twins.ml.context import NOTHING
from twins.ml.drift import fit_reference
from twins.ml.features import Indices, fit_indices
from twins.ml.leakage import find_leaks
from twins.ml.lives import Bools, Floats, Ints, Life
from twins.ml.model import FleetModel
from twins.ml.readings import Readings
from twins.ml.regimes import Normaliser, fit_normaliser, repeats_of
from twins.ml.rows import featurise, normalise
from twins.ml.task import Task, make_folds, make_task
from twins.ml.tuning import tune

FEWEST_FAILURES = 5
_THINNED = 10
"""Of the rows beyond the horizon, which all have the same answer, one of so many is kept."""
_FEWEST_ROUNDS, _MOST_ROUNDS, _ROWS_A_ROUND = 100, 300, 25
_BETTER = 0.97
"""Share of a constant's error that a model must stay below; chance alone brings noise a little under it."""
_HELPS = 0.99
"""Share of the error without it that what stands beside the readings must bring it to, before it is used."""
_NORMALISER_ROWS = 60_000


@dataclass(frozen=True)
class Proof:
    """What the model said of items it had not seen, in rows of age."""

    life: Ints
    """[rows] index of the life."""
    age: Floats
    time: Ints
    """[rows] microseconds since 1970."""
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
    trees: Trees = DEFAULT


@dataclass(frozen=True)
class _Recipe:
    """What is decided by cross-validation before the models are fitted."""

    trees: Trees
    beside: bool
    """Whether the context is used."""


@dataclass(frozen=True)
class _Prepared:
    """What is usual and the fused indices, learned from some rows, and the columns of all rows by them."""

    normaliser: Normaliser
    indices: Indices
    columns: Singles
    """[rows, features]; the context is not among them."""


@dataclass(frozen=True)
class _Unseen:
    """What was said of each row by models that had not seen its item."""

    life_left: Floats
    """[rows] at most the horizon."""
    odds: Floats
    """[rows, horizons] log-odds of failing within each."""


@dataclass(frozen=True)
class _Fit:
    prepared: _Prepared
    columns: Singles
    """[rows, features and context]"""
    life_left: tuple[bytes, ...]
    failure: tuple[bytes, ...]


def train(
    lives: Sequence[Life],
    readings: Readings,
    *,
    horizon: float | None,
    seed: int,
    threads: int = 2,
    fewest_failures: int = FEWEST_FAILURES,
    horizons: Sequence[float] | None = None,
    ignored: Sequence[str] = (),
    trials: int = 0,
    trees: Trees = DEFAULT,
) -> Training:
    """Learn and prove a model; a refused one is returned with its reason.

    `horizons` are those of the failure probabilities, in life units; `ignored` names inputs that must not teach;
    `trials` is the budget of a search for better trees than `trees`. Raises NotEnoughFailures, and LeakingInputs
    where an input knows the future.
    """
    task = make_task(
        lives, readings, horizon=horizon, horizons=horizons, ignored=ignored, fewest_failures=fewest_failures
    )
    if leaks := find_leaks(task):
        raise LeakingInputs([(leak.input, leak.why) for leak in leaks], task.horizon)
    fold = make_folds(task, seed)
    with _workers(threads) as pool:
        recipe = _choose(task, fold, pool, seed=seed, recipe=_Recipe(trees, beside=False), trials=trials)
        fit, said = _fit_and_prove(task, fold, pool, seed=seed, recipe=recipe)
    model = _assemble(task, fit, said, recipe)
    low, high = _held_out_band(task, said.life_left, fold)
    proof = Proof(task.life, task.age, task.time, task.left, task.exact, said.life_left, low, high)
    metrics = _metrics(task, proof, said.odds, model, fold)
    return Training(model, metrics, proof, task.data_hash(), _refusal(metrics), recipe.trees)


@contextmanager
def _workers(threads: int) -> Iterator[Executor]:
    """Fits run side by side, each on one thread: nobody waits at a barrier on a busy machine, and the bytes do not
    depend on the number of threads. Linear algebra would start threads of its own, which wait by spinning.
    """
    pool = ThreadPoolExecutor(threads)
    with threadpool_limits(1, user_api="blas"):
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)


def _fit_and_prove(task: Task, fold: Ints, pool: Executor, *, seed: int, recipe: _Recipe) -> tuple[_Fit, _Unseen]:
    """What all rows teach, and what is said of each fold by what the others taught."""
    said = _Unseen(np.empty(len(fold)), np.empty((len(fold), len(task.horizons))))
    whole = pool.submit(_fit, task, np.ones(len(fold), bool), seed, recipe)
    for unseen, left, odds in pool.map(partial(_prove, task, fold, seed, recipe), np.unique(fold)):
        said.life_left[unseen], said.odds[unseen] = left, odds
    return whole.result(), said


def _assemble(task: Task, fit: _Fit, said: _Unseen, recipe: _Recipe) -> FleetModel:
    """The model of all rows, which keeps its word as what was said of unseen items shows."""
    known, reference = task.known, normalise(task.grid, task.rows, task.columns, task.joined, fit.prepared.normaliser)
    return FleetModel(
        columns=task.columns,
        joined=task.joined,
        horizon=task.horizon,
        horizons=list(task.horizons),
        calibration=[
            fit_log_odds(odds[asked], (task.left <= within)[asked])
            for odds, within in zip(said.odds.T, task.horizons, strict=True)
            for asked in [task.asked(within)]
        ],
        normaliser=fit.prepared.normaliser,
        indices=fit.prepared.indices,
        band=fit_band(said.life_left[known], task.answers[known], task.life[known], task.horizon),
        context=task.context if recipe.beside else NOTHING,
        reference=fit_reference(reference),
        life_left=fit.life_left,
        failure=fit.failure,
    )


def _choose(task: Task, fold: Ints, pool: Executor, *, seed: int, recipe: _Recipe, trials: int) -> _Recipe:
    """Decide by the error on unseen items whether the context helps, and for `trials` which trees are better."""
    if not trials and not task.context.names:
        return recipe
    numbers = np.unique(fold)
    prepared = list(pool.map(lambda number: _prepare(task, fold != number), numbers))

    def error(recipe: _Recipe) -> float:
        votes = np.empty(len(fold))

        def vote(number: int) -> None:
            columns = _columns(task, prepared[number], recipe)
            taught, unseen = fold != numbers[number], fold == numbers[number]
            booster = _Booster(task, columns, seed, recipe.trees).life_left(taught)
            votes[unseen] = np.clip(evaluate(booster, columns[unseen]), 0.0, task.horizon)

        list(pool.map(vote, range(len(numbers))))
        return float(np.sqrt(np.mean((votes - task.answers)[task.known] ** 2)))

    if task.context.names:
        beside = replace(recipe, beside=True)
        recipe = beside if error(beside) < _HELPS * error(recipe) else recipe
    return replace(recipe, trees=tune(lambda trees: error(replace(recipe, trees=trees)), recipe.trees, trials, seed))


def _prove(task: Task, fold: Ints, seed: int, recipe: _Recipe, number: int) -> tuple[Bools, Floats, Floats]:
    """What a model taught without the fold `number` says of it: life left and log-odds of failure."""
    unseen = fold == number
    fit = _fit(task, ~unseen, seed, recipe)
    votes = [evaluate(booster, fit.columns[unseen]) for booster in fit.life_left]
    odds = [evaluate(booster, fit.columns[unseen], margin=True) for booster in fit.failure]
    return unseen, np.clip(np.mean(votes, axis=0), 0.0, task.horizon), np.column_stack(odds)


def _prepare(task: Task, taught: Bools) -> _Prepared:
    """Everything that is learned is learned from the rows `taught` alone."""
    count = len(task.columns.measurements)
    steps = np.flatnonzero(_spread(taught, task))
    repeats = repeats_of(task.grid.values[steps, :count], task.grid.life[steps])
    steps = steps[:: max(1, len(steps) // _NORMALISER_ROWS)]
    normaliser = fit_normaliser(task.grid.values[steps, :count], task.grid.values[steps, count:], repeats)
    normalised = normalise(task.grid, task.rows, task.columns, task.joined, normaliser)
    learned = np.flatnonzero(taught)
    first = np.searchsorted(learned, task.rows.first[learned])
    indices = fit_indices(normalised[learned], first, task.answers[learned], task.exact[learned])
    columns, _ = featurise(task.grid, task.rows, normalised, indices)
    return _Prepared(normaliser, indices, columns.astype(np.float32))


def _columns(task: Task, prepared: _Prepared, recipe: _Recipe) -> Singles:
    if not recipe.beside:
        return prepared.columns
    return np.column_stack([prepared.columns, task.beside.astype(np.float32)])


def _fit(task: Task, taught: Bools, seed: int, recipe: _Recipe) -> _Fit:
    prepared = _prepare(task, taught)
    columns = _columns(task, prepared, recipe)
    boost = _Booster(task, columns, seed, recipe.trees)
    life_left = boost.life_left(taught)
    failure = tuple(boost.failure(taught, within) for within in task.horizons)
    return _Fit(prepared, columns, (life_left,), failure)


class _Booster:
    """Boosters from the same columns; what the same rows teach is cut into bins once."""

    def __init__(self, task: Task, columns: Singles, seed: int, trees: Trees) -> None:
        self._task, self._columns, self._seed, self._trees = task, columns, seed, trees
        self._rows: Ints = np.empty(0, np.int64)
        self._binned: Binned | None = None

    def life_left(self, taught: Bools) -> bytes:
        return self._boost(self._task.answers, taught & self._task.known, failure=False)

    def failure(self, taught: Bools, within: float) -> bytes:
        return self._boost(self._task.left <= within, taught & self._task.asked(within), failure=True)

    def _boost(self, answers: Floats | Bools, use: Bools, *, failure: bool) -> bytes:
        rows = teaching_rows(self._task, use)
        if self._binned is None or not np.array_equal(rows, self._rows):
            self._rows, self._binned = rows, Binned(self._columns[rows])
        rounds = rounds_of(len(rows), self._trees, failure=failure)
        taught = answers[rows].astype(np.float64)
        return self._binned.boost(taught, failure=failure, seed=self._seed, rounds=rounds, trees=self._trees)


def _spread(taught: Bools, task: Task) -> Bools:
    """Whether a step of the grid belongs to a life that is taught."""
    lives = np.zeros(int(task.grid.life.max()) + 1, bool)
    lives[task.life[taught]] = True
    return lives[task.grid.life]


def teaching_rows(task: Task, use: Bools) -> Ints:
    """Of the rows `use` those that teach: all within the horizon, and some beyond."""
    return np.flatnonzero(use & ((task.left <= task.horizon) | (np.arange(len(use)) % _THINNED == 0)))


def rounds_of(rows: int, trees: Trees, *, failure: bool) -> int:
    """How many trees are grown from so many rows."""
    rounds = int(np.clip(rows // _ROWS_A_ROUND, _FEWEST_ROUNDS, _MOST_ROUNDS))
    return rounds // 3 if failure else max(1, round(rounds * trees.count))


def _held_out_band(task: Task, predicted: Floats, fold: Ints) -> tuple[Floats, Floats]:
    """[rows] p10 and p90 by intervals that are as wide as the errors on other items, so that coverage is measured."""
    low, high = np.empty(len(fold)), np.empty(len(fold))
    for number in np.unique(fold):
        here, others = fold == number, task.known & (fold != number)
        band = fit_band(predicted[others], task.answers[others], task.life[others], task.horizon)
        low[here], high[here] = band.around(predicted[here], task.horizon)
    return low, high


def _metrics(task: Task, proof: Proof, odds: Floats, model: FleetModel, fold: Ints) -> dict[str, float]:
    """Errors on unseen items, in life units, and what a constant would have done on the same rows."""
    answers, known = task.answers, task.known
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
    for column, within in enumerate(model.horizons):
        asked = task.asked(within)
        truth = (task.left <= within)[asked].astype(np.float64)
        said = probability(odds[asked, column], model.calibration[column])
        share = f"{within / task.horizon:.3g}"
        metrics[f"brier_{share}"] = float(np.mean((said - truth) ** 2))
        metrics[f"brier_{share}_of_a_constant"] = float(truth.mean() * (1 - truth.mean()))
    return metrics


def _refusal(metrics: dict[str, float]) -> str:
    if metrics["rmse"] < _BETTER * metrics["rmse_of_a_constant"]:
        return ""
    return (
        f"On items it had not seen its error ({metrics['rmse']:.3g}) is not clearly smaller than that of a constant "
        f"({metrics['rmse_of_a_constant']:.3g}): its inputs do not tell when these items fail."
    )
