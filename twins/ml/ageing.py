"""Health from age alone: the ageing curve of the Common Network Asset Indices Methodology (Ofgem CNAIM v2.1, 2021).

It needs no failure on record, so every part has a health on its first day. The condition score grows from 0.5 (new)
to 5.5 at the expected life and ends at 10; the rate of failure follows its cubic. CNAIM gives the rate's scale per
class of network asset; here it is such that half of the items fail before their expected life.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.ml.lives import Floats

_NEW, _EXPECTED, _WORST = 0.5, 5.5, 10.0
_C = 1.087
_FLAT_BELOW = 4.0
_POINTS = 4000
_SPAN = 8.0
"""Expected lives over which the curve is tabulated."""


@dataclass(frozen=True)
class AgeingCurve:
    """What is believed of an item of some age, when nothing but its expected life is known (same unit)."""

    expected_life: float

    def score(self, age: float) -> float:
        """CNAIM condition score: 0.5 new, 5.5 at the expected life, at most 10."""
        return float(_score(np.array([age / self.expected_life]))[0])

    def health(self, age: float) -> float:
        """100 new, 0 at the worst score."""
        return 100.0 * (_WORST - self.score(age)) / (_WORST - _NEW)

    def failure_probability(self, age: float, within: float) -> float:
        """Probability that an item of this age fails within this much more life."""
        hazard = self._hazard(np.array([age, age + within]))
        return float(1 - np.exp(hazard[0] - hazard[1]))

    def life_left(self, age: float, probability: float) -> float:
        """Life after which an item of this age has failed with this probability."""
        ages, hazards = _table()
        start = float(self._hazard(np.array([age]))[0])
        wanted = start - np.log1p(-probability)
        if wanted <= hazards[-1]:
            reached = float(np.interp(wanted, hazards, ages))
        else:
            reached = float(ages[-1] + (wanted - hazards[-1]) / _slope(ages, hazards))
        return max(0.0, reached * self.expected_life - age)

    def _hazard(self, age: Floats) -> Floats:
        """Cumulative hazard."""
        ages, hazards = _table()
        relative = age / self.expected_life
        beyond = np.maximum(relative - ages[-1], 0.0) * _slope(ages, hazards)
        return np.interp(relative, ages, hazards) + beyond


def _score(relative_age: Floats) -> Floats:
    return np.minimum(_NEW * np.exp(np.log(_EXPECTED / _NEW) * np.maximum(relative_age, 0.0)), _WORST)


def _table() -> tuple[Floats, Floats]:
    """Relative ages and cumulative hazards."""
    ages = np.linspace(0.0, _SPAN, _POINTS + 1)
    shape = _C * np.maximum(_score(ages), _FLAT_BELOW)
    rate = 1 + shape + shape**2 / 2 + shape**3 / 6
    hazards = np.append(0.0, np.cumsum((rate[1:] + rate[:-1]) / 2 * np.diff(ages)))
    return ages, hazards * np.log(2) / np.interp(1.0, ages, hazards)


def _slope(ages: Floats, hazards: Floats) -> float:
    return float((hazards[-1] - hazards[-2]) / (ages[-1] - ages[-2]))
