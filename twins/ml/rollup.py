"""From parts to systems: health by a policy, and what moved it in points that add up through the hierarchy.

A score is a function of the scores below. How much each of them moved it between two moments is its Shapley value for
the change: the mean, over both orders of the usual game, of what its change does when it comes first and when it comes
last. For means that is exact and simple; for the worst and for k of n it is summed over all orders where few changed,
and shared in proportion where many did. Points always sum to the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial

_EXACT = 8
"""Children that changed up to which every order is looked at: 2 ** 8 evaluations."""


@dataclass(frozen=True)
class Child:
    """What is directly below: its health and what it counts."""

    key: int
    health: float
    coverage: float
    weight: float = 1.0


@dataclass(frozen=True)
class Policy:
    """worst, weighted (by criticality) or k_of_n (as healthy as the k-th best)."""

    rule: str = "worst"
    needed: int | None = None


@dataclass(frozen=True)
class Rolled:
    """The health of what consists of the children."""

    health: float
    coverage: float
    """Mean of the children's, weighted as the score is."""
    decisive: int
    """The child that decides: the worst, the k-th best, or the one that takes most."""


def roll(policy: Policy, children: Sequence[Child]) -> Rolled:
    """Health of at least one child by the policy. With fewer than k children all are needed."""
    ordered = sorted(children, key=lambda child: (child.health, child.key))
    total = sum(child.weight for child in children)
    coverage = sum(child.coverage for child in children) / len(children)
    if policy.rule == "weighted":
        coverage = sum(child.weight * child.coverage for child in children) / total
        health = sum(child.weight * child.health for child in children) / total
        taker = max(children, key=lambda child: (child.weight * (100 - child.health), -child.key))
        return Rolled(health, coverage, taker.key)
    place = max(0, len(ordered) - (policy.needed or 1)) if policy.rule == "k_of_n" else 0
    return Rolled(ordered[place].health, coverage, ordered[place].key)


def share_change(policy: Policy, before: Sequence[Child], after: Sequence[Child]) -> dict[int, float]:
    """Points by which each child moved the score from `before` to `after`; they sum to the change exactly.

    A child that is new or gone counts as a change from, or to, nothing.
    """
    old, new = ({child.key: child for child in children} for children in (before, after))
    changed = sorted(key for key in old.keys() | new.keys() if _differ(old.get(key), new.get(key)))
    total = _score(policy, new.values()) - _score(policy, old.values())
    if not changed:
        return {}
    if len(changed) <= _EXACT:
        return _shapley(policy, old, new, changed)
    return _in_proportion(policy, old, new, changed, total)


def _shapley(
    policy: Policy, old: Mapping[int, Child], new: Mapping[int, Child], changed: list[int]
) -> dict[int, float]:
    count = len(changed)
    value = {
        frozenset(moved): _score(policy, _mixed(old, new, frozenset(moved)))
        for size in range(count + 1)
        for moved in combinations(changed, size)
    }
    points = dict.fromkeys(changed, 0.0)
    for moved, score in value.items():
        chance = (
            factorial(len(moved)) * factorial(count - len(moved) - 1) / factorial(count) if len(moved) < count else 0
        )
        for key in changed:
            if key not in moved:
                points[key] += chance * (value[moved | {key}] - score)
    return points


def _in_proportion(
    policy: Policy, old: Mapping[int, Child], new: Mapping[int, Child], changed: list[int], total: float
) -> dict[int, float]:
    """By what each does alone: as the first to change, and as the last."""
    everything = frozenset(changed)
    start, end = _score(policy, old.values()), _score(policy, new.values())
    alone = {
        key: (
            _score(policy, _mixed(old, new, frozenset([key])))
            - start
            + end
            - _score(policy, _mixed(old, new, everything - {key}))
        )
        / 2
        for key in changed
    }
    rest = total - sum(alone.values())
    size = sum(abs(part) for part in alone.values())
    # What is left to interplay is shared by size, or evenly where nothing alone does anything, so that the sum holds.
    return {key: part + rest * (abs(part) / size if size else 1 / len(changed)) for key, part in alone.items()}


def _mixed(old: Mapping[int, Child], new: Mapping[int, Child], moved: frozenset[int]) -> list[Child]:
    """The children after only these have changed."""
    keys = old.keys() | new.keys()
    picked = [(new if key in moved else old).get(key) for key in keys]
    return [child for child in picked if child is not None]


def _score(policy: Policy, children: Iterable[Child]) -> float:
    known = list(children)
    return roll(policy, known).health if known else 100.0


def _differ(one: Child | None, other: Child | None) -> bool:
    return one is None or other is None or (one.health, one.weight) != (other.health, other.weight)
