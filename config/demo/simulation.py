"""The plant ageing step by step: hidden damage of every item, driven by load, temperature, dirt and its neighbours.

State arrays have the shape (trains, positions). A part fails when its damage reaches the limit of the item that is
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from config.demo import degradation as law
from config.demo.build import Build, build_item
from config.demo.degradation import Array
from config.demo.exposure import (
    DUTY_BOTH,
    NOMINAL_KN,
    Heat,
    Snapshot,
    bearing_loads,
    npsh_available,
    observe,
    temperatures,
)
from config.demo.operation import COMMISSIONED, Operation, in_planned_outage
from config.demo.plant import FAMILIES, LAYOUT, POSITIONS, PUMPS, TRAINS

STEP_DAYS: Final = 0.5
_AVERAGED: Final = 3  # instants of outside conditions that a step averages
_BLOCK: Final = 256
_COL = LAYOUT.column
_FAM = LAYOUT.columns
_LIFE = {code: family.life for code, family in FAMILIES.items()}
_FATIGUE = [*_FAM["bearing"], *_FAM["pump_bearing"], *_FAM["gear"]]
_FIRST_SPALL: Final = 0.004
_SPALL_DAYS = np.asarray([{"bearing": 17.0, "pump_bearing": 11.0, "gear": 26.0}[POSITIONS[c].family] for c in _FATIGUE])
_IS_GEAR = np.asarray([POSITIONS[c].family == "gear" for c in _FATIGUE])
_SEAL_PRESSURE = np.asarray([1.0, 0.85, 1.35, 1.35])
_SEAL_NEIGHBOUR = [_COL["TUR-BDE"], _COL["GBX-BOU"], _COL["CPA-BRG"], _COL["CPB-BRG"]]
# Taps are changed by every swing of the load, and the second unit swings.
_TAP_SWINGS = np.asarray([[0.95], [1.3]])
# What is cleaned when it is fouled by more than a share: column, share, hours.
_CLEANING = ((_COL["TUR-CBL"], 0.55, 5.0), (_COL["GEN-COO"], 0.62, 8.0))
# What the yearly overhaul replaces before it fails, from which damage on.
_OVERHAULED = (("brushes", 0.5), ("filter", 0.6), ("seal", 0.8), ("nozzles", 0.75), ("impeller", 0.85))


@dataclass(frozen=True)
class Stint:
    """An item at a position: `number` counts the items of that position, times in days, an open end is None."""

    train: int
    column: int
    number: int
    start: float
    end: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Happening:
    """A failure, preventive replacement or cleaning (`repair`) of an item, times in days."""

    train: int
    column: int
    number: int
    kind: str
    mode: str
    start: float
    end: float


@dataclass(frozen=True)
class _Outside:
    """Conditions averaged over one step."""

    ambient: float
    water: float
    dust: float
    debris: float
    demand: Array


class Simulation:
    """Advances the plant in half days from its commissioning; the same seed always tells the same story."""

    def __init__(self, seed: int) -> None:
        self.operation = Operation(seed)
        self.happenings: list[Happening] = []
        self.seed = seed
        self._ended: list[Stint] = []
        shape = (len(TRAINS), len(POSITIONS))
        self._wear, self._spall, self._fouling = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._number = np.zeros(shape, dtype=int)
        self._since = np.full(shape, COMMISSIONED)
        self._capacity, self._endurance, self._limit = np.ones(shape), np.ones(shape), np.ones(shape)
        self._overhaul = np.zeros(len(TRAINS))
        for train, column in np.ndindex(shape):
            self._fit(train, column)
        self._trace = [(self._severity(), self._fouling.copy())]

    @property
    def day(self) -> float:
        """Days since the demo was loaded, negative for its history."""
        return COMMISSIONED + (len(self._trace) - 1) * STEP_DAYS

    def run(self, *, until: float) -> None:
        """Advance to the first step at or after `until` (days)."""
        while self.day < until - 1e-9:
            self._advance()

    def stints(self) -> list[Stint]:
        """All so far, the running ones with an open end (a part on its way back starts in the future)."""
        running = [
            Stint(t, c, int(self._number[t, c]), float(self._since[t, c])) for t, c in np.ndindex(self._number.shape)
        ]
        return self._ended + running

    def snapshot(self, days: Array) -> Snapshot:
        """What can be seen at `days` (T,), each at most the day reached; damage is interpolated between steps.

        Where an item was replaced or cleaned within a step, its last damage holds until the end of the step.
        """
        days = np.asarray(days, dtype=float)
        place = (days - COMMISSIONED) / STEP_DAYS
        left = np.clip(np.floor(place).astype(int), 0, max(len(self._trace) - 2, 0))
        ramp = np.clip(place - left, 0.0, 1.0)[:, None, None]
        severity, fouling = (self._between(i, left, ramp) for i in (0, 1))
        present = _presence(self.stints(), days)
        demand = self.operation.at(days).demand
        return observe(days=days, severity=severity, fouling=fouling, present=present, demand=demand)

    def _between(self, which: int, left: Array, ramp: Array) -> Array:
        first = int(left.min())
        states = np.stack([state[which] for state in self._trace[first : int(left.max()) + 2]])
        before = states[left - first]
        after = states[np.minimum(left - first + 1, len(states) - 1)]
        rise = np.where(after < before - 1e-3, ramp >= 1.0, ramp)
        return np.asarray(before + rise * (after - before))

    def _advance(self) -> None:
        outside, day = self._outside(), self.day
        present = (self._since <= day).astype(float)
        severity, fouling = self._trace[-1]
        seen = observe(days=np.asarray(day), severity=severity, fouling=fouling, present=present, demand=outside.demand)
        self._wear_parts(outside, seen)
        self._trace.append((severity, fouling))  # moves the clock; the state at its end follows
        self._overhaul_trains()
        self._clean()
        self._fail()
        self._trace[-1] = (self._severity(), self._fouling.copy())

    def _outside(self) -> _Outside:
        step = len(self._trace) - 1
        if step % _BLOCK == 0:
            days = self.day + np.arange(_BLOCK * _AVERAGED) * STEP_DAYS / _AVERAGED
            c = self.operation.at(days)
            columns = np.column_stack([c.ambient, c.water, c.dust, c.debris, c.demand])
            self._means = columns.reshape(_BLOCK, _AVERAGED, -1).mean(axis=1)
        ambient, water, dust, debris, *demand = self._means[step % _BLOCK]
        return _Outside(ambient, water, dust, debris, np.asarray(demand))

    def _severity(self) -> Array:
        """Visible damage of each item, 0 as new to about 1 at its end; a spall shows by the root of its area."""
        severity = self._wear.copy()
        spalled = np.sqrt(np.clip(self._spall[:, _FATIGUE], 0.0, 1.3))
        severity[:, _FATIGUE] = 0.15 * np.minimum(self._wear[:, _FATIGUE], 1.0) + 0.85 * spalled
        return severity

    def _fit(self, train: int, column: int) -> None:
        """Put the next item to the position."""
        self._number[train, column] += 1
        build = item_build(seed=self.seed, train=train, column=column, number=int(self._number[train, column]))
        self._capacity[train, column] = build.capacity
        self._endurance[train, column] = build.endurance
        self._limit[train, column] = build.limit
        self._wear[train, column] = self._spall[train, column] = self._fouling[train, column] = 0.0

    def _use(self, columns: Sequence[int], seen: Snapshot, rate: Array) -> None:
        """Add a daily `rate` of wear to the items that are there."""
        self._wear[:, columns] += seen.present[:, columns] * rate * STEP_DAYS / self._endurance[:, columns]

    def _wear_parts(self, outside: _Outside, seen: Snapshot) -> None:
        heat = temperatures(outside.ambient, outside.water, seen)
        loads = bearing_loads(seen)
        self._wear_bearings(seen, heat, loads)
        self._wear_windings(seen, heat)
        self._wear_wetted(outside, seen, heat)
        self._wear_driven(seen)
        self._grow_spalls(seen, loads)
        self._foul(outside, seen)

    def _wear_bearings(self, seen: Snapshot, heat: Heat, loads: Array) -> None:
        trains, pumps = _FAM["bearing"], _FAM["pump_bearing"]
        factor = law.lubrication_factor(heat.oil[:, None], seen.severity[:, [_COL["GBX-FIL"]]] ** 3)
        rating = FAMILIES["bearing"].parameters["dynamic_load_rating_kN"] * self._capacity[:, trains]
        life = law.bearing_life_hours(loads[:, trains], rating, 3000.0, factor)
        self._use(trains, seen, seen.running[:, None] * law.HOURS_PER_DAY / life)
        rating = FAMILIES["pump_bearing"].parameters["dynamic_load_rating_kN"] * self._capacity[:, pumps]
        life = law.bearing_life_hours(loads[:, pumps], rating, 1480.0)
        self._use(pumps, seen, (seen.duty > 0) * law.HOURS_PER_DAY / life)

    def _wear_windings(self, seen: Snapshot, heat: Heat) -> None:
        moist = 1.0 + 1.5 * seen.severity[:, _COL["TRF-OIL"]]
        for code, temperature, wet in (
            ("stator", heat.stator, 1.0),
            ("rotor", heat.rotor, 1.0),
            ("transformer_winding", heat.hot_spot, moist),
        ):
            p = FAMILIES[code].parameters
            ageing = wet * law.ageing_factor(temperature, p["reference_temperature_Cel"], p["halving_K"])
            self._use(_FAM[code], seen, (seen.running * ageing)[:, None] / _LIFE[code] / self._capacity[:, _FAM[code]])
        oil = seen.running * law.ageing_factor(heat.top_oil, 62.0, 10.0)
        self._use(_FAM["oil"], seen, oil[:, None] / _LIFE["oil"])

    def _wear_wetted(self, outside: _Outside, seen: Snapshot, heat: Heat) -> None:
        """Seals, filters and impellers: what dirt, heat and lack of pressure wear away."""
        turning = seen.duty > 0
        sealed = np.column_stack([seen.running, seen.running, turning])
        hot = np.column_stack([heat.oil, heat.oil, heat.oil - 14, heat.oil - 14])
        shaken = 1.0 + 1.4 * seen.severity[:, _SEAL_NEIGHBOUR] ** 2
        gritty = 0.6 + 1.1 * seen.severity[:, _FAM["seal"]]  # what leaks carries grit between the faces
        sliding = sealed * np.exp2((hot - 62.0) / 25.0) * shaken * gritty
        seals, filters = _FAM["seal"], _FAM["filter"]
        self._use(seals, seen, law.archard_rate(_SEAL_PRESSURE, sliding, self._capacity[:, seals], _LIFE["seal"]))
        worn = seen.severity[:, _FATIGUE].sum(axis=1) / len(_FATIGUE)
        dirt = np.column_stack(
            [np.full(2, 0.8 + 0.2 * outside.dust), 0.6 + 2.0 * worn, np.full((2, 2), outside.debris)]
        )
        flow = np.column_stack([seen.load / 0.8, seen.running, seen.duty / DUTY_BOTH])
        self._use(filters, seen, law.clogging_rate(dirt, flow, self._capacity[:, filters], _LIFE["filter"]))
        wheels, strainers = _FAM["impeller"], [_COL[f"{name}-STR"] for name in PUMPS]
        available = npsh_available(outside.water, seen.severity[:, strainers], seen.duty)
        duty = seen.duty / DUTY_BOTH
        rate = law.cavitation_rate(available, 4.6 * duty**2, duty, _LIFE["impeller"] * 0.27)
        self._use(wheels, seen, rate / self._capacity[:, wheels])

    def _wear_driven(self, seen: Snapshot) -> None:
        """Gears, coupling, brushes and all that follows running time and load."""
        run, load, s = seen.running[:, None], seen.load[:, None] / 0.8, seen.severity
        gears = _FAM["gear"]
        self._use(gears, seen, run * law.pitting_rate(load, self._capacity[:, gears], 0.42 * _LIFE["gear"]))
        tilt = 1.0 + 0.3 * s[:, [_COL["GBX-BOU"]]] + 0.3 * s[:, [_COL["GEN-BDE"]]]
        off_design = np.abs(seen.load[:, None] - 0.85) / 0.2
        dirty = seen.severity[:, [_COL["TUR-FIL"]]] ** 2
        for code, rate in (
            ("coupling", law.fatigue_rate(load, tilt, 0.72)),
            ("brushes", run * (0.3 + 0.7 * load**2)),
            ("nozzles", run * (0.6 + 0.5 * off_design) * (1.0 + 0.4 * dirty)),
            ("tap_changer", run * _TAP_SWINGS),
            ("blades", run),
            ("cooler", run),
            ("bushing", run),
        ):
            self._use(_FAM[code], seen, rate / _LIFE[code] / self._capacity[:, _FAM[code]])

    def _grow_spalls(self, seen: Snapshot, loads: Array) -> None:
        spall = np.where(self._wear[:, _FATIGUE] >= 1.0, np.maximum(self._spall[:, _FATIGUE], _FIRST_SPALL), 0.0)
        turning = np.where(
            _IS_GEAR, seen.load[:, None] / 0.8, loads[:, _FATIGUE] / np.maximum(NOMINAL_KN[_FATIGUE], 1.0)
        )
        running = np.where(_IS_PUMP, (seen.duty > 0)[:, _PUMP_OF], seen.running[:, None])
        growth = law.spall_growth(spall, turning / self._capacity[:, _FATIGUE], 1.0) / _SPALL_DAYS
        self._spall[:, _FATIGUE] = spall + seen.present[:, _FATIGUE] * running * growth * STEP_DAYS

    def _foul(self, outside: _Outside, seen: Snapshot) -> None:
        blades, cooler = _COL["TUR-CBL"], _COL["GEN-COO"]
        dust = np.asarray(outside.dust)
        warm = np.asarray(outside.debris * np.exp2((outside.water - 14.0) / 10.0))
        for column, dirt, days in ((blades, dust, 120.0), (cooler, warm, 190.0)):
            growth = seen.running * law.fouling_rate(self._fouling[:, column], dirt, days)
            self._fouling[:, column] += growth * STEP_DAYS

    def _clean(self) -> None:
        """Wash the compressor and brush the cooler when they are dirty enough: damage that can be taken back."""
        for column, share, hours in _CLEANING:
            for train in np.flatnonzero(self._fouling[:, column] > share):
                self._fouling[train, column] = 0.04
                self._note(
                    (int(train), column), kind="repair", mode="fouling", start=self.day, end=self.day + hours / 24
                )

    def _overhaul_trains(self) -> None:
        """In the yearly outage brushes, dirty filters and well-worn seals are replaced before they fail."""
        stopped = in_planned_outage(self.day)
        begins = (stopped > 0) & (self._overhaul == 0)
        self._overhaul = stopped
        for train in np.flatnonzero(begins):
            for family, share in _OVERHAULED:
                for column in _FAM[family]:
                    if self._wear[train, column] > share and self._since[train, column] <= self.day:
                        self._replace((int(train), column), kind="preventive", mode="", at=self.day, hours=96.0)

    def _fail(self) -> None:
        damage = self._wear.copy()
        damage[:, _FATIGUE] = self._spall[:, _FATIGUE]
        for train, column in np.argwhere((damage >= self._limit) & (self._since <= self.day)):
            family = FAMILIES[POSITIONS[column].family]
            rng = np.random.default_rng([self.seed, 11, train, column, self._number[train, column]])
            mode = family.modes[int(rng.uniform() > 0.85) % len(family.modes)]
            hours = family.downtime * float(np.exp(0.3 * rng.standard_normal()))
            at = self.day - float(rng.uniform(0.05, 0.9)) * STEP_DAYS
            self._replace((int(train), int(column)), kind="failure", mode=mode, at=at, hours=hours)

    def _replace(self, place: tuple[int, int], *, kind: str, mode: str, at: float, hours: float) -> None:
        """Take the item out at `at`; the next one runs `hours` later, but never before the step ends."""
        back = max(at + hours / 24, self.day)
        self._note(place, kind=kind, mode=mode, start=at, end=back)
        train, column = place
        since, number = float(self._since[place]), int(self._number[place])
        self._ended.append(Stint(train, column, number, since, at, mode or "overhaul"))
        self._since[place] = back
        self._fit(train, column)

    def _note(self, place: tuple[int, int], *, kind: str, mode: str, start: float, end: float) -> None:
        self.happenings.append(Happening(*place, int(self._number[place]), kind, mode, start, end))


_IS_PUMP = np.asarray([POSITIONS[c].product in PUMPS for c in _FATIGUE])
_PUMP_OF = [PUMPS.index(POSITIONS[c].product) if POSITIONS[c].product in PUMPS else 0 for c in _FATIGUE]


def item_build(*, seed: int, train: int, column: int, number: int) -> Build:
    """How the `number`-th item at a position was made."""
    position = POSITIONS[column]
    return build_item(seed=seed, tag=f"{TRAINS[train]}-{position.tag}", number=number, family=position.family)


def _presence(stints: Sequence[Stint], days: Array) -> Array:
    """1.0 where an item sits at `days` (T, ascending), shape (T, trains, positions)."""
    present = np.zeros((len(days), len(TRAINS), len(POSITIONS)))
    for stint in stints:
        first = np.searchsorted(days, stint.start, side="left")
        last = len(days) if stint.end is None else np.searchsorted(days, stint.end, side="left")
        present[first:last, stint.train, stint.column] = 1.0
    return present
