"""A small fleet that ages: each life drifts faster and faster until it fails, its inputs show it through noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from twins.ml import DAY, Input, Life, Readings

HOUR = DAY // 24


def table(columns: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> pa.Table:
    """Readings in the lake's schema and order from (sensor, times in microseconds, values)."""
    columns = sorted(columns, key=lambda column: column[0])
    count = sum(len(times) for _, times, _ in columns)
    return pa.table(
        {
            "sensor": pa.array(np.concatenate([np.full(len(t), s, np.int32) for s, t, _ in columns])),
            "time": pa.array(np.concatenate([t for _, t, _ in columns]).astype(np.int64)).cast(
                pa.timestamp("us", "UTC")
            ),
            "value": pa.array(np.concatenate([v for _, _, v in columns]).astype(np.float64)),
            "quality": pa.array(np.zeros(count, np.int32)),
            "batch": pa.array(np.ones(count, np.int64)),
        }
    )


@dataclass(frozen=True)
class Fleet:
    lives: list[Life]
    columns: list[tuple[int, np.ndarray, np.ndarray]]

    @property
    def readings(self) -> Readings:
        return Readings(table(self.columns))


def make_fleet(*, failed: int = 12, running: int = 3, seed: int = 3, informative: bool = True) -> Fleet:
    """Lives of 40 to 80 days, read every 12 hours; input b follows a load that has two levels."""
    rng = np.random.default_rng(seed)
    lives, columns = [], []
    for number in range(failed + running):
        lasts = int(rng.integers(40, 80))
        seen = lasts if number < failed else int(lasts * 0.7)
        times = np.arange(0, seen * DAY + 1, 12 * HOUR, dtype=np.int64) + DAY
        wear = (np.arange(len(times)) / (2 * lasts)) ** 3 if informative else np.zeros(len(times))
        load = rng.choice([50.0, 100.0], len(times)) + rng.normal(0, 0.5, len(times))
        noise = rng.normal(0, 1, (3, len(times)))
        first = 10 * number + 1
        columns += [
            (first, times, 60 + 20 * wear + noise[0]),
            (first + 1, times, 3 + 0.2 * load + 12 * wear + 0.5 * noise[1]),
            (first + 2, times, noise[2]),
            (first + 3, times, load),
            (first + 4, times, np.full(len(times), 7.0)),
        ]
        roles = ("measurement", "measurement", "measurement", "setting", "measurement")
        names = ("a", "b", "noise", "load", "constant")
        inputs = tuple(
            Input(name=name, sensor=first + place, role=role)
            for place, (name, role) in enumerate(zip(names, roles, strict=True))
        )
        lives.append(
            Life(key=number, group=number, start=DAY, end=int(times[-1]), failed=number < failed, inputs=inputs)
        )
    return Fleet(lives, columns)


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    return make_fleet()


@pytest.fixture(scope="session")
def fleets() -> Callable[..., Fleet]:
    return make_fleet


@pytest.fixture(scope="session")
def tables() -> Callable[..., pa.Table]:
    return table
