"""How parts wear: published laws as pure functions of numpy arrays.

Rates are shares of a life per day at the given stress. Every function broadcasts. Nothing here knows
the plant, a clock or a random number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.int32]
HOURS_PER_DAY = 24.0


def bearing_life_hours(
    load_kn: Array, capacity_kn: Array, speed_rpm: Array | float, factor: Array | float = 1.0
) -> Array:
    """Life in hours that 90 % of ball bearings reach: L10h = a_iso * (C / P)^3 * 10^6 / (60 n).

    Source: Lundberg and Palmgren (1947); ISO 281:2007, clauses 5 to 9. `factor` is a_iso (lubrication, contamination).
    """
    ratio = capacity_kn / np.maximum(load_kn, 1e-9)
    return np.asarray(factor * ratio**3 * 1e6 / (60.0 * speed_rpm))


def lubrication_factor(temperature: Array, contamination: Array | float = 0.0) -> Array:
    """a_iso of an oil that thins with temperature (Cel) and is dirty from 0 (clean) to 1 (filter in by-pass).

    The viscosity ratio kappa falls by 3 % a kelvin above 65 Cel (Walther's line around its middle, ISO 281 figure 3
    read as 0.15 + 0.85 kappa up to kappa 1.6); a blocked filter costs half of what is left (ISO 281 clause 9.3.3.2).
    """
    kappa = np.clip(np.exp(-0.03 * (temperature - 65.0)), 0.05, 1.6)
    return np.asarray((0.15 + 0.85 * kappa) * (1.0 - 0.5 * np.clip(contamination, 0.0, 1.0)))


def spall_growth(spall: Array, load_ratio: Array, days_to_e_fold: float, exponent: float = 3.0) -> Array:
    """Growth of a spall per day, in shares of its critical size: da/dt = a * load^exponent / tau.

    Source: Paris and Erdogan (1963), da/dN = C (dK)^m with dK proportional to load * sqrt(a); with m = 2 the growth
    of the size is exponential, as measured on bearings by Kotzalas and Harris (2001).
    """
    return np.asarray(spall * load_ratio**exponent / days_to_e_fold)


def pitting_rate(load_ratio: Array, capacity: Array, life_days: float, exponent: float = 6.0) -> Array:
    """Share of a gear's pitting life used per day: (load / capacity)^exponent / life (ISO 6336-2, S-N line)."""
    return np.asarray((load_ratio / capacity) ** exponent / life_days)


def ageing_factor(temperature: Array, reference: float, halving: float) -> Array:
    """Relative rate of insulation ageing: 2^((T - reference) / halving).

    Source: Montsinger (1930), life halves every 8 to 10 K; IEC 60076-7 clause 8.2 uses 6 K around 98 Cel for paper.
    """
    return np.asarray(np.exp2((temperature - reference) / halving))


def archard_rate(pressure: Array | float, sliding: Array, hardness: Array, life_days: float) -> Array:
    """Share of the wear depth used per day: k * p * v / H, scaled so that 1, 1, 1 lasts `life_days` (Archard 1953)."""
    return np.asarray(pressure * sliding / hardness / life_days)


def cavitation_rate(npsh_available: Array, npsh_required: Array, duty: Array, life_days: float) -> Array:
    """Share of an impeller used per day by cavitation erosion.

    Erosion grows with the missing margin NPSHr / NPSHa to about the third power and with flow velocity to the fifth
    (Guelich, Centrifugal Pumps, 3rd ed., section 6.6; the velocity exponent is quoted there between 5 and 6).
    """
    margin = npsh_required / np.maximum(npsh_available, 0.5)
    return np.asarray((0.15 + margin**3) * duty**5 / life_days)


def clogging_rate(dirt: Array, flow: Array, capacity: Array, life_days: float) -> Array:
    """Share of a filter's dirt-holding capacity used per day: concentration * flow / capacity (ISO 16889)."""
    return np.asarray(dirt * flow / capacity / life_days)


def filter_pressure(flow: Array, clogged: Array, clean: Array | float) -> Array:
    """Differential pressure of a filter, as `clean`: clean * flow^1.5 * (1 + 0.9 s / (1.12 - s)), s the clogged share.

    Pores close one after the other, so resistance follows the free area (standard blocking, Hermia 1982).
    """
    share = np.clip(clogged, 0.0, 1.05)
    return np.asarray(clean * np.maximum(flow, 0.0) ** 1.5 * (1.0 + 0.9 * share / (1.12 - share)))


def fouling_rate(fouled: Array, dirt: Array, days: float) -> Array:
    """Deposit growth per day towards its asymptote 1: dirt * (1 - f) / days (Kern and Seaton 1959)."""
    return np.asarray(dirt * (1.0 - fouled) / days)


def fatigue_rate(torque_ratio: Array, misalignment: Array, life_days: float) -> Array:
    """Share of a coupling's life per day: torque^5 and the cube of misalignment (Basquin 1910, steel membranes)."""
    return np.asarray(torque_ratio**5 * misalignment**3 / life_days)


def leak_flow(clearance: Array, pressure: Array | float, clean: float) -> Array:
    """Leakage through a gap: cube of the clearance, linear in pressure (Poiseuille flow between plates), as `clean`."""
    return np.asarray(clean * pressure * clearance**3)
