"""The mixed data set of the ingest and read benchmarks: what a plant's sensors send, the same for the same seed.

Of ten sensors four are walks in steps of 0.01, three are float32 noise, two are counters and one is a state; every
other ten of them have times with a jitter of milliseconds. One reading a sensor and tick, in the order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

START = 1_767_225_600_000_000  # 2026-01-01 UTC, in microseconds
_SECOND = 1_000_000


@dataclass(frozen=True)
class Mixed:
    """`rows` readings (rounded up to whole ticks) of `sensors` sensors, one each `interval` microseconds.

    Jittered times are whole milliseconds later than their tick, less than `jitter` of them.
    """

    rows: int
    sensors: int = 2_000
    interval: int = _SECOND
    start: int = START
    seed: int = 4
    jitter: int = 1_000

    @property
    def ticks(self) -> int:
        return -(-self.rows // self.sensors)

    @property
    def end(self) -> int:
        """Microseconds since 1970 that every reading is before."""
        return self.start + self.ticks * self.interval

    def tables(self, rows: int = 200_000) -> Iterator[pa.Table]:
        """Columns sensor (0 to sensors - 1), time, value, quality, about `rows` rows at a time."""
        step = max(1, rows // self.sensors)
        rng = np.random.default_rng(self.seed)
        state = _State(np.arange(self.sensors), rng)
        for first in range(0, self.ticks, step):
            ticks = min(step, self.ticks - first)
            yield self._table(first, state.advance(ticks), rng)

    def _table(self, first: int, values: np.ndarray, rng: np.random.Generator) -> pa.Table:
        ticks = len(values)
        sensor = np.arange(self.sensors, dtype=np.int32)
        jitter = rng.integers(0, self.jitter, values.shape) * 1_000 % self.interval
        jitter[:, sensor // 10 % 2 == 0] = 0
        time = self.start + (first + np.arange(ticks)[:, None]) * self.interval + jitter
        return pa.table(
            {
                "sensor": pa.array(np.tile(sensor, ticks)),
                "time": pa.array(time.ravel()).cast(pa.timestamp("us", tz="UTC")),
                "value": pa.array(values.ravel()),
                "quality": pa.array(np.zeros(values.size, np.int32)),
            }
        )


class _State:
    """The last value of each sensor, as whole hundredths, counts and levels."""

    def __init__(self, sensor: np.ndarray, rng: np.random.Generator) -> None:
        kind = sensor % 10
        self.walks, self.noises, self.counters, self.states = (
            np.flatnonzero(mask) for mask in (kind < 4, (kind > 3) & (kind < 7), (kind == 7) | (kind == 8), kind == 9)
        )
        self.rng = rng
        self.last = np.where(kind < 4, rng.integers(-5_000, 5_000, len(sensor)), 0)

    def advance(self, ticks: int) -> np.ndarray:
        """Values of the next ticks, one row each."""
        rng, last = self.rng, self.last
        values = np.empty((ticks, len(last)))
        walk = last[self.walks] + np.cumsum(rng.integers(-1, 2, (ticks, len(self.walks))), axis=0)
        count = last[self.counters] + np.cumsum(rng.poisson(3, (ticks, len(self.counters))), axis=0)
        moves = rng.random((ticks, len(self.states))) < 0.01
        level = (last[self.states] + np.cumsum(moves, axis=0)) % 5
        values[:, self.walks] = walk / 100
        values[:, self.noises] = rng.normal(50, 10, (ticks, len(self.noises))).astype(np.float32)
        values[:, self.counters] = count
        values[:, self.states] = level
        last[self.walks], last[self.counters], last[self.states] = walk[-1], count[-1], level[-1]
        return values
