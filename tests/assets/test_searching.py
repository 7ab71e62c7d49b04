"""What is searched for in a part of the register is found whichever way is taken, and it is what Python finds."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from assets.models import Asset, MaintenanceEvent, Sensor
from assets.permissions import EVERYWHERE, Reach
from assets.selectors import FEW, keys_matching, matching, searching
from assets.services import create_sensors, record_events

MOST = 5
NAMES = ("Öltemperatur", "oil pressure", "t1", "T2", "flow t", "100 %", "a_b")
QUANTITIES = ("temperature", "Pressure", "")
SENSOR_FIELDS = ("name", "quantity", "asset__tag", "asset__name")
EVENT_FIELDS = ("asset__tag", "item__serial_number", "mode")
TEXTS = (
    "t", "T1", "temp", "TEMPERATUR", "öl", "Öltemp", "bearing", "drive bearing", "bearing t", "pump temperature t1",
    "nde 2", "100", "100 %", "%", "_", "a_b", "nowhere", "bearing nowhere", "  flow   pump ", "oil oil",
)  # fmt: skip


@pytest.fixture
def sensors(plant: dict[str, Asset]) -> list[Sensor]:
    """Three of each name and asset, made so that ids run through all assets again and again."""
    rows = [
        Sensor(asset=asset, name=f"{name} {number}", quantity=quantity or name)
        for number, quantity in enumerate(QUANTITIES)
        for name in NAMES
        for asset in plant.values()
    ]
    return create_sensors(sensors=rows)


@pytest.fixture(autouse=True)
def few_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "MOST_FOUND", MOST)


def found_by_hand(rows: list[Any], fields: tuple[str, ...], text: str) -> set[int]:
    *words, longest = sorted(text.split(), key=len)
    found: set[int] = set()
    for field in fields:
        first: list[int] = []
        for row in sorted(rows, key=lambda row: row.pk):
            told = {name: _told(row, name) for name in fields}
            begins = told[field].startswith(longest.upper())
            has = longest.upper() in told[field] if len(longest) > 2 else begins
            if has and all(any(word.upper() in each for each in told.values()) for word in words):
                first.append(row.pk)
        found |= set(first[:MOST])
    return found


def _told(row: Any, path: str) -> str:
    for step in path.split("__"):
        row = getattr(row, step, None)
    return str(row or "").upper()


@pytest.mark.parametrize("tops", [("P",), ("T1",), ("T2-PU",), ("T1-DE", "T2-DE"), ()])
def test_each_way_of_searching_finds_what_python_finds(
    plant: dict[str, Asset], sensors: list[Sensor], tops: tuple[str, ...]
) -> None:
    reach = Reach(tops=tuple(sorted(plant[tag].pk for tag in tops)))
    rows = Sensor.objects.filter(reach.of(Sensor))
    seen = [sensor for sensor in sensors if any(plant[tag].pk in sensor.asset.path for tag in tops)]
    for text in TEXTS:
        expected = found_by_hand(seen, SENSOR_FIELDS, text)
        assert set(matching(rows, SENSOR_FIELDS, text).values_list("pk", flat=True)) == expected, text
        for few in (0, 1, len(seen), FEW):
            assert sorted(keys_matching(rows, SENSOR_FIELDS, text, few=few)) == sorted(expected), (text, few)


def test_what_is_seen_and_narrowed_and_sorted_is_searched_alike(plant: dict[str, Asset], sensors: list[Sensor]) -> None:
    everything = Sensor.objects.filter(EVERYWHERE.of(Sensor))
    narrowed = everything.filter(quantity="temperature").order_by("-name").select_related("asset")
    for text in TEXTS:
        assert set(keys_matching(everything, SENSOR_FIELDS, text)) == found_by_hand(sensors, SENSOR_FIELDS, text), text
        some = [sensor for sensor in sensors if sensor.quantity == "temperature"]
        for few in (0, FEW):
            found = keys_matching(narrowed, SENSOR_FIELDS, text, few=few)
            assert set(found) == found_by_hand(some, SENSOR_FIELDS, text), (text, few)


def test_a_row_that_refers_to_nothing_is_found_by_what_it_has(
    plant: dict[str, Asset], items: list[Any], day: Any
) -> None:
    events = [
        MaintenanceEvent(asset=asset, item=item, kind="failure", mode=mode, started_at=day(number + 1))
        for number, (asset, (item, mode)) in enumerate(
            product(plant.values(), ((None, "wear"), (items[1], ""), (items[2], "überhitzt")))
        )
    ]
    made = record_events(events=events)
    rows = MaintenanceEvent.objects.filter(Reach(tops=(plant["T1"].pk,)).of(MaintenanceEvent))
    seen = [event for event in made if plant["T1"].pk in event.asset.path]
    for text in ("wear", "S2", "s2 überh", "S", "de", "T1-DE wear", "T2"):
        for few in (0, FEW):
            assert set(keys_matching(rows, EVENT_FIELDS, text, few=few)) == found_by_hand(seen, EVENT_FIELDS, text), (
                text
            )


def test_how_often_is_asked(plant: dict[str, Asset], sensors: list[Sensor], django_assert_num_queries: Any) -> None:
    [lonely] = create_sensors(sensors=[Sensor(asset=plant["T1-DE"], name="lonely", quantity="noise")])
    rows = Sensor.objects.filter(Reach(tops=(plant["T1"].pk,)).of(Sensor))
    with django_assert_num_queries(2):
        assert keys_matching(rows, SENSOR_FIELDS, "drive lonely", few=FEW) == [lonely.pk]  # of a rare word
    with django_assert_num_queries(1):
        assert keys_matching(rows, SENSOR_FIELDS, "nowhere", few=FEW) == []
    with django_assert_num_queries(3):
        assert keys_matching(rows, SENSOR_FIELDS, "bearing", few=FEW)  # of a part with few rows
    with django_assert_num_queries(1):
        assert keys_matching(Sensor.objects.all(), SENSOR_FIELDS, "bearing")
