"""What the plant is exposed to: demand, weather and dirt as smooth deterministic functions of time.

Time is in days from the instant the demo was loaded, so every installation of the demo tells the same story.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from config.demo.degradation import Array

YEAR = 365.25
RATED_MW = 160.0
COMMISSIONED = -1130.0
_FUTURE = 8000.0
# The planned outage of each train, once a year: first day of one of them, and its length.
PLANNED_OUTAGE_START = (-214.0, -92.0)
PLANNED_OUTAGE_DAYS = 5.0


class Wander:
    """Smooth noise of unit variance: independent normals at knots `spacing` days apart, joined by cosine ramps."""

    def __init__(self, *, seed: int, channel: int, width: int, spacing: float) -> None:
        self._spacing = spacing
        knots = int((_FUTURE - COMMISSIONED) / spacing) + 3
        self._knots = np.random.default_rng([seed, channel]).standard_normal((knots, width)).astype(np.float32)

    def __call__(self, days: Array) -> Array:
        """Values at `days` (T,) as (T, width)."""
        place = (np.asarray(days) - COMMISSIONED) / self._spacing
        left = np.clip(place.astype(int), 0, len(self._knots) - 2)
        ramp = (0.5 - 0.5 * np.cos(np.pi * (place - left)))[:, None]
        return np.asarray(self._knots[left] * (1 - ramp) + self._knots[left + 1] * ramp, dtype=float)


@dataclass(frozen=True)
class Conditions:
    """The outside at T instants: temperatures in Cel, `demand` (T, trains) as share of rated load, dirt around 1."""

    ambient: Array
    water: Array
    humidity: Array
    pressure: Array
    dust: Array
    debris: Array
    demand: Array
    voltage: Array


class Operation:
    """Conditions of one seed at any time."""

    def __init__(self, seed: int) -> None:
        self._slow = Wander(seed=seed, channel=1, width=6, spacing=4.0)
        self._fast = Wander(seed=seed, channel=2, width=4, spacing=0.3)

    def at(self, days: Array) -> Conditions:
        """Conditions at `days` (T,)."""
        days = np.asarray(days, dtype=float)
        slow, fast = self._slow(days), self._fast(days)
        season = np.sin(2 * np.pi * days / YEAR + 1.9)
        noon = np.sin(2 * np.pi * (days + 0.1))
        ambient = 11.5 + 9.5 * season + 3.8 * noon + 3.0 * slow[:, 0] + 0.6 * fast[:, 0]
        water = 14.0 + 7.0 * np.sin(2 * np.pi * days / YEAR + 1.4) + 0.9 * slow[:, 1] + 0.3 * noon
        return Conditions(
            ambient=ambient,
            water=np.maximum(water, 1.5),
            humidity=np.clip(72 - 1.6 * (ambient - 11.5) + 9 * slow[:, 2], 18, 100),
            pressure=1013 + 9 * slow[:, 3] + 0.8 * fast[:, 1],
            dust=np.clip(1.0 + 0.45 * season + 0.35 * slow[:, 4], 0.15, None),
            debris=np.clip(1.0 - 0.5 * np.sin(2 * np.pi * days / YEAR) + 0.4 * slow[:, 5], 0.15, None),
            demand=self._demand(days, fast),
            voltage=231 + 1.6 * fast[:, 3] - 1.2 * noon,
        )

    @staticmethod
    def _demand(days: Array, fast: Array) -> Array:
        """The first unit carries base load; the second follows the evening peak and rests at weekends."""
        evening = np.sin(2 * np.pi * (days - 0.15))
        weekend = ((days % 7.0) > 5.0).astype(float)
        winter = 0.04 * np.cos(2 * np.pi * days / YEAR + 1.9)
        first = 0.87 + 0.06 * evening - 0.05 * weekend + winter + 0.025 * fast[:, 2]
        second = 0.74 + 0.17 * evening - 0.16 * weekend + winter + 0.04 * fast[:, 3]
        return np.clip(np.stack([first, second], axis=1), 0.35, 1.0)


def in_planned_outage(days: Array | float) -> Array:
    """Which trains stand still for their yearly overhaul, 1.0 or 0.0, shape (..., trains) for `days` (...)."""
    since = np.asarray(days)[..., None] - np.asarray(PLANNED_OUTAGE_START)
    return np.asarray((since % YEAR) < PLANNED_OUTAGE_DAYS, dtype=float)
