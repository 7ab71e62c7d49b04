"""What the plant consists of."""

from __future__ import annotations

from collections import Counter

from config.demo.plant import FAMILIES, LAYOUT, POSITIONS, PRODUCTS, TRAINS

UCUM = {
    "Cel", "K", "mm/s", "m/s2", "um", "mm", "bar", "kPa", "hPa", "A", "mA", "V", "kV", "pC", "pF", "uOhm", "MW",
    "%", "1", "L/h", "m3/h", "kg/s", "[ppm]", "mg/g", "N.m", "kN.m", "dB", "/min", "/h", "ms",
}  # fmt: skip


def test_two_trains_of_six_products_hold_62_parts_and_249_sensors() -> None:
    assert (len(TRAINS), len(PRODUCTS), len(POSITIONS) * len(TRAINS)) == (2, 6, 62)
    assert len(LAYOUT.sensors) == 249
    assert len(LAYOUT.sensor_index) == 249


def test_units_are_ucum_codes() -> None:
    assert {place.spec.unit for place in LAYOUT.sensors} <= UCUM


def test_a_sensor_can_show_what_lies_between_its_limits_in_whole_steps() -> None:
    for place in LAYOUT.sensors:
        assert place.spec.low < place.spec.high
        assert 0 < place.spec.resolution < place.spec.high - place.spec.low


def test_every_position_belongs_to_a_product_and_a_family() -> None:
    for position in POSITIONS:
        assert position.tag.startswith(position.product + "-")
        assert position.family in FAMILIES
    assert set(LAYOUT.columns) == {position.family for position in POSITIONS}


def test_what_drives_a_part_is_a_setting_of_its_train_or_of_the_plant() -> None:
    settings = Counter(place.tag for place in LAYOUT.sensors if place.spec.role == "setting")
    assert settings == {"RVS": 1, "U1": 3, "U2": 3}
