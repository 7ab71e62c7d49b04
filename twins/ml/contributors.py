"""Health as engineers put it together: contributors with weights, curves, best and worst values, in groups of groups.

A contributor is a reading between its best and its worst value. What it takes from the score stands beside it, and all
that is taken sums to 100 less the score. A value that is old still counts in the score and no longer in the coverage,
so that a sensor that dies lowers the confidence and not the health.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twins.exceptions import PolicyError

CURVES = {"linear": 1.0, "early": 0.5, "late": 2.0}
"""Power of the way from best to worst: early falls soon, late falls near the worst."""
_GROUP_RULES = ("mean", "worst")
_DEEPEST, _MOST = 5, 200
_KEYS = {"input", "weight", "best", "worst", "curve"}
_GROUP_KEYS = {"name", "weight", "rule", "of"}


@dataclass(frozen=True)
class Contributor:
    """One input and what its value means."""

    input: str
    weight: float
    best: float
    worst: float
    curve: str = "linear"

    def lost(self, value: float) -> float:
        """Share of the health that this value takes: 0 at the best, 1 at the worst."""
        way = (value - self.best) / (self.worst - self.best)
        return float(min(max(way, 0.0), 1.0) ** CURVES[self.curve])


@dataclass(frozen=True)
class Group:
    """Contributors under one name: their weighted mean, or the worst of them."""

    name: str
    weight: float
    rule: str
    of: tuple[Contributor | Group, ...]


@dataclass(frozen=True)
class Condition:
    """What the contributors say."""

    health: float
    coverage: float
    """Share of the weights whose value is fresh."""
    drivers: tuple[tuple[str, float], ...]
    """(input, points taken), the worst first; they sum to health less 100."""


@dataclass(frozen=True)
class Value:
    """The newest good value of an input in this life."""

    value: float
    fresh: bool


def parse_contributors(content: Any) -> Group | None:
    """The contributors of a policy, None for an empty one; raises PolicyError that says which entry and what to do."""
    if not isinstance(content, list):
        raise PolicyError("Contributors are a list: write [] for none.")
    names: list[str] = []
    entries = tuple(_parse(entry, f"entry {place}", 1, names) for place, entry in enumerate(content, 1))
    if len(names) > _MOST:
        raise PolicyError(f"There are {len(names)} contributors: keep to {_MOST}.")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise PolicyError(f"The input {repeated[0]!r} contributes twice: keep one of the entries.")
    return Group("", 1.0, "mean", entries) if entries else None


def judge_condition(root: Group, values: Mapping[str, Value]) -> Condition | None:
    """Health from the newest values by input; None where none of the inputs was ever read."""
    found = _judge(root, values)
    if found is None:
        return None
    lost, points, fresh, total = found
    # Added before rounding, so that what is shown sums to the score.
    drivers = sorted(
        ((name, -100 * part) for name, part in points.items() if part), key=lambda each: (each[1], each[0])
    )
    return Condition(100 * (1 - lost), fresh / total, tuple(drivers))


def _judge(
    node: Contributor | Group, values: Mapping[str, Value]
) -> tuple[float, dict[str, float], float, float] | None:
    """Share lost, what takes it, fresh weight and whole weight; None where nothing is known."""
    if isinstance(node, Contributor):
        value = values.get(node.input)
        if value is None:
            return None
        lost = node.lost(value.value)
        return lost, {node.input: lost}, 1.0 if value.fresh else 0.0, 1.0
    judged = [(child, _judge(child, values)) for child in node.of]
    known = [(child.weight, found) for child, found in judged if found is not None]
    if not known:
        return None
    total = sum(child.weight for child in node.of)
    fresh = sum(weight * found[2] / found[3] for weight, found in known) / total
    if node.rule == "worst":
        lost, points, _, _ = max((found for _, found in known), key=lambda found: found[0])
        return lost, points, fresh, 1.0
    there = sum(weight for weight, _ in known)
    merged = {name: weight / there * part for weight, found in known for name, part in found[1].items()}
    return sum(merged.values()), merged, fresh, 1.0


def _parse(entry: Any, where: str, depth: int, names: list[str]) -> Contributor | Group:
    if not isinstance(entry, dict):
        raise PolicyError(f'Contributor {where} is not an object: write {{"input": ..., "best": ..., "worst": ...}}.')
    known = _GROUP_KEYS if "of" in entry else _KEYS
    if unknown := sorted(set(entry) - known):
        raise PolicyError(f"Contributor {where} has the unknown key {unknown[0]!r}: use {', '.join(sorted(known))}.")
    weight = _number(entry.get("weight", 1), where, "weight")
    if weight <= 0:
        raise PolicyError(f"Contributor {where} has the weight {weight:g}: weights are above 0.")
    if "of" in entry:
        return _parse_group(entry, weight, where, depth, names)
    if not isinstance(entry.get("input"), str) or not entry["input"]:
        raise PolicyError(f"Contributor {where} names no input: give a sensor's name as the drivers show it, or age.")
    best, worst = (_number(entry.get(key), where, key) for key in ("best", "worst"))
    if best == worst:
        raise PolicyError(f"Contributor {where} is best and worst at {best:g}: give two different values.")
    curve = entry.get("curve", "linear")
    if curve not in CURVES:
        raise PolicyError(f"Contributor {where} has the curve {curve!r}: use {', '.join(sorted(CURVES))}.")
    names.append(entry["input"])
    return Contributor(entry["input"], weight, best, worst, curve)


def _parse_group(entry: Mapping[str, Any], weight: float, where: str, depth: int, names: list[str]) -> Group:
    rule, children = entry.get("rule", "mean"), entry["of"]
    if rule not in _GROUP_RULES:
        raise PolicyError(f"Contributor {where} has the rule {rule!r}: use mean or worst.")
    if not isinstance(children, list) or not children:
        raise PolicyError(f"Contributor {where} is a group of nothing: list its contributors under 'of', or remove it.")
    if depth >= _DEEPEST:
        raise PolicyError(f"Contributor {where} lies {depth + 1} groups deep: keep to {_DEEPEST}.")
    parsed = tuple(_parse(child, f"{where}.{place}", depth + 1, names) for place, child in enumerate(children, 1))
    return Group(str(entry.get("name", "")), weight, rule, parsed)


def _number(value: Any, where: str, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PolicyError(f"Contributor {where} has the {key} {value!r}: give a number.")
    return float(value)


@dataclass(frozen=True)
class Voice:
    """One source of a health, what it says, and what that is worth."""

    source: str
    health: float
    evidence: float
    """Worth in failures: a learned model counts those it learned from, a rule what a prior belief is worth."""
    reason: str
    drivers: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Blend:
    """Several voices as one."""

    health: float
    weights: tuple[float, ...]
    """Of the voices in their order; they sum to 1."""
    drivers: tuple[tuple[str, float], ...]


def blend(voices: Sequence[Voice]) -> Blend:
    """The mean of what the voices say, weighted by their evidence; drivers of one name are added."""
    total = sum(voice.evidence for voice in voices)
    weights = tuple(voice.evidence / total for voice in voices)
    points: dict[str, float] = {}
    for weight, voice in zip(weights, voices, strict=True):
        for name, part in voice.drivers:
            points[name] = points.get(name, 0.0) + weight * part
    drivers = tuple(sorted(points.items(), key=lambda each: (each[1], each[0])))
    return Blend(sum(w * voice.health for w, voice in zip(weights, voices, strict=True)), weights, drivers)
