"""Health by the ageing method, for whatever has no model that can be used: on its first day and without any failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from twins import ml
from twins.lake import from_microseconds
from twins.ml.ageing import Modifiers
from twins.models import Assessment, AssessmentSource, HealthModel, HealthPolicy
from twins.selectors.health import Unit
from twins.selectors.policies import policies_of
from twins.selectors.readings import scan_readings

_SHARES = (0.1, 0.25, 0.5)
"""Horizons of the failure probabilities as shares of the planning horizon."""
_SHARE_OF_LIFE = 0.65
"""Of the expected life, which is the planning horizon where a design declares none."""


@dataclass
class Believed:
    """An assessment that is not written yet, and how old its item is in life units."""

    row: Assessment
    age: float
    curve: ml.AgeingCurve | None = None
    """The curve it came from, if it did."""
    days: float = 0.0
    """Calendar days its life has lasted so far."""

    @property
    def days_per_unit(self) -> float:
        """How many days a unit of life takes here, as it did so far."""
        return self.days / self.age if self.days > 0 and self.age > 0 else 1.0


def assess_by_age(*, units: Sequence[Unit], models: Mapping[int, HealthModel], now: datetime) -> dict[int, Believed]:
    """Assessments of those whose design says, or whose model implies, how long they last, by asset."""
    counters = sorted({unit.life.usage for unit in units if unit.life.usage is not None})
    start = min((unit.life.start for unit in units), default=0)
    counted = ml.Readings(scan_readings(sensors=counters, start=from_microseconds(start))) if counters else None
    policies = policies_of(unit.design.pk for unit in units)
    found = {}
    for unit in units:
        expected = unit.design.expected_life
        if expected is None and unit.design.pk in models:
            expected = models[unit.design.pk].horizon / _SHARE_OF_LIFE
        if expected is not None:
            age, data_time = _age(unit, counted)
            curve = curve_of(expected, policies.get(unit.design.pk))
            row = state(unit, curve, age)
            row.data_time, row.assessed_at = data_time, now
            found[unit.asset] = Believed(row, age or 0.0, curve, _days(unit))
    return found


def curve_of(expected_life: float, policy: HealthPolicy | None) -> ml.AgeingCurve:
    """The ageing curve of a design, with what its policy says of duty, location, make and rate."""
    if policy is None:
        return ml.AgeingCurve(expected_life)
    known = Modifiers(duty=policy.duty, location=policy.location, reliability=policy.reliability)
    return ml.AgeingCurve(expected_life, known, k=policy.rate)


def state(unit: Unit, curve: ml.AgeingCurve, age: float | None) -> Assessment:
    """What the curve says of an item of this age; None: it is usage that nobody counts.

    Without a count the item is taken for new and the score says that nothing fed it.
    """
    horizon = unit.design.planning_horizon or _SHARE_OF_LIFE * curve.expected_life
    lived = age or 0.0
    left = [curve.life_left(lived, probability) for probability in (0.1, 0.5, 0.9)]
    return Assessment(
        asset_id=unit.asset,
        item_id=unit.item,
        source=AssessmentSource.AGEING,
        health=curve.health(lived),
        coverage=0.0 if age is None else 1.0,
        failure_probabilities=[
            {"horizon": share * horizon, "probability": curve.failure_probability(lived, share * horizon)}
            for share in _SHARES
        ],
        rul_p10=min(left[0], horizon),
        rul_p50=min(left[1], horizon),
        rul_p90=min(left[2], horizon),
        rul_unit=unit.design.life_unit,
        beyond_horizon=left[1] > horizon,
        drivers=[{"input": "age", "points": round(curve.health(lived) - 100.0, 2)}],
    )


def _age(unit: Unit, counted: ml.Readings | None) -> tuple[float | None, datetime | None]:
    """Age in life units, None when it is usage that nobody counts, and the time of the last count."""
    life = unit.life
    if unit.design.life_unit == "d":
        return (life.end - life.start) / ml.DAY, None
    if life.usage is None or counted is None:
        return None, None
    times, counts = counted.between(life.usage, life.start, life.end)
    if not len(counts):
        return None, None
    return float(counts.max() - counts[0]), from_microseconds(int(times[-1]))


def _days(unit: Unit) -> float:
    return (unit.life.end - unit.life.start) / ml.DAY
