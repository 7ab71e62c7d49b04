"""Inputs that know the future are refused by name: nothing that is measured can be so exact about a failure to come.

Four lies are looked for, each by what only a record written afterwards can do. A *countdown* is a straight line, or an
exact curve, of life left, the same for items that lasted differently long. A *flag* turns to one value at the same
distance before every failure and has it nowhere else. A *verdict* stands beside a whole life and tells who failed. A
*count* stands beside a whole life and grows with how long it was observed. A strong sensor does none of these: it has
noise, its lead differs from item to item, and it does not know when the record ends. Whatever age knows as well is no
leak.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.ml.lives import Bools, Floats, Ints
from twins.ml.task import Task

_FEWEST = 5
"""Failed lives needed to tell a lie from chance."""
_STRAIGHT = 0.99
"""Share of the variance of life left that a line through a countdown explains."""
_EXACT = 0.01
"""Share of the horizon within which a curve tells life left, of rows of different items."""
_BETTER_THAN_AGE = 0.25
_SAME_LEAD = 0.02
"""Share of the horizon by which the leads of a flag may differ."""
_ELSEWHERE = 0.002
_LEVELS = 12
"""More different values than this are a measurement and no flag."""
_RANKED = 0.97


@dataclass(frozen=True)
class Leak:
    """An input that knows the future, and how that shows."""

    input: str
    why: str


def find_leaks(task: Task) -> list[Leak]:
    """Inputs of the task that know when, or whether, its items failed."""
    values = np.column_stack([task.grid.values[task.rows.picked], task.beside])
    found = []
    for name, column in zip([*task.columns.names, *task.context.names], values.T, strict=True):
        why = _standing(task, column) or _countdown(task, column) or _flag(task, column)
        if why:
            found.append(Leak(name, why))
    return found


def _countdown(task: Task, column: Floats) -> str:
    rows = np.isfinite(column) & task.exact
    if len(np.unique(task.life[rows])) < _FEWEST or np.ptp(column[rows]) == 0:
        return ""
    left, age = task.left[rows], task.age[rows]
    missed = 1 - _explained(column[rows], left)
    if missed < 1 - _STRAIGHT and missed < _BETTER_THAN_AGE * (1 - _explained(age, left)):
        return f"a line through it explains {1 - missed:.1%} of how much life was left, for items of every age"
    near = rows & (task.left <= task.horizon)
    off = _off(column[near], task.left[near], task.life[near])
    if off < _EXACT * task.horizon and off < _BETTER_THAN_AGE * _off(task.age[near], task.left[near], task.life[near]):
        return f"alone it tells the life left of different items to within {off:.2g}"
    return ""


def _explained(column: Floats, left: Floats) -> float:
    if np.ptp(column) == 0 or np.ptp(left) == 0:
        return 0.0
    return float(np.corrcoef(column, left)[0, 1] ** 2)


def _off(column: Floats, left: Floats, life: Ints) -> float:
    """How far life left differs between rows of different lives that are neighbours in the input's value."""
    order = np.lexsort((left, column))
    # Equal values say nothing about an order, so rows within them are mixed, always alike.
    order = np.random.default_rng(0).permutation(order)
    order = order[np.argsort(column[order], kind="stable")]
    other = life[order][1:] != life[order][:-1]
    if other.sum() < max(30, 0.3 * len(order)):
        return np.inf
    return float(np.sqrt(np.mean(np.diff(left[order])[other] ** 2) / 2))


def _flag(task: Task, column: Floats) -> str:
    known = np.isfinite(column)
    levels = np.unique(column[known])
    if not 1 < len(levels) <= _LEVELS:
        return ""
    for level in levels:
        lead = _lead(task, known & (column == level), known)
        if lead is not None:
            return f"it is {level:g} from {lead:.3g} before every failure on, and never otherwise"
    return ""


def _lead(task: Task, on: Bools, known: Bools) -> float | None:
    """Life left when `on` begins for good, if it is the same in all failed lives and never otherwise."""
    leads, before = [], 0
    ends = 0
    for index in np.unique(task.life[known]):
        rows = np.flatnonzero((task.life == index) & known)
        off = np.flatnonzero(~on[rows])
        begins = int(off[-1]) + 1 if len(off) else 0
        if not task.exact[rows[0]] or begins == len(rows) or not len(off):
            before += int(on[rows].sum())
            ends += bool(task.exact[rows[0]])
            continue
        before += int(on[rows[:begins]].sum())
        leads.append(float(task.left[rows[begins]]))
    if len(leads) < max(_FEWEST, 9 * ends) or before > _ELSEWHERE * known.sum():
        return None
    step = task.columns.step * task.joined
    return float(np.median(leads)) if np.std(leads) <= max(step, _SAME_LEAD * task.horizon) else None


def _standing(task: Task, column: Floats) -> str:
    """What stands beside a whole life must know neither that it failed nor how long it was observed."""
    known = np.isfinite(column)
    starts = np.flatnonzero(np.diff(task.life, prepend=-1))
    low = np.minimum.reduceat(np.where(known, column, np.inf), starts)
    high = np.maximum.reduceat(np.where(known, column, -np.inf), starts)
    there = np.isfinite(low)
    if there.sum() < 2 * _FEWEST or np.mean(low[there] == high[there]) < 0.95 or np.ptp(low[there]) == 0:
        return ""
    failed = np.array([life.failed for life in task.lives])[there]
    started = np.array([life.start for life in task.lives], np.float64)[there]
    told, by_start = _told_apart(low[there], failed), _told_apart(started, failed)
    classes = len(np.unique(low[there]))
    if told and classes <= _LEVELS and not by_start:
        return "it stands beside every life and tells exactly which of them failed"
    ranked = abs(_explained(_ranks(low[there]), _ranks(task.reached[there]))) ** 0.5
    if ranked > _RANKED and classes > _LEVELS:
        return (
            f"it stands beside every life and goes along with how long it was recorded (rank correlation {ranked:.2f})"
        )
    return ""


def _told_apart(values: Floats, failed: Bools) -> bool:
    """Whether a border lies between the values of all that failed and of all that did not."""
    if min(failed.sum(), (~failed).sum()) < _FEWEST:
        return False
    here, others = values[failed], values[~failed]
    return bool(here.min() > others.max() or here.max() < others.min())


def _ranks(values: Floats) -> Floats:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
