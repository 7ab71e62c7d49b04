"""What planners decided about a design joins what a model or its age says: contributors, and doubts about inputs.

Nothing here lowers or raises a score because a sensor fell silent: the score keeps the last good value, and the
coverage tells that it is old.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from twins import ml
from twins.lake import microseconds
from twins.ml.contributors import (
    Condition,
    Contributor,
    Group,
    Value,
    Voice,
    blend,
    judge_condition,
    parse_contributors,
)
from twins.models import Assessment, AssessmentSource, HealthModel, HealthPolicy
from twins.selectors.health import Unit
from twins.selectors.policies import policies_of
from twins.selectors.readings import latest_readings, scan_readings
from twins.selectors.watching import unsound_sensors
from twins.services.ageing import Believed, state

AGEING_WORTH, RULES_WORTH = 5.0, 10.0
"""What the ageing method and what engineers' rules are worth, in failures that a model would have to learn from."""
_GOOD = range(0x4000_0000)
_FRESH_INTERVALS = 3.0
_FRESH = timedelta(days=1)
"""Of an input without a declared interval: how much older than the newest of its siblings it may be."""
_LOOK_BACK = timedelta(days=90)
"""How far back a last good value is looked for when the newest reading is not good."""


def apply_policies(
    *, units: Sequence[Unit], believed: dict[int, Believed], models: Mapping[int, HealthModel], now: datetime
) -> None:
    """Blend what the contributors of a design say into the assessments of its items, in place, weights told.

    Where neither a model nor an expected life says anything, the contributors speak alone.
    """
    policies = policies_of(unit.design.pk for unit in units)
    graphs = {design: graph for design, policy in policies.items() if (graph := _graph(policy)) is not None}
    judged = [unit for unit in units if unit.design.pk in graphs]
    if not judged:
        return
    metrics = dict(
        HealthModel.objects.filter(pk__in=[model.pk for model in models.values()]).values_list("pk", "metrics")
    )
    values = _values(judged, {unit.asset: _inputs(graphs[unit.design.pk]) for unit in judged}, now)
    for unit in judged:
        known = believed.get(unit.asset)
        seen = values[unit.asset]
        if known is not None:
            seen["age"] = Value(known.age, fresh=True)
        condition = judge_condition(graphs[unit.design.pk], seen)
        if condition is not None and known is not None:
            _blend(unit, known, condition, metrics)
        elif condition is not None:
            believed[unit.asset] = Believed(_alone(unit, condition, now), 0.0)


def _graph(policy: HealthPolicy) -> Group | None:
    return parse_contributors(policy.contributors)


def _inputs(node: Group | Contributor) -> set[str]:
    return {node.input} if isinstance(node, Contributor) else {name for child in node.of for name in _inputs(child)}


def _alone(unit: Unit, condition: Condition, now: datetime) -> Assessment:
    """Health without any word about remaining life."""
    return Assessment(
        asset_id=unit.asset,
        item_id=unit.item,
        source=AssessmentSource.CONTRIBUTORS,
        health=condition.health,
        coverage=condition.coverage,
        drivers=[{"input": name, "points": round(points, 2)} for name, points in condition.drivers],
        rul_unit="",
        assessed_at=now,
    )


def _blend(unit: Unit, known: Believed, condition: Condition, metrics: Mapping[int, dict[str, float]]) -> None:
    row = known.row
    own = [(entry["input"], entry["points"]) for entry in row.drivers]
    if row.model_id is None:
        first = Voice("ageing", row.health, AGEING_WORTH, "its age, as a prior belief", tuple(own))
    else:
        first = _model_voice(row, metrics.get(row.model_id, {}), tuple(own))
    rules = Voice(
        "contributors", condition.health, RULES_WORTH, "what its design's contributors say", condition.drivers
    )
    whole = blend([first, rules])
    if known.curve is not None:
        # What is believed now is where ageing goes on from, so that remaining life follows the condition.
        aged = state(unit, known.curve.from_health(whole.health), known.age)
        for name in ("failure_probabilities", "rul_p10", "rul_p50", "rul_p90", "beyond_horizon"):
            setattr(row, name, getattr(aged, name))
    row.health = whole.health
    row.coverage = sum(w * c for w, c in zip(whole.weights, (row.coverage, condition.coverage), strict=True))
    row.source = AssessmentSource.BLEND
    row.sources = [
        {"source": voice.source, "weight": round(weight, 4), "health": round(voice.health, 2), "reason": voice.reason}
        for voice, weight in zip((first, rules), whole.weights, strict=True)
    ]
    row.drivers = [{"input": name, "points": round(points, 2)} for name, points in whole.drivers if points]


def _model_voice(row: Assessment, metrics: Mapping[str, float], drivers: tuple[tuple[str, float], ...]) -> Voice:
    """A model is worth the failures it learned from, as far as it was better than a constant on unseen items."""
    failures = float(metrics.get("failures", 0.0))
    skill = max(0.0, 1 - metrics.get("rmse", 1.0) / (metrics.get("rmse_of_a_constant") or 1.0))
    reason = f"{failures:.0f} failures learned from, error {1 - skill:.0%} of a constant's"
    return Voice("model", row.health, max(failures * skill, 1.0), reason, drivers)


def _values(units: Sequence[Unit], wanted: Mapping[int, set[str]], now: datetime) -> dict[int, dict[str, Value]]:
    """The newest good value of each wanted input in the life that runs, by asset."""
    inputs = {unit.asset: [one for one in unit.life.inputs if one.name in wanted[unit.asset]] for unit in units}
    newest = latest_readings(one.sensor for each in inputs.values() for one in each)
    points = {key: (microseconds(one.time), one.value) for key, one in newest.items() if one.quality in _GOOD}
    points |= _last_good({key for key in newest if key not in points}, now)
    found: dict[int, dict[str, Value]] = {}
    for unit in units:
        known = [(one, points[one.sensor]) for one in inputs[unit.asset] if one.sensor in points]
        known = [(one, point) for one, point in known if point[0] >= unit.life.start]
        latest = max((time for _, (time, _) in known), default=0)
        found[unit.asset] = {
            one.name: Value(value, _is_fresh(one, time, latest, microseconds(now))) for one, (time, value) in known
        }
    return found


def _is_fresh(known: ml.Input, time: int, latest: int, now: int) -> bool:
    if known.interval:
        return time >= now - _FRESH_INTERVALS * known.interval * 1e6
    return time >= latest - _FRESH // timedelta(microseconds=1)


def _last_good(sensors: set[int], now: datetime) -> dict[int, tuple[int, float]]:
    if not sensors:
        return {}
    start = now - _LOOK_BACK
    readings = ml.Readings(scan_readings(sensors=sorted(sensors), start=start))
    found = {}
    for sensor in sensors:
        times, values = readings.between(sensor, microseconds(start), microseconds(now))
        if len(times):
            found[sensor] = (int(times[-1]), float(values[-1]))
    return found


def doubt_unsound(*, units: Iterable[Unit], believed: Mapping[int, Believed]) -> None:
    """Lower the coverage, in place, where inputs stand still or lie outside their limits: read, but not trusted."""
    assessed = [unit for unit in units if unit.asset in believed and believed[unit.asset].row.source != "ageing"]
    unsound = unsound_sensors({one.sensor for unit in assessed for one in unit.life.inputs})
    if not unsound:
        return
    for unit in assessed:
        row = believed[unit.asset].row
        sound = sum(one.sensor not in unsound for one in unit.life.inputs) / len(unit.life.inputs)
        row.coverage = min(row.coverage, sound)


def check_policy(*, policy: HealthPolicy) -> None:
    """Whether a policy makes sense; raises PolicyError that says what does not and what to do."""
    parse_contributors(policy.contributors)
