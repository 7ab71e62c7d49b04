"""How long things live, from those that failed and those that have not: the way back from Run to Realize and Reason.

Everything is told with its exposure, its number of failures and an interval, because a mean of two failures is not the
same news as a mean of two hundred. Where too few have failed the answer is that it is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts load when they are used

from twins.ml.lives import Bools, Floats, Ints
from twins.ml.weibull import Weibull, fit_weibull, life_ratio

FEWEST = 5
"""Failures, in both groups together, before groups are compared at all."""
_ALIKE = 0.05
"""Probability, after Holm's correction, above which a difference may be chance."""
_DISTINCT = 8
"""Numbers with more values than this are split at their median."""


@dataclass(frozen=True)
class MeanTime:
    """Exposure over failures, with a 90 % interval for time-terminated observation (Epstein 1954)."""

    exposure: float
    """Life lived under observation, in life units."""
    failures: int
    value: float | None
    """None without a failure."""
    low: float
    """Without a failure the one-sided 90 % bound."""
    high: float | None


@dataclass(frozen=True)
class Survival:
    """Share that outlives each age (Kaplan and Meier 1958), with a 90 % interval (exponential Greenwood)."""

    age: Floats
    """[steps] ages at which something failed."""
    share: Floats
    low: Floats
    high: Floats
    at_risk: Ints
    """[steps] how many had lived at least so long."""

    @property
    def median(self) -> float | None:
        """Age by which half have failed; None when fewer have."""
        return quantile(self, 0.5)


@dataclass(frozen=True)
class Comparison:
    """Items with one attribute against all others of the same kind."""

    attribute: str
    value: str
    items: int
    failures: int
    others: int
    other_failures: int
    ratio: float | None
    """How many times as long as the others they live; None when it cannot be said."""
    low: float | None
    high: float | None
    probability: float | None
    """Of such a difference by chance, by the log-rank test, corrected for all that was compared (Holm 1979)."""

    @property
    def known(self) -> bool:
        """Whether chance is an unlikely explanation."""
        return self.ratio is not None and self.probability is not None and self.probability < _ALIKE

    def sentence(self, kind: str) -> str:
        """'Bearings with cutter C7 live 31 % shorter (12 of 40 failed, ...)' or that it is not known."""
        counts = f"{self.failures} of {self.items} failed, of the others {self.other_failures} of {self.others}"
        who = f"{kind} with {self.attribute} {self.value}"
        if self.ratio is None:
            return f"Whether {who} differ is not known: {counts}."
        if not self.known:
            return f"{who} cannot be told from the others ({counts})."
        return f"{who} live {_change(self.ratio)} ({counts}; interval {_interval(self.low, self.high)})."


@dataclass(frozen=True)
class BadActor:
    """A place where more fails than at its like."""

    place: int
    failures: int
    exposure: float
    expected: float
    """Failures that its exposure would bring at the rate of all."""
    probability: float
    """Of so many by chance (Poisson), corrected for the number of places (Holm)."""


def mean_time(exposure: float, failures: int, *, confidence: float = 0.9) -> MeanTime:
    """MTTF of what is replaced, MTBF of what is repaired: the two differ in what is counted, not in the formula."""
    exposure, tail = float(exposure), (1 - confidence) / 2
    if failures == 0:
        return MeanTime(exposure, 0, None, float(2 * exposure / scipy.special.chdtri(2, 1 - confidence)), None)
    low = 2 * exposure / scipy.special.chdtri(2 * failures + 2, tail)
    high = 2 * exposure / scipy.special.chdtri(2 * failures, 1 - tail)
    return MeanTime(exposure, failures, exposure / failures, float(low), float(high))


def survival(life: Floats, failed: Bools, *, confidence: float = 0.9) -> Survival:
    """Of lives [n], of which `failed` [n] ended by failure. What ends at an age was at risk at it."""
    ages, deaths, at_risk = _steps(life, failed)
    share = np.asarray(np.cumprod(1 - deaths / at_risk), np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.cumsum(deaths / (at_risk * (at_risk - deaths)))
        around = scipy.special.ndtri((1 + confidence) / 2) * np.sqrt(spread) / np.log(share)
        low, high = share ** np.exp(-around), share ** np.exp(around)
    # Where all have died there is nobody to reckon with.
    low, high = (np.asarray(np.nan_to_num(bound), np.float64) for bound in (low, high))
    return Survival(ages, share, low, high, at_risk)


def quantile(found: Survival, failed: float) -> float | None:
    """The first age by which at least this share has failed."""
    reached = np.flatnonzero(found.share <= 1 - failed)
    return float(found.age[reached[0]]) if len(reached) else None


def log_rank(life: Floats, failed: Bools, group: Bools) -> float:
    """Probability that two groups with the same lives differ so much (Mantel 1966)."""
    ages, deaths, at_risk = _steps(life, failed)
    own = int(group.sum()) - np.searchsorted(np.sort(life[group]), ages, "left")
    own_deaths = np.bincount(np.searchsorted(ages, life[group & failed]), minlength=len(ages))
    expected = deaths * own / at_risk
    spare = np.maximum(at_risk - 1, 1)
    spread = np.sum(expected * (1 - own / at_risk) * (at_risk - deaths) / spare)
    if spread <= 0:
        return 1.0
    return float(scipy.special.chdtrc(1, (own_deaths - expected).sum() ** 2 / spread))


def compare(life: Floats, failed: Bools, attributes: Sequence[Mapping[str, object]]) -> list[Comparison]:
    """Every value of every attribute against the rest, what is known and matters most first.

    `attributes` [n] are what is known of each item; numbers of many values are split at their median. Items that do
    not have the attribute are not compared with those that do.
    """
    tested: list[tuple[float, Comparison]] = []
    for name in sorted({name for each in attributes for name in each}):
        has = np.array([name in each for each in attributes])
        labels = _labels([each[name] for each in attributes if name in each])
        values = sorted(set(labels))
        # Of two values one comparison says all.
        for value in values[:1] if len(values) == 2 else values if len(values) > 2 else []:
            tested.append(_compare(life[has], failed[has], np.array(labels) == value, (name, value)))
    corrected = holm([chance for chance, _ in tested])
    found = [_with(one, chance) for (_, one), chance in zip(tested, corrected, strict=True)]
    return sorted(found, key=lambda one: (not one.known, one.probability or 1.0, one.attribute, one.value))


def bad_actors(places: Ints, life: Floats, failed: Bools) -> list[BadActor]:
    """Places [n] with more failures than their exposure explains, the least likely first."""
    total, exposure = int(failed.sum()), float(life.sum())
    if total < FEWEST or exposure <= 0:
        return []
    keys, which = np.unique(places, return_inverse=True)
    counts = np.bincount(which, failed.astype(np.float64))
    exposures = np.bincount(which, life)
    expected = exposures * total / exposure
    # Of at least so many; 1 where there was none.
    chance = np.where(counts > 0, 1 - scipy.special.gammaincc(np.maximum(counts, 1), expected), 1.0)
    actors = [
        BadActor(int(key), int(count), float(lived), float(should), probability)
        for key, count, lived, should, probability in zip(
            keys, counts, exposures, expected, holm(chance.tolist()), strict=True
        )
        if probability < _ALIKE and count >= 2
    ]
    return sorted(actors, key=lambda one: (one.probability, one.place))


def holm(chances: Sequence[float]) -> list[float]:
    """Probabilities corrected for the number of tests (Holm 1979), in the same order."""
    order = np.argsort(chances, kind="stable")
    corrected = np.empty(len(chances))
    worst = 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, (len(chances) - rank) * chances[place]))
        corrected[place] = worst
    return [float(value) for value in corrected]


def _steps(life: Floats, failed: Bools) -> tuple[Floats, Ints, Ints]:
    """Ages at which something failed, how many did, and how many were at risk."""
    ages, deaths = np.unique(life[failed], return_counts=True)
    at_risk = len(life) - np.searchsorted(np.sort(life), ages, "left")
    return ages, deaths, at_risk


def _labels(values: Sequence[object]) -> list[str]:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values) and len(set(numbers)) > _DISTINCT:
        middle = float(np.median(np.array(numbers, np.float64)))
        return [f"above {middle:g}" if number > middle else f"at most {middle:g}" for number in numbers]
    return [str(value) for value in values]


def _compare(life: Floats, failed: Bools, group: Bools, named: tuple[str, str]) -> tuple[float, Comparison]:
    """Chance of the difference before any correction, and the comparison without it."""
    own, others = int(failed[group].sum()), int(failed[~group].sum())
    ratio = None
    chance = 1.0
    if own + others >= FEWEST:
        chance = log_rank(life, failed, group)
        # A group without failures has no ratio, only a bound; the rates tell it.
        fitted = life_ratio(life, failed, group) if min(own, others) >= 2 else None
        ratio = fitted or _rate_ratio(life, failed, group)
    estimate, low, high = ratio or (None, None, None)
    counts = (int(group.sum()), own, int((~group).sum()), others)
    return chance, Comparison(*named, *counts, estimate, low, high, None)


def _with(one: Comparison, chance: float) -> Comparison:
    known = one.ratio is not None
    return Comparison(**{**vars(one), "probability": chance if known else None})


def _rate_ratio(
    life: Floats, failed: Bools, group: Bools, confidence: float = 0.9
) -> tuple[float, float, float | None] | None:
    """The others' rate of failure over the group's: given all failures, those of the group are binomial."""
    own, total = int(failed[group].sum()), int(failed.sum())
    exposure = life[group].sum() / max(float(life[~group].sum()), 1e-12)
    if not exposure:
        return None
    tail = (1 - confidence) / 2
    most = 1.0 if own == total else float(scipy.special.betaincinv(own + 1, total - own, 1 - tail))
    least = 0.0 if own == 0 else float(scipy.special.betaincinv(own, total - own + 1, tail))
    low = exposure * (1 - most) / most
    high = exposure * (1 - least) / least if least else None
    # Half a failure more on either side keeps the estimate finite (Haldane 1956).
    return float(exposure * (total - own + 0.5) / (own + 0.5)), float(low), None if high is None else float(high)


def _change(ratio: float) -> str:
    return f"{100 * (1 - ratio):.0f} % shorter" if ratio < 1 else _longer(ratio)


def _longer(ratio: float) -> str:
    return f"{100 * (ratio - 1):.0f} % longer" if ratio < 3 else f"{ratio:.1f} times as long"


def _interval(low: float | None, high: float | None) -> str:
    ends = [_change(end) for end in (low, high) if end is not None]
    return " to ".join(ends) if len(ends) == 2 else f"at least {ends[0]}"


__all__ = [
    "FEWEST",
    "BadActor",
    "Comparison",
    "MeanTime",
    "Survival",
    "Weibull",
    "bad_actors",
    "compare",
    "fit_weibull",
    "holm",
    "log_rank",
    "mean_time",
    "quantile",
    "survival",
]
