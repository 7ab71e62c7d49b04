"""What is asked of a fleet: the rows of all its lives, and how much life was left at each where that is known."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from twins.exceptions import NotEnoughFailures, PredictionError
from twins.ml.context import Context, find_context
from twins.ml.lives import Bools, Columns, Floats, Grid, Ints, Life, Trace, choose_step, stack, trace
from twins.ml.readings import Readings
from twins.ml.rows import Rows, pick_rows

HORIZONS = (0.1, 0.25, 0.5)
"""Horizons of the failure probabilities as shares of the planning horizon, where none are given."""
_FOLDS = 5
_SHARE_OF_LIFE = 0.65


@dataclass(frozen=True)
class Task:
    """Rows of all lives and what is asked of them."""

    lives: tuple[Life, ...]
    grid: Grid
    rows: Rows
    columns: Columns
    joined: int
    horizon: float
    horizons: tuple[float, ...]
    context: Context
    beside: Floats
    """[rows, names of the context]"""
    group: Ints
    left: Floats
    """[rows] life left, or what was survived where not exact."""
    exact: Bools
    reached: Floats
    """[lives] age at the end."""

    @cached_property
    def life(self) -> Ints:
        """[rows] index of the life."""
        return self.grid.life[self.rows.picked]

    @cached_property
    def age(self) -> Floats:
        return self.grid.age[self.rows.picked]

    @cached_property
    def time(self) -> Ints:
        return self.grid.time[self.rows.picked]

    @cached_property
    def answers(self) -> Floats:
        """[rows] life left, at most the horizon."""
        return np.minimum(self.left, self.horizon)

    @cached_property
    def known(self) -> Bools:
        """Whether the answer is known."""
        return self.exact | (self.left >= self.horizon)

    def asked(self, within: float) -> Bools:
        """Rows where it is known whether the item failed within this much more life."""
        return self.exact | (self.left >= within)

    def data_hash(self) -> str:
        """SHA-256 of everything that is learned from."""
        digest = hashlib.sha256()
        for array in (self.grid.life, self.grid.age, self.grid.values, self.left, self.exact, self.group, self.beside):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def suggest_horizon(lives: Sequence[float]) -> float:
    """A planning horizon for a design whose failed lives lasted so long: about two thirds, two digits."""
    value = _SHARE_OF_LIFE * float(np.median(lives))
    return float(f"{value:.1e}")


def make_task(
    lives: Sequence[Life],
    readings: Readings,
    *,
    horizon: float | None,
    horizons: Sequence[float] | None,
    ignored: Sequence[str],
    fewest_failures: int,
) -> Task:
    """Lay out all lives alike; raises NotEnoughFailures, and PredictionError for horizons that cannot be."""
    without = frozenset(ignored)
    kept, traces, columns, joined = _laid_out(lives, readings, without, fewest_failures)
    grid, columns = _without_constants(stack(traces), columns, len(kept))
    rows = pick_rows(grid, joined)
    reached = np.array([each.reached for each in traces])
    failed = np.array([life.failed for life in kept])
    horizon = horizon or suggest_horizon(reached[failed].tolist())
    life, context = grid.life[rows.picked], find_context(kept, without)
    return Task(
        lives=kept,
        grid=grid,
        rows=rows,
        columns=columns,
        joined=joined,
        horizon=horizon,
        horizons=_horizons(horizons, horizon),
        context=context,
        beside=context.of(kept, life, grid.time[rows.picked]),
        group=np.array([life.group for life in kept])[life],
        left=reached[life] - grid.age[rows.picked],
        exact=failed[life],
        reached=reached,
    )


def _laid_out(
    lives: Sequence[Life], readings: Readings, ignored: frozenset[str], fewest_failures: int
) -> tuple[tuple[Life, ...], list[Trace], Columns, int]:
    """The lives that were ever read, their traces and what these hold, and how many steps make a row."""
    step, joined = choose_step(lives, readings)
    columns = Columns(_names(lives, "measurement", ignored), _names(lives, "setting", ignored), step)
    traced = [(life, trace(life, readings, columns)) for life in lives]
    traced = [(life, rows) for life, rows in traced if len(rows.bins)]
    failures = sum(life.failed for life, _ in traced)
    if failures < fewest_failures or not columns.measurements:
        raise NotEnoughFailures(
            f"{failures} recorded failures with readings are too few to learn from ({fewest_failures} are needed): "
            "the ageing curve speaks until more are recorded."
        )
    return tuple(life for life, _ in traced), [rows for _, rows in traced], columns, joined


def _without_constants(grid: Grid, columns: Columns, lives: int) -> tuple[Grid, Columns]:
    """The grid without measurements that never changed in any of so many lives."""
    count = len(columns.measurements)
    varying = _varying(grid.values[:, :count])
    if not varying.any():
        raise NotEnoughFailures(
            f"None of the {count} inputs ever changed in any of {lives} lives: nothing can be "
            "learned from them; look at why the sensors stand still. The ageing curve speaks."
        )
    kept = tuple(name for name, varies in zip(columns.measurements, varying, strict=True) if varies)
    values = grid.values[:, np.append(varying, np.ones(len(columns.settings), bool))]
    return replace(grid, values=values), replace(columns, measurements=kept)


def make_folds(task: Task, seed: int) -> Ints:
    """[rows] fold of every row: items that failed are spread evenly, then the others."""
    groups, which = np.unique(task.group, return_inverse=True)
    failed = np.zeros(len(groups), bool)
    failed[which[task.exact]] = True
    # The failed are dealt first, so that folds stay what they were when running items join the fleet.
    dice = np.random.default_rng(seed)
    order = np.concatenate([dice.permutation(np.flatnonzero(kind)) for kind in (failed, ~failed)])
    fold = np.empty(len(groups), np.int64)
    fold[order] = np.arange(len(groups)) % max(2, min(_FOLDS, int(failed.sum())))
    return fold[which]


def _horizons(wanted: Sequence[float] | None, horizon: float) -> tuple[float, ...]:
    chosen = tuple(sorted(wanted)) if wanted else tuple(share * horizon for share in HORIZONS)
    if chosen[0] <= 0 or chosen[-1] > horizon:
        raise PredictionError(
            f"Failure within {chosen[0]:g} to {chosen[-1]:g} cannot be asked with a planning horizon of {horizon:g}: "
            "choose failure horizons above 0 and not beyond it."
        )
    return chosen


def _names(lives: Sequence[Life], role: str, ignored: frozenset[str]) -> tuple[str, ...]:
    """Inputs that at least half of the lives have."""
    counts: dict[str, int] = {}
    for life in lives:
        for item in life.inputs:
            if item.role == role and item.name not in ignored:
                counts[item.name] = counts.get(item.name, 0) + 1
    return tuple(sorted(name for name, count in counts.items() if 2 * count >= len(lives)))


def _varying(values: Floats) -> Bools:
    """Inputs that are not constant over the whole fleet."""
    known = np.isfinite(values)
    low = np.where(known, values, np.inf).min(axis=0)
    high = np.where(known, values, -np.inf).max(axis=0)
    return (high - low) > 1e-9 * (1 + np.abs(high))
