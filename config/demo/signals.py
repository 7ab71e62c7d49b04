"""What the sensors show: the symptoms of hidden damage, with load, weather, drift, noise and the step of the converter.

Values have the shape (T, sensors) in the order of `LAYOUT.sensors`. Every symptom is a function of the state only; the
same functions make two years of history and the readings of one second.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from config.demo import degradation as law
from config.demo.degradation import Array, Mask
from config.demo.exposure import DUTY_BOTH, NOMINAL_KN, Heat, Snapshot, bearing_loads, npsh_available, temperatures
from config.demo.operation import RATED_MW, Conditions, Wander
from config.demo.plant import LAYOUT, PUMPS, TRAINS
from config.demo.simulation import Simulation

_COL = LAYOUT.column
_FAM = LAYOUT.columns
_SENSORS = len(LAYOUT.sensors)
_LOW = np.asarray([place.spec.low for place in LAYOUT.sensors])
_HIGH = np.asarray([place.spec.high for place in LAYOUT.sensors])
_STEP = np.asarray([place.spec.resolution for place in LAYOUT.sensors])
_DIGITS: Final = 4


class Instruments:
    """The sensors of one plant: their tolerances and slow drift are drawn once from the seed."""

    def __init__(self, simulation: Simulation, seed: int) -> None:
        self._simulation = simulation
        self._drift = Wander(seed=seed, channel=3, width=_SENSORS, spacing=2.5)
        self._gain = np.random.default_rng([seed, 4]).normal(1.0, 1.0, _SENSORS).clip(-1, 3) - 1.0

    def read(self, days: Array, rng: np.random.Generator) -> tuple[Array, Mask]:
        """Values at `days` (T, ascending) and whether a sensor was there to give one, both (T, sensors).

        The sensors of a part that was taken out are silent until the next one runs; a machine at rest is
        still measured.
        """
        seen = self._simulation.snapshot(days)
        panel = _Panel(len(seen.days))
        _show(panel, seen, self._simulation.operation.at(seen.days))
        drift, white = self._drift(days), rng.standard_normal((len(seen.days), _SENSORS))
        values = panel.clean * (1.0 + panel.tolerance * self._gain)
        values += panel.awake * panel.noise * (0.8 * white + 0.6 * drift)
        values = np.clip(np.round(values / _STEP) * _STEP, _LOW, _HIGH)
        return np.round(values, _DIGITS), panel.there


class _Panel:
    """Clean values, noise in the unit of the sensor, tolerance as share of the value, who is awake and who is there."""

    def __init__(self, count: int) -> None:
        self.clean = np.zeros((count, _SENSORS))
        self.awake = np.ones((count, _SENSORS))
        self.there = np.ones((count, _SENSORS), dtype=bool)
        self.noise = np.zeros(_SENSORS)
        self.tolerance = np.zeros(_SENSORS)

    def put(self, at: list[int], values: Array, noise: float, tolerance: float = 0.0) -> None:
        """Values (T, len(at)) of the sensors numbered `at`."""
        self.clean[:, at] = values
        self.noise[at] = noise
        self.tolerance[at] = tolerance

    def part(self, family: str, name: str, values: Array, noise: float, tolerance: float = 0.0) -> None:
        """Values (T, trains, positions of the family)."""
        at = np.ravel(LAYOUT.indices(family, name)).tolist()
        self.put(
            at,
            np.broadcast_to(values, (len(self.clean), 2, len(at) // 2)).reshape(len(self.clean), -1),
            noise,
            tolerance,
        )

    def product(self, suffix: str, name: str, values: Array, noise: float) -> None:
        """Values (T, trains) of a sensor at every train (`suffix` empty) or at a product of it."""
        self.put([LAYOUT.sensor_index[train + suffix, name] for train in TRAINS], values, noise)


def _show(panel: _Panel, seen: Snapshot, outside: Conditions) -> None:
    heat = temperatures(outside.ambient[:, None], outside.water[:, None], seen)
    _show_presence(panel, seen)
    _show_plant(panel, seen, outside)
    _show_bearings(panel, seen, outside, heat)
    _show_drive(panel, seen, outside, heat)
    _show_wetted(panel, seen, outside, heat)
    _show_turbine(panel, seen, outside)
    _show_generator(panel, seen, outside, heat)
    _show_transformer(panel, seen, outside, heat)


def _show_presence(panel: _Panel, seen: Snapshot) -> None:
    for i, place in enumerate(LAYOUT.sensors):
        if place.train is not None:
            panel.awake[:, i] = 0.12 + 0.88 * seen.running[:, place.train]
            if place.column is not None:
                panel.there[:, i] = seen.present[:, place.train, place.column] > 0


def _show_plant(panel: _Panel, seen: Snapshot, outside: Conditions) -> None:
    for i, (values, noise) in enumerate(((outside.ambient, 0.15), (outside.pressure, 0.2), (outside.humidity, 0.8))):
        panel.put([i], values[:, None], noise)
    run, load = seen.running, seen.load
    fouled = seen.fouling[..., _COL["TUR-CBL"]]
    efficiency = 28.5 + 9.5 * load - 1.6 * fouled - 0.03 * (outside.ambient[:, None] - 15)
    panel.product("", "load", RATED_MW * load, 0.5)
    panel.product("", "speed", 3000.0 * run, 1.2)
    panel.product("", "cooling_water_temperature", np.repeat(outside.water[:, None], 2, axis=1), 0.08)
    panel.product("", "grid_voltage", np.repeat(outside.voltage[:, None], 2, axis=1), 0.2)
    panel.product("", "efficiency", run * efficiency, 0.06)
    panel.product("-TUR", "fuel_flow", run * RATED_MW * load / (efficiency / 100) / 48.0, 0.04)
    panel.product("-GBX", "oil_pressure", run * (3.4 - 0.9 * seen.severity[..., _COL["GBX-FIL"]] ** 3), 0.02)
    panel.product("-GEN", "power_factor", run * (0.93 - 0.01 * (outside.voltage[:, None] - 231)), 0.003)
    panel.product("-TRF", "noise", 42 + run * (24 + 6 * load), 0.4)
    for pump, name in enumerate(PUMPS):
        duty = seen.duty[..., pump] / DUTY_BOTH
        bearing = seen.severity[..., _COL[f"{name}-BRG"]]
        panel.product(f"-{name}", "motor_current", 96 * duty**1.6 + 5 * (duty > 0) * bearing**2, 0.9)


def _show_bearings(panel: _Panel, seen: Snapshot, outside: Conditions, heat: Heat) -> None:
    loads = bearing_loads(seen)
    turning = {
        "bearing": np.repeat(seen.running[..., None], len(_FAM["bearing"]), axis=-1),
        "pump_bearing": (seen.duty > 0).astype(float),
    }
    for family, on in turning.items():
        s, load = seen.severity[..., _FAM[family]], loads[..., _FAM[family]] / NOMINAL_KN[_FAM[family]]
        warm = heat.oil[..., None] - (0.0 if family == "bearing" else 16.0)
        cold = outside.ambient[:, None, None] + 6.0
        panel.part(family, "vibration", 0.05 + on * (0.6 + 0.8 * load + 5.2 * s**2.2), 0.11, 0.10)
        panel.part(family, "envelope", 0.1 + on * (1.6 + 1.1 * load + 34.0 * s**1.8), 0.55, 0.10)
        panel.part(family, "temperature", cold + on * (warm + 5 + 9 * load + 19 * s**3 - cold), 0.7, 0.015)
        panel.part(family, "displacement", 4 + on * (22 + 13 * load + 62 * s**2.4), 1.6, 0.08)


def _show_drive(panel: _Panel, seen: Snapshot, outside: Conditions, heat: Heat) -> None:
    on, load = seen.running[..., None], seen.load[..., None]
    cold = outside.ambient[:, None, None] + 6.0
    s = seen.severity[..., _FAM["gear"]]
    panel.part("gear", "mesh_vibration", 0.05 + on * (1.5 + 2.0 * load + 8.5 * s**2), 0.20, 0.08)
    panel.part("gear", "debris", on * (14 + 240 * s**2.2) * (0.5 + 0.6 * load), 6.0)
    panel.part("gear", "oil_temperature", cold + on * (heat.oil[..., None] + 4 + 7 * s**2 - cold), 0.6)
    panel.part("gear", "backlash", 185 + 120 * s**1.5, 2.5, 0.04)
    s = seen.severity[..., _FAM["coupling"]]
    panel.part("coupling", "vibration_2x", 0.03 + on * (0.45 + 0.4 * load + 4.4 * s**2), 0.07, 0.08)
    panel.part("coupling", "torque", RATED_MW * 1e3 / (2 * np.pi * 50.0) * load, 2.5)
    panel.part("coupling", "temperature", cold + on * (15 + 12 * load + 11 * s**2), 0.8)


def _show_wetted(panel: _Panel, seen: Snapshot, outside: Conditions, heat: Heat) -> None:
    """Seals, filters and impellers."""
    pumping = (seen.duty > 0).astype(float)
    flow = np.concatenate([seen.running[..., None], seen.running[..., None], pumping], axis=-1)
    s = seen.severity[..., _FAM["seal"]]
    pressure = np.asarray([6.2, 5.9, 6.4, 6.4])
    hot = heat.oil[..., None] + np.asarray([12.0, 4.0, -14.0, -14.0])
    cold = outside.ambient[:, None, None] + 5.0
    panel.part("seal", "leakage", flow * law.leak_flow(1 + 1.9 * s, pressure / 6.0, 0.55), 0.09, 0.05)
    panel.part("seal", "temperature", cold + flow * (hot + 9 * s**1.5 - cold), 0.8)
    panel.part("seal", "chamber_pressure", flow * pressure * (1 - 0.12 * s**2), 0.05)
    duty = seen.duty / DUTY_BOTH
    through = np.concatenate([seen.load[..., None] / 0.8, seen.running[..., None], duty], axis=-1)
    s = seen.severity[..., _FAM["filter"]]
    clean = np.asarray([11.0, 13.0, 10.0, 10.0])
    panel.part("filter", "differential_pressure", law.filter_pressure(through, s, clean), 0.12, 0.03)
    panel.part("filter", "throughput", 100 * through * (1 - 0.06 * s**3), 0.6)
    panel.noise[np.ravel(LAYOUT.indices("filter", "differential_pressure"))] = np.tile(0.05 + clean * 0.03, 2)
    strainers = seen.severity[..., [_COL[f"{name}-STR"] for name in PUMPS]]
    s = seen.severity[..., _FAM["impeller"]]
    suction = npsh_available(outside.water[:, None, None], strainers, seen.duty)
    starved = np.clip(4.6 * duty**2 / suction - 0.75, 0.0, 1.0) * pumping
    panel.part("impeller", "flow", 620 * duty * (1 - 0.20 * s) * (1 - 0.06 * strainers**3), 5.0)
    panel.part("impeller", "discharge_pressure", pumping * (5.6 - 1.0 * duty - 1.1 * s**1.2), 0.04)
    panel.part("impeller", "suction_pressure", 9.81 * suction + 22, 0.6)
    panel.part("impeller", "vibration", 0.05 + pumping * (1.2 + 2.9 * s**1.7 + 2.2 * starved), 0.12, 0.08)


def _show_turbine(panel: _Panel, seen: Snapshot, outside: Conditions) -> None:
    on, load, ambient = seen.running[..., None], seen.load[..., None], outside.ambient[:, None, None]
    fouled = seen.fouling[..., [_COL["TUR-CBL"]]]
    s = seen.severity[..., _FAM["blades"]]
    panel.part("blades", "efficiency", on * (83.5 + 4.5 * load - 4.8 * fouled - 5 * s**1.5), 0.12)
    panel.part("blades", "discharge_pressure", 1 + on * (8 + 8.2 * load) * (1 - 0.05 * fouled - 0.05 * s), 0.05)
    panel.part("blades", "discharge_temperature", ambient + on * (285 + 75 * load + 16 * fouled + 10 * s), 1.2)
    panel.part("blades", "tip_vibration", on * (85 + 30 * load + 28 * fouled + 130 * s**2), 4.0, 0.05)
    s = seen.severity[..., _FAM["nozzles"]]
    exhaust = 430 + 118 * load + 17 * fouled + 13 * s + 0.5 * (ambient - 15)
    panel.part("nozzles", "exhaust_temperature", ambient + on * (exhaust - ambient), 1.8)
    panel.part("nozzles", "exhaust_spread", on * (8.5 + 34 * s**1.7 + 4 * (1 - load)), 0.9, 0.06)
    panel.part("nozzles", "pulsation", on * (1.1 + 0.5 * load + 3.2 * s**2), 0.09)
    panel.part("nozzles", "fuel_pressure", on * (16 + 9 * load + 4.5 * s**1.3), 0.15)


def _show_generator(panel: _Panel, seen: Snapshot, outside: Conditions, heat: Heat) -> None:
    on, load = seen.running[..., None], seen.load[..., None]
    cold = outside.ambient[:, None, None] + 7.0
    s = seen.severity[..., _FAM["stator"]]
    stator, air = heat.stator[..., None], heat.cold_air[..., None]
    for name, offset in (("temperature_u", 0.6), ("temperature_v", 1.9), ("temperature_w", -0.4)):
        panel.part("stator", name, cold + on * (stator + offset + 2 * s**2 - cold), 0.7)
    panel.part("stator", "partial_discharge", on * 170 * np.exp(3.9 * s) * (0.7 + 0.3 * load), 28.0, 0.10)
    panel.part("stator", "tan_delta", 0.75 + 2.4 * s**2, 0.03)
    s, rotor = seen.severity[..., _FAM["rotor"]], heat.rotor[..., None]
    field = on * (420 + 880 * load) * (1 + 0.05 * s**2)
    panel.part("rotor", "temperature", cold + on * (rotor + 3 * s**2 - cold), 0.9)
    panel.part("rotor", "field_current", field, 5.0)
    panel.part("rotor", "field_voltage", field * 0.21 * (1 + 0.0039 * (rotor - 75)), 1.0)
    panel.part("rotor", "flux_asymmetry", on * (0.6 + 5.5 * s**2), 0.08)
    s = seen.severity[..., _FAM["brushes"]]
    panel.part("brushes", "length", 64 - 42 * s, 0.12)
    panel.part("brushes", "current_imbalance", on * (4 + 21 * s**3), 0.8)
    panel.part("brushes", "temperature", cold + on * (22 + 24 * load + 15 * s**2), 1.0)
    panel.part("brushes", "spark_rate", on * (2 + 110 * s**4), 1.2)
    fouled = seen.fouling[..., [_COL["GEN-COO"]]]
    flow = (seen.duty * (1 - 0.2 * seen.severity[..., _FAM["impeller"]])).sum(axis=-1)[..., None] / (2 * DUTY_BOTH)
    panel.part("cooler", "cold_air_temperature", cold + on * (air - cold), 0.4)
    panel.part("cooler", "hot_air_temperature", cold + on * (air + 34 * load**2 - cold), 0.6)
    panel.part("cooler", "water_outlet_temperature", outside.water[:, None, None] + on * 8.5 * load**2, 0.2)
    panel.part("cooler", "water_flow", 240 * flow * (1 - 0.3 * fouled), 1.8)


def _show_transformer(panel: _Panel, seen: Snapshot, outside: Conditions, heat: Heat) -> None:
    load, voltage = seen.load[..., None], outside.voltage[:, None, None]
    top = heat.top_oil[..., None]
    s = seen.severity[..., _FAM["transformer_winding"]]
    panel.part("transformer_winding", "hot_spot_temperature", heat.hot_spot[..., None], 0.7)
    panel.part("transformer_winding", "current", RATED_MW * 1e3 * load / (np.sqrt(3) * voltage), 1.5)
    panel.part("transformer_winding", "hydrogen", 18 + 220 * s**2, 2.0, 0.1)
    panel.part("transformer_winding", "acetylene", 0.4 + 9 * s**3, 0.1)
    panel.part("transformer_winding", "partial_discharge", 60 * np.exp(3.4 * s), 9.0, 0.1)
    s = seen.severity[..., _FAM["oil"]]
    panel.part("oil", "top_oil_temperature", top, 0.5)
    panel.part("oil", "moisture", 7 + 22 * s + 0.08 * (top - 50), 0.4)
    panel.part("oil", "acidity", 0.03 + 0.28 * s**1.5, 0.003)
    panel.part("oil", "carbon_monoxide", 170 + 650 * s, 8.0)
    s = seen.severity[..., _FAM["tap_changer"]]
    panel.part("tap_changer", "contact_resistance", 205 + 400 * s**1.6, 7.0, 0.05)
    panel.part("tap_changer", "drive_torque", 38 + 21 * s**2, 0.8)
    panel.part("tap_changer", "oil_temperature", top - 9 + 9 * s**2, 0.7)
    panel.part("tap_changer", "switching_time", 62 + 22 * s**2, 0.6)
    s = seen.severity[..., _FAM["bushing"]]
    panel.part("bushing", "tan_delta", 0.34 + 1.2 * s**2, 0.012)
    panel.part("bushing", "capacitance", 410 * (1 + 0.06 * s**2), 0.3)
    panel.part("bushing", "leakage_current", 14.2 * voltage / 231 * (1 + 0.8 * s**2), 0.15)
