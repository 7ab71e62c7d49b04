"""What the demo plant consists of, as data: families of parts, where they sit, and what is measured at them.

Both trains are built alike, so a state of the plant is an array of shape (trains, parts of a train) and a family is a
list of columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

PLANT_TAG: Final = "RVS"
PLANT_NAME: Final = "Riverside power plant"
TRAINS: Final = ("U1", "U2")


@dataclass(frozen=True)
class SensorSpec:
    """One kind of sensor: `resolution` is the step its readings are rounded to, `low` and `high` what it can show."""

    name: str
    quantity: str
    unit: str
    low: float
    high: float
    resolution: float
    role: str = "measurement"


@dataclass(frozen=True)
class Family:
    """Parts made to one design. `life` and `horizon` in days, `downtime` of a failure in hours."""

    code: str
    type: str
    name: str
    design: str
    maker: str
    life: float
    horizon: float
    modes: tuple[str, ...]
    downtime: float
    sensors: tuple[SensorSpec, ...]
    parameters: dict[str, float] = field(default_factory=dict)
    criticality: int = 3


@dataclass(frozen=True)
class Position:
    """A place for a part in every train; `tag` is relative to the train."""

    tag: str
    name: str
    family: str
    product: str


def _temperature(name: str = "temperature", high: float = 200.0) -> SensorSpec:
    return SensorSpec(name, "temperature", "Cel", -40.0, high, 0.1)


_VIBRATION = SensorSpec("vibration", "vibration velocity", "mm/s", 0.0, 60.0, 0.01)
_BEARING = (
    _VIBRATION,
    SensorSpec("envelope", "acceleration envelope", "m/s2", 0.0, 400.0, 0.02),
    _temperature(),
    SensorSpec("displacement", "shaft displacement", "um", 0.0, 600.0, 0.5),
)
_FILTER = (
    SensorSpec("differential_pressure", "differential pressure", "kPa", 0.0, 600.0, 0.1),
    SensorSpec("throughput", "relative flow", "%", 0.0, 150.0, 0.1),
)

FAMILIES: Final[dict[str, Family]] = {
    f.code: f
    for f in (
        Family(
            "bearing", "rolling-bearing", "Rolling bearing 6324", "RB-6324", "Nordlager", 620, 90,
            ("spalling", "lubrication"), 42, _BEARING,
            {"dynamic_load_rating_kN": 208.0, "life_exponent": 3.0}, 5,
        ),
        Family(
            "pump_bearing", "rolling-bearing", "Rolling bearing 6316", "RB-6316", "Nordlager", 340, 60,
            ("spalling", "lubrication"), 14, _BEARING,
            {"dynamic_load_rating_kN": 124.0, "life_exponent": 3.0}, 3,
        ),
        Family(
            "gear", "gear-pair", "Helical gear pair", "GP-14", "Zahnwerk Mitte", 1100, 180, ("pitting", "fracture"),
            120,
            (
                SensorSpec("mesh_vibration", "vibration velocity", "mm/s", 0.0, 80.0, 0.01),
                SensorSpec("debris", "particles in oil", "/h", 0.0, 5000.0, 1.0),
                _temperature("oil_temperature"),
                SensorSpec("backlash", "backlash", "um", 0.0, 2000.0, 1.0),
            ),
            {"contact_exponent": 6.0}, 5,
        ),
        Family(
            "seal", "mechanical-seal", "Cartridge seal", "CS-80", "Dichtwerk", 420, 90, ("leakage",), 16,
            (
                SensorSpec("leakage", "leakage", "L/h", 0.0, 200.0, 0.01),
                _temperature(),
                SensorSpec("chamber_pressure", "pressure", "bar", 0.0, 40.0, 0.01),
            ),
        ),
        Family(
            "filter", "filter", "Filter cartridge", "FC-40", "Klarstrom", 300, 60, ("clogging",), 7, _FILTER
        ),
        Family(
            "impeller", "impeller", "Pump impeller", "IM-300", "Pumpenbau Sued", 340, 90, ("cavitation erosion",), 26,
            (
                SensorSpec("flow", "volume flow", "m3/h", 0.0, 2500.0, 1.0),
                SensorSpec("discharge_pressure", "pressure", "bar", 0.0, 16.0, 0.01),
                SensorSpec("suction_pressure", "pressure", "kPa", 0.0, 300.0, 0.1),
                _VIBRATION,
            ),
            {"npsh_required_m": 4.6},
        ),
        Family(
            "blades", "compressor-blading", "Compressor blading", "CB-11", "Turbinenwerk", 2600, 365, ("erosion",), 300,
            (
                SensorSpec("efficiency", "isentropic efficiency", "%", 0.0, 100.0, 0.01),
                SensorSpec("discharge_pressure", "pressure", "bar", 0.0, 30.0, 0.01),
                _temperature("discharge_temperature", 700.0),
                SensorSpec("tip_vibration", "blade tip amplitude", "um", 0.0, 800.0, 1.0),
            ),
            criticality=5,
        ),
        Family(
            "nozzles", "fuel-nozzle", "Fuel nozzle set", "FN-18", "Turbinenwerk", 460, 90, ("coking",), 30,
            (
                _temperature("exhaust_temperature", 800.0),
                SensorSpec("exhaust_spread", "temperature difference", "K", 0.0, 200.0, 0.1),
                SensorSpec("pulsation", "combustion pulsation", "kPa", 0.0, 50.0, 0.01),
                SensorSpec("fuel_pressure", "pressure", "bar", 0.0, 60.0, 0.01),
            ),
            criticality=4,
        ),
        Family(
            "stator", "winding", "Stator winding", "SW-160", "Elektrowerk", 1500, 365, ("insulation breakdown",), 360,
            (
                _temperature("temperature_u", 250.0),
                _temperature("temperature_v", 250.0),
                _temperature("temperature_w", 250.0),
                SensorSpec("partial_discharge", "apparent charge", "pC", 0.0, 100000.0, 5.0),
                SensorSpec("tan_delta", "dissipation factor", "%", 0.0, 30.0, 0.01),
            ),
            {"reference_temperature_Cel": 110.0, "halving_K": 10.0}, 5,
        ),
        Family(
            "rotor", "winding", "Rotor winding", "RW-160", "Elektrowerk", 2400, 365, ("shorted turns",), 300,
            (
                _temperature("temperature", 250.0),
                SensorSpec("field_current", "current", "A", 0.0, 2500.0, 1.0),
                SensorSpec("field_voltage", "voltage", "V", 0.0, 800.0, 0.1),
                SensorSpec("flux_asymmetry", "flux asymmetry", "%", 0.0, 50.0, 0.01),
            ),
            {"reference_temperature_Cel": 115.0, "halving_K": 10.0}, 5,
        ),
        Family(
            "brushes", "brush-gear", "Brush set", "BS-24", "Kohle & Ring", 330, 90, ("worn out",), 10,
            (
                SensorSpec("length", "brush length", "mm", 0.0, 80.0, 0.05),
                SensorSpec("current_imbalance", "current imbalance", "%", 0.0, 100.0, 0.1),
                _temperature(),
                SensorSpec("spark_rate", "sparks", "/min", 0.0, 2000.0, 1.0),
            ),
        ),
        Family(
            "cooler", "air-cooler", "Generator air cooler", "AC-9", "Waermetechnik", 3000, 365, ("tube leak",), 48,
            (
                _temperature("cold_air_temperature"),
                _temperature("hot_air_temperature"),
                _temperature("water_outlet_temperature"),
                SensorSpec("water_flow", "volume flow", "m3/h", 0.0, 800.0, 0.5),
            ),
        ),
        Family(
            "coupling", "coupling", "Diaphragm coupling", "DC-500", "Kuppler", 1100, 120, ("misalignment",), 30,
            (
                SensorSpec("vibration_2x", "vibration velocity at twice the speed", "mm/s", 0.0, 60.0, 0.01),
                SensorSpec("torque", "torque", "kN.m", 0.0, 900.0, 0.5),
                _temperature(),
            ),
            criticality=4,
        ),
        Family(
            "transformer_winding", "winding", "Transformer winding", "TW-180", "Elektrowerk", 5000, 365,
            ("insulation breakdown",), 700,
            (
                _temperature("hot_spot_temperature", 250.0),
                SensorSpec("current", "current", "A", 0.0, 2000.0, 1.0),
                SensorSpec("hydrogen", "dissolved hydrogen", "[ppm]", 0.0, 5000.0, 1.0),
                SensorSpec("acetylene", "dissolved acetylene", "[ppm]", 0.0, 1000.0, 0.1),
                SensorSpec("partial_discharge", "apparent charge", "pC", 0.0, 100000.0, 5.0),
            ),
            {"reference_temperature_Cel": 98.0, "halving_K": 6.0}, 5,
        ),
        Family(
            "oil", "insulating-oil", "Transformer oil filling", "TO-3", "Raffinol", 1600, 365, ("oxidation",), 60,
            (
                _temperature("top_oil_temperature"),
                SensorSpec("moisture", "water in oil", "[ppm]", 0.0, 200.0, 0.1),
                SensorSpec("acidity", "acid number", "mg/g", 0.0, 2.0, 0.001),
                SensorSpec("carbon_monoxide", "dissolved carbon monoxide", "[ppm]", 0.0, 5000.0, 1.0),
            ),
        ),
        Family(
            "tap_changer", "tap-changer", "On-load tap changer", "TC-27", "Schaltwerk", 900, 180, ("contact wear",), 48,
            (
                SensorSpec("contact_resistance", "resistance", "uOhm", 0.0, 5000.0, 1.0),
                SensorSpec("drive_torque", "torque", "N.m", 0.0, 300.0, 0.1),
                _temperature("oil_temperature"),
                SensorSpec("switching_time", "duration", "ms", 0.0, 500.0, 0.1),
            ),
            criticality=4,
        ),
        Family(
            "bushing", "bushing", "High-voltage bushing", "BU-245", "Schaltwerk", 4500, 365, ("flashover",), 200,
            (
                SensorSpec("tan_delta", "dissipation factor", "%", 0.0, 20.0, 0.01),
                SensorSpec("capacitance", "capacitance", "pF", 0.0, 2000.0, 0.1),
                SensorSpec("leakage_current", "current", "mA", 0.0, 500.0, 0.1),
            ),
            criticality=5,
        ),
    )
}  # fmt: skip

PRODUCTS: Final = {
    "TUR": ("gas-turbine", "Gas turbine"),
    "GBX": ("gearbox", "Gearbox"),
    "GEN": ("generator", "Generator"),
    "TRF": ("transformer", "Step-up transformer"),
    "CPA": ("cooling-pump", "Cooling pump A"),
    "CPB": ("cooling-pump", "Cooling pump B"),
}

POSITIONS: Final = (
    Position("TUR-BDE", "Drive-end bearing", "bearing", "TUR"),
    Position("TUR-BNE", "Non-drive-end bearing", "bearing", "TUR"),
    Position("TUR-SEA", "Shaft seal", "seal", "TUR"),
    Position("TUR-CBL", "Compressor blades", "blades", "TUR"),
    Position("TUR-NOZ", "Fuel nozzles", "nozzles", "TUR"),
    Position("TUR-FIL", "Fuel gas filter", "filter", "TUR"),
    Position("GBX-BIN", "Input bearing", "bearing", "GBX"),
    Position("GBX-BOU", "Output bearing", "bearing", "GBX"),
    Position("GBX-GHS", "High-speed gear pair", "gear", "GBX"),
    Position("GBX-GLS", "Low-speed gear pair", "gear", "GBX"),
    Position("GBX-SEA", "Shaft seal", "seal", "GBX"),
    Position("GBX-FIL", "Oil filter", "filter", "GBX"),
    Position("GEN-BDE", "Drive-end bearing", "bearing", "GEN"),
    Position("GEN-BNE", "Non-drive-end bearing", "bearing", "GEN"),
    Position("GEN-STW", "Stator winding", "stator", "GEN"),
    Position("GEN-ROW", "Rotor winding", "rotor", "GEN"),
    Position("GEN-BRU", "Brushes", "brushes", "GEN"),
    Position("GEN-COO", "Air cooler", "cooler", "GEN"),
    Position("GEN-CPL", "Coupling to the gearbox", "coupling", "GEN"),
    Position("TRF-WIN", "High-voltage winding", "transformer_winding", "TRF"),
    Position("TRF-OIL", "Oil filling", "oil", "TRF"),
    Position("TRF-TAP", "Tap changer", "tap_changer", "TRF"),
    Position("TRF-BUS", "Bushings", "bushing", "TRF"),
    *(
        Position(f"{pump}-{code}", name, family, pump)
        for pump in ("CPA", "CPB")
        for code, name, family in (
            ("BRG", "Pump bearing", "pump_bearing"),
            ("SEA", "Mechanical seal", "seal"),
            ("IMP", "Impeller", "impeller"),
            ("STR", "Suction strainer", "filter"),
        )
    ),
)

PLANT_SENSORS: Final = (
    SensorSpec("ambient_temperature", "temperature", "Cel", -40.0, 60.0, 0.1, "setting"),
    SensorSpec("barometric_pressure", "pressure", "hPa", 850.0, 1100.0, 0.1),
    SensorSpec("humidity", "relative humidity", "%", 0.0, 100.0, 0.5),
)
TRAIN_SENSORS: Final = (
    SensorSpec("load", "active power", "MW", 0.0, 200.0, 0.1, "setting"),
    SensorSpec("speed", "rotational speed", "/min", 0.0, 4000.0, 1.0, "setting"),
    SensorSpec("cooling_water_temperature", "temperature", "Cel", -5.0, 50.0, 0.1, "setting"),
    SensorSpec("grid_voltage", "voltage", "kV", 0.0, 260.0, 0.1),
    SensorSpec("efficiency", "thermal efficiency", "%", 0.0, 70.0, 0.01),
)
_MOTOR_CURRENT = SensorSpec("motor_current", "current", "A", 0.0, 400.0, 0.1)
PRODUCT_SENSORS: Final = {
    "TUR": SensorSpec("fuel_flow", "mass flow", "kg/s", 0.0, 30.0, 0.01),
    "GBX": SensorSpec("oil_pressure", "pressure", "bar", 0.0, 12.0, 0.01),
    "GEN": SensorSpec("power_factor", "power factor", "1", 0.0, 1.0, 0.001),
    "TRF": SensorSpec("noise", "sound pressure level", "dB", 0.0, 130.0, 0.1),
    "CPA": _MOTOR_CURRENT,
    "CPB": _MOTOR_CURRENT,
}
PUMPS: Final = ("CPA", "CPB")


@dataclass(frozen=True)
class SensorPlace:
    """A sensor of the plant: the tag of its asset, what it is, and where its value stands in the state."""

    tag: str
    spec: SensorSpec
    train: int | None = None
    column: int | None = None


class Layout:
    """Index of the plant: columns of every family and the order of all sensors."""

    @cached_property
    def columns(self) -> dict[str, list[int]]:
        """Family code to its columns within a train."""
        return {code: [i for i, p in enumerate(POSITIONS) if p.family == code] for code in FAMILIES}

    @cached_property
    def column(self) -> dict[str, int]:
        """Position tag (without the train) to its column."""
        return {p.tag: i for i, p in enumerate(POSITIONS)}

    @cached_property
    def sensors(self) -> tuple[SensorPlace, ...]:
        """All sensors: of the plant, then train by train those of the train, its products and its parts."""
        places = [SensorPlace(PLANT_TAG, s) for s in PLANT_SENSORS]
        for t, train in enumerate(TRAINS):
            places += [SensorPlace(train, s, t) for s in TRAIN_SENSORS]
            places += [SensorPlace(f"{train}-{product}", s, t) for product, s in PRODUCT_SENSORS.items()]
            for c, p in enumerate(POSITIONS):
                places += [SensorPlace(f"{train}-{p.tag}", s, t, c) for s in FAMILIES[p.family].sensors]
        return tuple(places)

    @cached_property
    def sensor_index(self) -> dict[tuple[str, str], int]:
        """(asset tag, sensor name) to the place in `sensors`."""
        return {(place.tag, place.spec.name): i for i, place in enumerate(self.sensors)}

    def indices(self, family: str, name: str) -> list[list[int]]:
        """Sensor numbers of one sensor name of a family, shape (trains, positions of the family)."""
        tags = [POSITIONS[c].tag for c in self.columns[family]]
        return [[self.sensor_index[f"{train}-{tag}", name] for tag in tags] for train in TRAINS]


LAYOUT: Final = Layout()
