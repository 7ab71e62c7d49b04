"""What is known of a life beside its readings: how it was designed and built, and what was done to it so far.

An event counts from the moment it happened: at each row, how many of its kind there were and how long ago the last one
was. What hardly any life has is left out, because by it a model would know items by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from twins.ml.lives import DAY, Floats, Ints, Life

FEWEST = 5
"""Lives that must have a value, and that must have another, before it may teach."""


@dataclass(frozen=True)
class Context:
    """Which attributes and events of lives become columns, in this order: numbers, choices, two for every kind."""

    numbers: list[str]
    """Attributes that are numbers."""
    choices: list[list[str]]
    """Attribute and the text it has or has not."""
    kinds: list[str]
    """Kinds of event."""

    @property
    def names(self) -> list[str]:
        choices = [f"{name} = {text}" for name, text in self.choices]
        return [*self.numbers, *choices, *(f"{what} {kind}" for kind in self.kinds for what in ("number of", "since"))]

    def of(self, lives: Sequence[Life], life: Ints, time: Ints) -> Floats:
        """[rows, names] at rows of `lives[life]` at `time`; NaN where an attribute or an event is missing."""
        attributes = [dict(one.attributes) for one in lives]
        columns = [np.array([_number(own.get(name)) for own in attributes])[life] for name in self.numbers]
        for name, text in self.choices:
            columns.append(np.array([np.nan if name not in own else own[name] == text for own in attributes])[life])
        for kind in self.kinds:
            columns += _so_far(lives, kind, life, time)
        return np.column_stack(columns).astype(np.float64) if columns else np.empty((len(life), 0))


NOTHING = Context([], [], [])


def find_context(lives: Sequence[Life], ignored: frozenset[str]) -> Context:
    """Attributes and kinds of event that enough of `lives` have and that differ among them."""
    held: dict[str, list[float | str]] = {}
    for life in lives:
        for name, value in life.attributes:
            held.setdefault(name, []).append(value)
    numbers, choices = [], []
    for name, values in sorted(held.items()):
        if name in ignored:
            continue
        texts = [value for value in values if isinstance(value, str)]
        known = [value for value in values if not isinstance(value, str)]
        if not texts and 2 * len(known) >= len(lives) and len(set(known)) > 1:
            numbers.append(name)
        for text in sorted(set(texts)):
            if min(texts.count(text), len(values) - texts.count(text)) >= FEWEST:
                choices.append([name, text])
    kinds: dict[str, int] = {}
    for life in lives:
        for kind in {kind for _, kind in life.happened}:
            kinds[kind] = kinds.get(kind, 0) + 1
    return Context(numbers, choices, sorted(k for k, n in kinds.items() if n >= FEWEST and k not in ignored))


def _number(value: float | str | None) -> float:
    return np.nan if value is None or isinstance(value, str) else float(value)


def _so_far(lives: Sequence[Life], kind: str, life: Ints, time: Ints) -> list[Floats]:
    """Number of events of one kind up to each row, and days since the last."""
    count, since = np.zeros(len(life)), np.full(len(life), np.nan)
    for index in np.unique(life):
        happened = np.array([at for at, its in lives[index].happened if its == kind], np.int64)
        if len(happened):
            rows = np.flatnonzero(life == index)
            before = np.searchsorted(happened, time[rows], "right")
            count[rows] = before
            past = before > 0
            since[rows[past]] = (time[rows[past]] - happened[before[past] - 1]) / DAY
    return [count, since]
