"""What each part is exposed to at an instant: loads, temperatures and suction heads, as its neighbours make them.

Arrays have the trailing axes (trains, positions), (trains, pumps) or (trains,) and may carry a leading time axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from config.demo.degradation import Array
from config.demo.operation import in_planned_outage
from config.demo.plant import LAYOUT, POSITIONS, PUMPS

_COL = LAYOUT.column
_FAM = LAYOUT.columns
DUTY_BOTH: Final = 0.78
DUTY_ALONE: Final = 1.0


@dataclass(frozen=True)
class Snapshot:
    """What sensors can see at one instant: arrays over (trains, positions), (trains, pumps) or (trains,)."""

    days: Array
    severity: Array
    fouling: Array
    present: Array
    running: Array
    duty: Array
    load: Array


@dataclass(frozen=True)
class Heat:
    """Temperatures in Cel, each (trains,) or (T, trains)."""

    oil: Array
    cold_air: Array
    stator: Array
    rotor: Array
    top_oil: Array
    hot_spot: Array


def observe(*, days: Array, severity: Array, fouling: Array, present: Array, demand: Array) -> Snapshot:
    """The plant at `days` (T,): a train stands still in its overhaul, when a part of it is missing, or without a
    pump."""
    missing = 1.0 - present
    stopped = np.maximum(in_planned_outage(days), (missing * _STOPS_TRAIN).max(axis=-1))
    pumps = np.stack([1.0 - missing[..., cols].max(axis=-1) for cols in _PUMP_COLUMNS], axis=-1)
    both = pumps.sum(axis=-1)
    running = np.where(both == 0, 0.0, 1.0 - stopped)
    duty = pumps * np.where(both < 2, DUTY_ALONE, DUTY_BOTH)[..., None] * running[..., None]
    return Snapshot(days, severity, fouling, present, running, duty, demand * running)


def temperatures(ambient: Array | float, water: Array | float, seen: Snapshot) -> Heat:
    """Temperatures that follow from load, outside and fouling; arrays of `seen` may carry a leading time axis.

    Heat grows with the square of the load (copper losses, IEC 60034-1); what is cooled by water rises with the water,
    with a fouled cooler and with less flow from worn pumps.
    """
    s, load = seen.severity, seen.load
    fouled = seen.fouling[..., _COL["GEN-COO"]]
    worn = s[..., [_COL[f"{pump}-IMP"] for pump in PUMPS]]
    flow = (seen.duty * (1.0 - 0.28 * worn)).sum(axis=-1) / (2 * DUTY_BOTH)
    poor = np.clip(1.0 - flow, 0.0, 1.0) * (load > 0)
    oil = water + 30.0 + 17.0 * load + 5.0 * s[..., _COL["GBX-FIL"]] ** 2 + 10.0 * poor
    cold_air = water + 7.0 + 8.0 * load + 16.0 * fouled * load**2 + 12.0 * poor
    stator = cold_air + 86.0 * load**2
    rotor = cold_air + 80.0 * load**2
    top_oil = ambient + 14.0 + 40.0 * load**2
    return Heat(oil, cold_air, stator, rotor, np.asarray(top_oil), np.asarray(top_oil + 26.0 * load**1.6))


def npsh_available(water: Array | float, strainer: Array, duty: Array) -> Array:
    """Net positive suction head in metres: 9.2 m less vapour pressure of the water and the loss in the strainer."""
    vapour = 0.0623 * np.exp(0.0645 * np.asarray(water))
    return np.asarray(9.2 - vapour - 2.2 * duty**2 * strainer**2)


def bearing_loads(seen: Snapshot) -> Array:
    """Equivalent dynamic load P in kN at every position (0 where there is no bearing), shape (trains, positions).

    What is wrong next door is carried by the bearing: unbalance of fouled blades, a worn coupling, a pitted gear, an
    eroded impeller.
    """
    s = seen.severity
    load = np.zeros_like(s)
    share = (0.35 + 0.65 * seen.load / 0.8)[..., None]
    trains = _FAM["bearing"]
    load[..., trains] = NOMINAL_KN[trains] * share
    fouled = seen.fouling[..., _COL["TUR-CBL"]]
    for tag, extra in (
        ("TUR-BDE", 0.20 * fouled + 0.10 * s[..., _COL["TUR-NOZ"]]),
        ("TUR-BNE", 0.25 * fouled),
        ("GBX-BIN", 0.25 * s[..., _COL["GBX-GHS"]]),
        ("GBX-BOU", 0.25 * s[..., _COL["GBX-GLS"]] + 0.30 * s[..., _COL["GEN-CPL"]] ** 2),
        ("GEN-BDE", 0.30 * s[..., _COL["GEN-CPL"]] ** 2),
    ):
        load[..., _COL[tag]] *= 1.0 + extra
    for pump, name in enumerate(PUMPS):
        column = _COL[f"{name}-BRG"]
        load[..., column] = (
            NOMINAL_KN[column] * seen.duty[..., pump] / DUTY_BOTH * (1.0 + 0.35 * s[..., _COL[f"{name}-IMP"]])
        )
    return load


NOMINAL_KN = np.zeros(len(POSITIONS))
for _tag, _kn in {
    "TUR-BDE": 21.0, "TUR-BNE": 19.5, "GBX-BIN": 21.5, "GBX-BOU": 21.0, "GEN-BDE": 19.5, "GEN-BNE": 18.5,
    "CPA-BRG": 16.9, "CPB-BRG": 16.9,
}.items():  # fmt: skip
    NOMINAL_KN[_COL[_tag]] = _kn
_PUMP_COLUMNS = [[c for c, p in enumerate(POSITIONS) if p.product == pump] for pump in PUMPS]
_STOPS_TRAIN = np.asarray([0.0 if p.product in PUMPS else 1.0 for p in POSITIONS])
