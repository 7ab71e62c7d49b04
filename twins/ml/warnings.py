"""Warnings and how often they were right: a probability that crosses its threshold upwards is one until it clears.

A warning is one statement about the future: "this item fails within the horizon". While it stands it is said again, so
its promise ends a horizon after it was last said, but never later than RENEWED horizons more: who warns for ever is
wrong. It is *right* when a failure comes before that; *false* when that time has passed without one; *open* until
either is known, and *void* when the item was removed for another reason before, because then nobody will ever know.
Replaying the past and judging the present use the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from twins.ml.lives import Floats, Ints

CLEARS_AT = 0.8
"""Share of the threshold below which a warning clears, so that noise around the threshold does not make many."""
RENEWED = 2
"""How many horizons a warning that stands may prolong its promise."""


class Verdict(StrEnum):
    """What became of a warning."""

    OPEN = "open"
    RIGHT = "right"
    FALSE = "false"
    VOID = "void"


@dataclass(frozen=True)
class Warned:
    """The rows of one warning, and the highest probability in between."""

    raised: int
    """Row at which the threshold was crossed upwards."""
    cleared: int | None
    """Row at which it cleared; None while it stands."""
    peak: float


@dataclass(frozen=True)
class Record:
    """How a group of warnings turned out."""

    right: int
    false: int
    open: int
    void: int
    missed: int
    """Failures without a warning before them."""
    median_lead: float | None
    """Of the right ones, from raising to failure, in the unit of the times given; None without any."""

    @property
    def judged(self) -> int:
        """Warnings of which the truth is known."""
        return self.right + self.false

    def sentence(self) -> str:
        """'Of the last 15 such warnings 12 were right, median lead 9 days.'"""
        if not self.judged:
            return "No such warning has been judged yet."
        warnings = "the only such warning" if self.judged == 1 else f"the last {self.judged} such warnings"
        lead = "" if self.median_lead is None else f", median lead {self.median_lead:.3g} days"
        return f"Of {warnings} {self.right} {'was' if self.right == 1 else 'were'} right{lead}."


def warnings_of(probability: Floats, *, threshold: float, clears: float | None = None) -> list[Warned]:
    """Warnings of one item from its probabilities [rows] in order of time; NaN neither raises nor clears.

    Raised where the probability reaches `threshold`, cleared where it falls below `clears` (default: a fifth lower).
    """
    if not 0 < threshold < 1:
        raise ValueError(f"A threshold of {threshold} is not between 0 and 1.")
    low = CLEARS_AT * threshold if clears is None else clears
    if not 0 <= low <= threshold:
        raise ValueError(f"A warning raised at {threshold} cannot clear at {low}: clear at or below the threshold.")
    found: list[Warned] = []
    raised, peak = -1, 0.0
    for row, value in enumerate(probability):
        stood, standing = raised >= 0, stands(raised >= 0, float(value), threshold=threshold, clears=low)
        if standing:
            raised, peak = (raised, max(peak, float(value))) if stood else (row, float(value))
        elif stood:
            found.append(Warned(raised, row, peak))
            raised = -1
    if raised >= 0:
        found.append(Warned(raised, None, peak))
    return found


def stands(standing: bool, probability: float, *, threshold: float, clears: float | None = None) -> bool:
    """Whether a warning stands after this probability, given whether one stood before it; NaN changes nothing."""
    if math.isnan(probability):
        return standing
    low = CLEARS_AT * threshold if clears is None else clears
    return probability >= low if standing else probability >= threshold


def judge(
    *, raised: float, last: float, horizon: float, failed: float | None, ended: float | None, now: float
) -> Verdict:
    """What became of a warning raised at `raised` that stood until `last` (now, while it stands).

    `failed` is when the item failed, `ended` when it was removed for another reason; None: not so far. All in one unit
    of time, the horizon too.
    """
    until = min(last, raised + RENEWED * horizon) + horizon
    if failed is not None and raised <= failed <= until:
        return Verdict.RIGHT
    if ended is not None and raised <= ended < until:
        return Verdict.VOID
    if now >= until or (failed is not None and failed > until):
        return Verdict.FALSE
    return Verdict.OPEN


def tally(verdicts: Sequence[Verdict], leads: Sequence[float], *, missed: int = 0) -> Record:
    """The record of these warnings; `leads` are those of the right ones."""
    count = {verdict: sum(one is verdict for one in verdicts) for verdict in Verdict}
    return Record(
        right=count[Verdict.RIGHT],
        false=count[Verdict.FALSE],
        open=count[Verdict.OPEN],
        void=count[Verdict.VOID],
        missed=missed,
        median_lead=float(np.median(leads)) if len(leads) else None,
    )


@dataclass(frozen=True)
class Calibration:
    """Of probabilities said, how many came true, in equal steps of probability."""

    brier: float
    """Mean squared distance of probability and truth (Brier 1950); 0 is best."""
    brier_of_a_constant: float
    """What always saying the share that failed would have scored."""
    said: Floats
    """[steps] mean probability said; steps in which nothing was said are left out."""
    came: Floats
    """[steps] share that came true."""
    count: Ints
    """[steps] how many were said."""


def calibrate(probability: Floats, happened: Floats, *, steps: int = 10) -> Calibration | None:
    """Score probabilities [n] against what happened [n] (0 or 1); None where nothing was said."""
    if not len(probability):
        return None
    where = np.minimum((probability * steps).astype(np.int64), steps - 1)
    count = np.bincount(where, minlength=steps)
    known = count > 0
    share = float(happened.mean())
    return Calibration(
        brier=float(np.mean((probability - happened) ** 2)),
        brier_of_a_constant=share * (1 - share),
        said=np.bincount(where, probability, steps)[known] / count[known],
        came=np.bincount(where, happened, steps)[known] / count[known],
        count=count[known].astype(np.int64),
    )
