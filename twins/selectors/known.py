"""What acceptance asks of the register for every batch, remembered for some seconds: the keys and limits of sensors.

A sensor's UUID and key never change, and what is not known is asked again at once; so a limit that was changed holds,
and a sensor that was removed is refused, REMEMBERED seconds later at most.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from django.db import connection

from twins.selectors.sensors import sensor_keys, sensor_limits

REMEMBERED = 5.0
"""Seconds."""
_MOST = 1_000_000

Limits = tuple[float, float]


class _Memory:
    """Limits of one database until they are too old, and keys, which do not age."""

    def __init__(self, database: str) -> None:
        self.database = database
        self.keys: dict[str, int] = {}
        self.limits: dict[int, Limits] = {}
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


def forget() -> None:
    """Ask the register again."""
    _memory.until = 0.0


def _fresh() -> _Memory:
    global _memory  # noqa: PLW0603
    memory, now = _memory, time.monotonic()
    database = connection.settings_dict["NAME"]
    if memory.database != database or len(memory.keys) > _MOST:
        memory = _memory = _Memory(database)
    if now > memory.until:
        # Replaced, not emptied: other threads may be reading the old one.
        memory.limits, memory.until = {}, now + REMEMBERED
    return memory
