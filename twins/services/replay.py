"""The past replayed: what would have been warned of with models that knew only what was on record at the time.

Models are learned at the beginning and again every so many days, each from what happened before. Between, they say at
every row of every life what they would have said when it came: features use the past only, so replaying is the same as
having been there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from assets.models import Design
from twins import ml
from twins.exceptions import PredictionError, PredictionUnavailable
from twins.lake import from_microseconds, microseconds
from twins.selectors.families import Family, families_of
from twins.selectors.readings import scan_readings
from twins.services.training import learn, lives_of_family

THRESHOLD = 0.5
"""Probability of failure within the shortest horizon from which on a warning is given."""
RETRAINED = timedelta(days=30)


@dataclass(frozen=True)
class Replayed:
    """What became of one design's warnings in the period."""

    design: Design
    failures: int
    record: ml.Record
    leads: tuple[float, ...]
    """From raising to failure of the warnings that were right, in life units."""
    learned: int
    """How many of the models that were trained in the period were good enough."""


@dataclass(frozen=True)
class _Period:
    start: datetime
    end: datetime
    retrained: timedelta

    def spans(self) -> Iterator[tuple[datetime, datetime]]:
        """From one training to the next."""
        at = self.start
        while at < self.end:
            yield at, min(at + self.retrained, self.end)
            at += self.retrained


@dataclass
class _Said:
    """Of one life, row by row: age and probability of failure within the shortest horizon; and its age at the end."""

    ages: list[float]
    chances: list[float]
    reached: float = 0.0


def replay(
    *,
    designs: Sequence[Design] | None = None,
    start: datetime,
    end: datetime,
    retrained: timedelta = RETRAINED,
    threshold: float = THRESHOLD,
    seed: int = 0,
) -> Iterator[Replayed]:
    """Replay the time from `start` to `end` for these designs, or all that can be learned from by `end`.

    Nothing is stored. A design of which nothing could be learned gives no warnings, and its failures are missed.
    """
    for family in families_of(designs, fewest=ml.FEWEST_FAILURES):
        yield _replay(family, _Period(start, end, retrained), threshold, seed)


def _replay(family: Family, period: _Period, threshold: float, seed: int) -> Replayed:
    start, end = period.start, period.end
    readings = _read(lives_of_family(family, now=end))
    alone = Family(family.design, (family.design,), "")
    own = [life for life in lives_of_family(alone, now=end) if life.end > microseconds(start)]
    said = [_Said([], []) for _ in own]
    horizon, learned = 0.0, 0
    for at, until in period.spans() if own else ():
        model = _learn_at(family, readings, at, seed)
        if model is not None:
            learned, horizon = learned + 1, model.horizons[0]
            looked = ml.look_back(model, own, readings)
            _say(looked, np.flatnonzero((looked.time > microseconds(at)) & (looked.time <= microseconds(until))), said)
    became = [_judge(life, one, horizon, threshold, microseconds(end)) for life, one in zip(own, said, strict=True)]
    verdicts = [verdict for warnings in became for verdict, _ in warnings]
    leads = [[lead for verdict, lead in warnings if verdict is ml.Verdict.RIGHT] for warnings in became]
    missed = sum(life.failed and not right for life, right in zip(own, leads, strict=True))
    # A failure that was warned of more than once was known since the first.
    first = [max(right) for right in leads if right]
    failures = sum(life.failed for life in own)
    return Replayed(family.design, failures, ml.tally(verdicts, first, missed=missed), tuple(first), learned)


def _read(lives: Sequence[ml.Life]) -> ml.Readings:
    sensors = {known.sensor for life in lives for known in life.inputs}
    start = min((life.start for life in lives), default=0)
    return ml.Readings(scan_readings(sensors=sorted(sensors), start=from_microseconds(start)))


def _learn_at(family: Family, readings: ml.Readings, at: datetime, seed: int) -> ml.FleetModel | None:
    """The model that would have been in force at this time; None where the ageing curve spoke."""
    try:
        training = learn(family, lives_of_family(family, now=at), readings, seed=seed)
    except PredictionUnavailable:
        raise
    except PredictionError:
        return None
    return None if training.refusal else training.model


def _say(looked: ml.Hindsight, rows: npt.NDArray[np.int64], said: list[_Said]) -> None:
    """Append what is said at these rows."""
    for row in rows:
        one = said[looked.life[row]]
        one.ages.append(float(looked.age[row]))
        one.chances.append(float(looked.probabilities[row, 0]))
        one.reached = float(looked.reached[looked.life[row]])


def _judge(life: ml.Life, said: _Said, horizon: float, threshold: float, now: int) -> list[tuple[ml.Verdict, float]]:
    """Verdict of every warning of one life, and how long before its end it was raised."""
    found = []
    for warned in ml.warnings_of(np.array(said.chances), threshold=threshold):
        raised, last = said.ages[warned.raised], said.ages[-1 if warned.cleared is None else warned.cleared]
        verdict = ml.judge(
            raised=raised,
            last=last,
            horizon=horizon,
            failed=said.reached if life.failed else None,
            ended=said.reached if not life.failed and life.end < now else None,
            now=said.reached,
        )
        found.append((verdict, said.reached - raised))
    return found
