"""Bounds of processor time mean what they say on the machine where they were set, and as much work on a slower one."""

from __future__ import annotations

import statistics
import time

_USUAL = 0.03
"""Seconds that `_turn` takes there."""


def within(took: float, seconds: float) -> bool:
    """Whether what took so many seconds of processor time here takes less than `seconds` there."""
    return took < seconds or took < seconds * statistics.median(_turn() for _ in range(5)) / _USUAL


def _turn() -> float:
    begun, total = time.thread_time(), 0
    for number in range(300_000):
        total += number * number % 7
    return time.thread_time() - begun
