"""Health from age and condition alone, by the Common Network Asset Indices Methodology (Ofgem CNAIM v2.1, 2021).

It needs no failure on record, so every part has a health on its first day. A score grows from 0.5 (new) to 5.5 at the
expected life (section 6.1.6); what is observed and measured multiplies it and bounds it (4.3.2, 6.7); it goes on
growing at a rate that follows from what it is now (6.1.8), and the rate of failure is its cubic (section 6). CNAIM
gives the rate's scale K per class of network asset; where a design gives none, it is such that half of the items of
which nothing else is known fail before their expected life.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from twins.ml.lives import Floats

_NEW, _EXPECTED, _WORST = 0.5, 5.5, 10.0
_FUTURE_WORST = 15.0
_FLAT_BELOW = 4.0
_DIVIDER = 1.5
C = 1.087
"""Shape of the cubic, the value that CNAIM gives for most asset classes (table 21)."""
RELIABILITY = (0.6, 1.5)
"""Bounds of the reliability modifier (section 6.14)."""
_POINTS = 2000


@dataclass(frozen=True)
class Modifiers:
    """What is known of an item besides its age; each of 1, or of no effect, where nothing is known."""

    duty: float = 1.0
    """Above 1 it works harder than its expected life supposes."""
    location: float = 1.0
    """Above 1 it stands in a worse place."""
    observed: float = 1.0
    """Condition factor of what was seen."""
    measured: float = 1.0
    """Condition factor of what was measured."""
    reliability: float = 1.0
    """Generic trouble of its make, 0.6 to 1.5."""
    cap: float = _WORST
    """A good result: the score is at most this."""
    collar: float = _NEW
    """A bad result: the score is at least this."""


@dataclass(frozen=True)
class AgeingCurve:
    """What is believed of an item of some age, when its expected life and condition are all that is known."""

    expected_life: float
    modifiers: Modifiers = Modifiers()
    k: float | None = None
    """Scale of the rate of failure, per life unit; None: half fail before their expected life."""
    c: float = C

    @property
    def life(self) -> float:
        """Expected life where it works and stands (section 6.1.5): duty and location divide it."""
        return self.expected_life / (self.modifiers.duty * self.modifiers.location)

    def initial_score(self, age: float) -> float:
        """By age alone: 0.5 new, 5.5 at the expected life and never more (6.1.6)."""
        return float(_NEW * (_EXPECTED / _NEW) ** float(np.clip(age / self.life, 0.0, 1.0)))

    def score(self, age: float) -> float:
        """Current score: 0.5 new to 10 worst (4.3.2)."""
        condition = combine_condition(self.modifiers.observed, self.modifiers.measured)
        return current_score(
            self.initial_score(age), condition, self.modifiers.reliability, self.modifiers.cap, self.modifiers.collar
        )

    def future_score(self, age: float, later: float) -> float:
        """Score after so much more life, at most 15 (6.1.8, 6.1.9)."""
        return float(_future(self.score(age), self._forecast_rate(age), np.array([later]))[0])

    def health(self, age: float) -> float:
        """100 new, 0 at the worst score."""
        return 100.0 * (_WORST - self.score(age)) / (_WORST - _NEW)

    def from_health(self, health: float) -> AgeingCurve:
        """The curve of an item whose health is known to be this, whatever its age: ageing goes on from there."""
        score = _WORST - (_WORST - _NEW) * health / 100
        return replace(self, modifiers=replace(self.modifiers, cap=score, collar=score))

    def failure_rate(self, age: float) -> float:
        """Failures per life unit at this age."""
        return float(self._scale() * cubic(np.array([self.score(age)]), self.c)[0])

    def failure_probability(self, age: float, within: float) -> float:
        """Probability that an item of this age fails within this much more life."""
        ahead, hazard = self._ahead(age, within)
        return float(1 - np.exp(-np.interp(within, ahead, hazard)))

    def life_left(self, age: float, probability: float) -> float:
        """Life after which an item of this age has failed with this probability."""
        wanted = -np.log1p(-probability)
        reach = self.life
        ahead, hazard = self._ahead(age, reach)
        while hazard[-1] < wanted:
            reach *= 2
            ahead, hazard = self._ahead(age, reach)
        return float(np.interp(wanted, hazard, ahead))

    def _forecast_rate(self, age: float) -> float:
        return forecast_rate(self.score(age), age, ageing_rate(self.life))

    def _scale(self) -> float:
        return self.k if self.k is not None else float(np.log(2) / self.expected_life) / _whole_life(self.c)

    def _ahead(self, age: float, reach: float) -> tuple[Floats, Floats]:
        """Lives from now and the hazard that has gathered by then."""
        ahead = np.linspace(0.0, reach, _POINTS + 1)
        score, rate = self.score(age), self._forecast_rate(age)
        hazard = _gathered(cubic(_future(score, rate, ahead), self.c), ahead) * self._scale()
        return ahead, hazard


def ageing_rate(life: float) -> float:
    """Initial ageing rate (6.1.6): from 0.5 to 5.5 within the expected life."""
    return float(np.log(_EXPECTED / _NEW) / life)


def forecast_rate(score: float, age: float, initial: float) -> float:
    """Ageing rate from now on (6.1.8): what brought the item here, at most twice the initial one, less when it is old.

    The reduction factor grows from 1 at a score of 2 to 1.5 at 5.5.
    """
    so_far = np.log(score / _NEW) / age if age > 0 and score > _NEW else initial
    reduction = float(np.clip(1 + (score - 2) / 7, 1.0, 1.5))
    return float(min(so_far, 2 * initial)) / reduction


def combine_condition(observed: float, measured: float) -> float:
    """Health score factor from both condition factors (table 9)."""
    most, least = max(observed, measured), min(observed, measured)
    if least > 1:
        return most + (least - 1) / _DIVIDER
    return most if most > 1 else least + (most - 1) / _DIVIDER


def combine_factors(factors: Sequence[float], *, divider_1: float, divider_2: float, most: int) -> float:
    """Maximum and multiple increment (6.7.2): the worst factor, raised by a part of the others.

    Of those above 1 the worst `most` count, the others divided by `divider_1`; where none is, the best is lowered by
    the next, divided by `divider_2`.
    """
    worst = sorted(factors, reverse=True)
    if not worst:
        return 1.0
    if worst[0] > 1:
        return worst[0] + sum(factor - 1 for factor in worst[1 : max(most, 1)] if factor > 1) / divider_1
    best = worst[::-1]
    return best[0] + ((best[1] - 1) / divider_2 if len(best) > 1 else 0.0)


def current_score(initial: float, condition: float, reliability: float, cap: float, collar: float) -> float:
    """Equations 5 to 7 of 4.3.2: factors multiply, then the cap, then the collar, always 0.5 to 10."""
    return float(min(max(min(initial * condition * reliability, cap), collar, _NEW), _WORST))


def cubic(score: Floats, c: float = C) -> Floats:
    """1 + CH + (CH)^2/2! + (CH)^3/3! of scores [n]; below a score of 4 that of 4."""
    shape = c * np.maximum(score, _FLAT_BELOW)
    return np.asarray(1 + shape + shape**2 / 2 + shape**3 / 6, np.float64)


def _future(score: float, rate: float, ahead: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.minimum(score * np.exp(rate * ahead), _FUTURE_WORST)


@lru_cache(maxsize=64)
def _whole_life(c: float) -> float:
    """Hazard gathered by an unobserved item over its expected life of 1, at K = 1."""
    ages = np.linspace(0.0, 1.0, _POINTS + 1)
    return float(_gathered(cubic(_future(_NEW, ageing_rate(1.0), ages), c), ages)[-1])


def _gathered(rate: Floats, ahead: Floats) -> Floats:
    return np.append(0.0, np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(ahead)))
