"""Two years of what the plant's historian would hold: readings every four hours, with the gaps of its data loggers.

Pure: the origin (the instant the demo was loaded, day 0) and the seed are arguments; the same arguments give the same
bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from config.demo.degradation import Array, Keys, Mask
from config.demo.plant import LAYOUT, PRODUCTS, TRAINS
from config.demo.signals import Instruments
from config.demo.simulation import Simulation

SEED: Final = 52
HISTORY_DAYS: Final = 730
READINGS_A_DAY: Final = 6
_US_A_DAY: Final = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOGGER_GAPS: Final = 8
_LOST: Final = 0.002  # share of readings that never arrive


def instant(origin: datetime, day: float) -> datetime:
    """The time `day` days after the origin, in whole seconds, UTC."""
    return origin + timedelta(seconds=round(day * 86_400))


def day_of(origin: datetime, at: datetime) -> float:
    """Days from the origin to an aware time."""
    return (at - origin).total_seconds() / 86_400


def grid(*, first: float, last: float) -> Array:
    """Days of the four-hourly readings after `first` up to and including `last`."""
    count = np.arange(np.floor(first * READINGS_A_DAY + 1e-6) + 1, np.floor(last * READINGS_A_DAY + 1e-6) + 1)
    return np.asarray(count / READINGS_A_DAY)


def history_days() -> Array:
    """Days of the history's readings: the last is 0, the origin."""
    return np.asarray(np.arange(-HISTORY_DAYS * READINGS_A_DAY, 1) / READINGS_A_DAY)


def simulate_history(*, seed: int = SEED) -> Simulation:
    """The plant from its commissioning to the origin."""
    simulation = Simulation(seed)
    simulation.run(until=0.0)
    return simulation


def measure_history(simulation: Simulation, *, seed: int = SEED) -> tuple[Array, Mask]:
    """Values and presence (T, sensors) at `history_days()`: outages show, absent parts and dead loggers are silent."""
    rng = np.random.default_rng([seed, 5])
    days = history_days()
    values, there = Instruments(simulation, seed).read(days, rng)
    there &= rng.uniform(size=there.shape) > _LOST
    _silence_loggers(there, rng)
    return values, there


def _silence_loggers(there: Mask, rng: np.random.Generator) -> None:
    """Each product has one data logger, and each logger stops a few times a year for 8 to 40 hours."""
    for train in TRAINS:
        for product in PRODUCTS:
            wired = [i for i, place in enumerate(LAYOUT.sensors) if place.tag.startswith(f"{train}-{product}")]
            for start in rng.integers(0, len(there) - 12, _LOGGER_GAPS):
                there[start : start + int(rng.integers(2, 11)), wired] = False


def readings_table(*, origin: datetime, days: Array, values: Array, there: Mask, sensors: Keys) -> pa.Table:
    """Rows (sensor, time, value, quality) of the readings that are there; `sensors` are the lake's keys, in order."""
    start = (origin - _EPOCH) // timedelta(microseconds=1)
    # The grid is a whole number of seconds; rounding takes out what binary fractions of a day leave behind.
    times = start + np.round(np.asarray(days) * (_US_A_DAY / 1e6)).astype(np.int64) * 1_000_000
    row, column = np.nonzero(there)
    return pa.table(
        {
            "sensor": pa.array(sensors[column]),
            "time": pa.array(times[row]).cast(pa.timestamp("us", tz="UTC")),
            "value": pa.array(values[row, column]),
            "quality": pa.array(np.zeros(len(row), dtype=np.int32)),
        }
    )
