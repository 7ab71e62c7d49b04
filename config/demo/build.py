"""How each item was made. The record holds what the maker knows; some of it changes what the item can bear."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

# Cutter C7 leaves wavy flanks and raceways: less load capacity, whose cube (bearing) or sixth power (gear) is life.
CUTTER_CAPACITY: Final = {"C3": 1.0, "C5": 1.02, "C7": 0.84}
SUPPLIER_CAPACITY: Final = {"Adler": 1.0, "Borgstahl": 1.03, "Ostmark": 0.88}
_HARDENED = frozenset({"bearing", "pump_bearing", "gear"})
_WINDINGS = frozenset({"stator", "rotor", "transformer_winding"})
# Weibull slopes: 10/9 to 3 are reported for rolling bearings (ISO 281 assumes 1.5); wear-out parts scatter less.
_WEIBULL_SLOPE: Final = {"bearing": 2.2, "pump_bearing": 2.2, "gear": 3.0}
_WEAR_SCATTER: Final = 0.18


@dataclass(frozen=True)
class Build:
    """One item as made: `capacity` scales the stress it bears, `endurance` its life at that stress, `limit` ends it."""

    capacity: float
    endurance: float
    limit: float
    record: dict[str, Any] = field(hash=False)


def build_item(*, seed: int, tag: str, number: int, family: str) -> Build:
    """The `number`-th item at position `tag`; the same arguments give the same item."""
    rng = np.random.default_rng([seed, zlib.crc32(tag.encode()), number])
    supplier = str(rng.choice(list(SUPPLIER_CAPACITY), p=[0.5, 0.3, 0.2]))
    capacity = SUPPLIER_CAPACITY[supplier]
    record: dict[str, Any] = {"supplier": supplier, "batch": f"B{int(rng.integers(100, 180))}"}
    quality = float(np.clip(rng.standard_normal(), -2, 2))
    if family in _HARDENED:
        cutter = str(rng.choice(list(CUTTER_CAPACITY), p=[0.4, 0.35, 0.25]))
        capacity = CUTTER_CAPACITY[cutter] * (1.0 + 0.02 * quality)
        waviness = 0.35 + 0.45 * (cutter == "C7") + 0.04 * float(rng.standard_normal())
        record |= {"cutter": cutter, "hardness_HRC": round(60.5 + 0.8 * quality, 1), "waviness_um": round(waviness, 2)}
    elif family in _WINDINGS:
        capacity *= 1.0 + 0.04 * quality
        record |= {"void_content_pct": round(1.6 - 0.4 * quality, 2), "impregnation_cycles": int(rng.integers(2, 4))}
    else:
        capacity *= 1.0 + 0.04 * quality
        record |= {"hardness_HV": round(310 + 18 * quality), "acceptance_deviation_pct": round(abs(1.2 - quality), 2)}
    return Build(capacity, _endurance(rng, family), float(np.clip(1 + 0.04 * rng.standard_normal(), 0.9, 1.1)), record)


def _endurance(rng: np.random.Generator, family: str) -> float:
    """Life of this item in units of the nominal: L10 for what fatigues (Weibull), else the median (log-normal)."""
    slope = _WEIBULL_SLOPE.get(family)
    if slope is None:
        return float(np.exp(_WEAR_SCATTER * np.clip(rng.standard_normal(), -2.5, 2.5)))
    lowest = 0.05  # nobody delivers an item that fails in its running-in
    return float((np.log(1 / (1 - rng.uniform(lowest, 0.97))) / -np.log(0.9)) ** (1 / slope))
