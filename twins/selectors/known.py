"""What acceptance asks of the register for every batch, remembered for some seconds: the keys and limits of sensors.

A sensor's UUID and key never change, and what is not known is asked again at once; so a limit that was changed holds,
and a sensor that was removed is refused, REMEMBERED seconds later at most. A gateway names the same sensors in every
body, so what was found for a list of names is remembered as a whole.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from django.db import DEFAULT_DB_ALIAS, connections

from twins.selectors.sensors import sensor_keys, sensor_limits

REMEMBERED = 5.0
"""Seconds."""
_MOST = 1_000_000
_MOST_LISTS, _LONGEST_LIST = 64, 10_000

Limits = tuple[float, float]


class Sensors(NamedTuple):
    """What some names stand for: lake keys, -1 of unknown ones, and the limits of values, NaN of unknown ones."""

    keys: np.ndarray
    low: np.ndarray
    high: np.ndarray
    all_known: bool
    limited: bool
    """Whether any of them has a limit, or is not known."""


class _Memory:
    """Limits of one database until they are too old, and keys, which do not age."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.keys: dict[str, int] = {}
        self.limits: dict[int, Limits] = {}
        self.lists: OrderedDict[Hashable, Sensors] = OrderedDict()
        self.until = 0.0


_memory = _Memory("")


def known_keys(uuids: Sequence[str]) -> dict[str, int]:
    """The lake keys of these sensors (UUIDs as canonical lower-case text); unknown ones are absent."""
    memory = _fresh()
    unknown = [uuid for uuid in uuids if uuid not in memory.keys]
    if unknown:
        memory.keys.update(sensor_keys(unknown))
    return {uuid: key for uuid in uuids if (key := memory.keys.get(uuid)) is not None}


def known_limits(keys: Iterable[int]) -> dict[int, Limits]:
    """Lowest and highest value of these sensors, infinite where there is none; unknown ones are absent."""
    memory = _fresh()
    wanted = list(keys)
    unknown = [key for key in wanted if key not in memory.limits]
    if unknown:
        memory.limits.update(sensor_limits(unknown))
    return {key: limits for key in wanted if (limits := memory.limits.get(key)) is not None}


def known_sensors(keys: Sequence[int | None]) -> Sensors:
    """Sensors by their lake keys, in the order given; None stands for one that is not known."""
    known = known_limits([key for key in keys if key is not None])
    limits = np.array([(np.nan, np.nan) if key is None else known.get(key, (np.nan, np.nan)) for key in keys])
    low, high = np.ascontiguousarray(limits.reshape(-1, 2).T)
    found = np.array([-1 if key is None else key for key in keys], np.int32)
    found = np.where(np.isnan(low), -1, found).astype(np.int32)
    limited = not (np.isneginf(low).all() and np.isposinf(high).all())
    return Sensors(found, low, high, bool((found >= 0).all()), limited)


def remembered(names: Hashable, find: Callable[[], Sensors]) -> Sensors:
    """What `find` found for this list of names, or finds now; lists with a name that is unknown are not remembered."""
    memory = _fresh()
    if (known := memory.lists.get(names)) is not None:
        return known
    found = find()
    if len(found.keys) <= _LONGEST_LIST and found.all_known:
        memory.lists[names] = found
        while len(memory.lists) > _MOST_LISTS:
            memory.lists.popitem(last=False)
    return found


def forget() -> None:
    """Ask the register again."""
    _memory.until = 0.0


def _fresh() -> _Memory:
    global _memory  # noqa: PLW0603
    memory, now = _memory, time.monotonic()
    database = connections.settings[DEFAULT_DB_ALIAS]["NAME"]
    if memory.database != database or len(memory.keys) > _MOST:
        memory = _memory = _Memory(database)
    if now > memory.until:
        # Replaced, not emptied: other threads may be reading the old one.
        memory.limits, memory.lists, memory.until = {}, OrderedDict(), now + REMEMBERED
    return memory
