"""What was accepted is answered at once; the past of every sensor of a selection comes from one scan."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from twins.selectors import hot
from twins.selectors import minutes as minutes_module
from twins.selectors import series as series_module
from twins.services.compaction import compact_hot_tail
from twins.services.ingestion import accept_readings


def _accept(make: Any, sensors: list[Any], values: list[float], shift: int = 0) -> None:
    rows = [
        (sensor.pk, make.now + timedelta(minutes=shift + i), value)
        for sensor in sensors
        for i, value in enumerate(values)
    ]
    table = pa.table(
        {
            "sensor": pa.array([row[0] for row in rows], pa.int32()),
            "time": pa.array([row[1] for row in rows], pa.timestamp("us", "UTC")),
            "value": pa.array([row[2] for row in rows], pa.float64()),
            "quality": pa.array([0] * len(rows), pa.int32()),
        }
    )
    answer = accept_readings(readings=table, source="test", now=make.now + timedelta(days=1))
    assert answer.batch is not None, answer


LATEST = '{ twin(tag: "P") { sensors { nodes { name latest { value time quality } } } } }'


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("splice", [False, True])
def test_the_latest_reading_is_exact_right_after_acceptance(make: Any, request: Any, splice: bool) -> None:
    ask = request.getfixturevalue("ask")
    part = make.asset("P", "part")
    sensors = [make.sensor(part, name) for name in ("a", "b")]
    for value in (1.5, 2.5, -3.0):
        _accept(make, sensors[:1], [0.0, value], shift=int(value * 2) + 10)
        a, b = ask(LATEST, splice=splice)["twin"]["sensors"]["nodes"]
        if value > 0:
            assert a["latest"]["value"] == value
        assert b == {"name": "b", "latest": None}
    # Older than what is known: accepted, but not the latest.
    assert a["latest"] == {"value": 2.5, "time": "2026-03-01T12:16:00.000000Z", "quality": 0}


@pytest.mark.django_db(transaction=True)
def test_series_of_all_sensors_are_one_scan_and_keep_their_peaks(make: Any, request: Any, monkeypatch: Any) -> None:
    ask = request.getfixturevalue("ask")
    part = make.asset("P", "part")
    sensors = [make.sensor(part, name) for name in ("a", "b", "c")]
    _accept(make, sensors[:2], [*[1.0] * 50, 99.0, *[1.0] * 48, -7.0])
    scans = []
    look = series_module.look
    monkeypatch.setattr(series_module, "look", lambda *given, **how: scans.append(given[0]) or look(*given, **how))
    query = """{ twin(tag: "P") { sensors { nodes {
        thin: series(from: "2026-03-01T13:00:00+01:00", points: 10) { count thinned readings { time value } }
        same: series(from: "2026-03-01T12:00:00Z", points: 10) { count }
        few: series(from: "2026-03-01T12:49:00Z", to: "2026-03-01T12:51:00Z") { count thinned readings { value } }
        none: series(last: "PT1H") { count } ever: series(last: "P999999W") { count } } } } }"""
    a, b, c = ask(query)["twin"]["sensors"]["nodes"]
    assert a == b
    assert (a["thin"]["count"], a["thin"]["thinned"], a["same"]["count"]) == (100, True, 100)
    assert len(a["thin"]["readings"]) <= 10
    values = [reading["value"] for reading in a["thin"]["readings"]]
    assert (min(values), max(values)) == (-7.0, 99.0)
    assert sorted(reading["time"] for reading in a["thin"]["readings"]) == [r["time"] for r in a["thin"]["readings"]]
    assert a["few"] == {"count": 2, "thinned": False, "readings": [{"value": 1.0}, {"value": 99.0}]}
    assert c["thin"] == {"count": 0, "thinned": False, "readings": []}
    assert (a["ever"], c["ever"]) == ({"count": 100}, {"count": 0})
    assert len(scans) == 4
    assert all(len(given) == 3 for given in scans)


@pytest.mark.django_db(transaction=True)
def test_aggregates_of_all_sensors_are_one_scan_and_leave_out_what_holds_nothing(
    make: Any, request: Any, monkeypatch: Any
) -> None:
    ask = request.getfixturevalue("ask")
    part = make.asset("P", "part")
    sensors = [make.sensor(part, name) for name in ("a", "b", "c")]
    _accept(make, sensors[:2], [4.0, 1.0, 2.5])
    _accept(make, sensors[:2], [-7.0], shift=20)
    scans = []
    look = minutes_module.look
    monkeypatch.setattr(minutes_module, "look", lambda *given, **how: scans.append(given[0]) or look(*given, **how))
    query = """{ twin(tag: "P") { sensors { nodes {
        aggregate(from: "2026-03-01T12:00:00Z", to: "2026-03-01T13:00:00Z", window: "PT10M") {
            aggregates { start count min max mean first last quality } } } } } }"""
    a, b, c = (each["aggregate"]["aggregates"] for each in ask(query)["twin"]["sensors"]["nodes"])
    assert a == b == [
        {
            "start": "2026-03-01T12:00:00.000000Z", "count": 3, "min": 1.0, "max": 4.0, "mean": 2.5, "first": 4.0,
            "last": 2.5, "quality": 0,
        },
        {
            "start": "2026-03-01T12:20:00.000000Z", "count": 1, "min": -7.0, "max": -7.0, "mean": -7.0, "first": -7.0,
            "last": -7.0, "quality": 0,
        },
    ]  # fmt: skip
    assert c == []
    assert [len(given) for given in scans] == [3]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ('window: "PT1H"', "aggregate needs a window: either from (and to), or last."),
        ('window: "PT0.5S", last: "PT1H"', "window is shorter than a second: ask for the readings"),
        ('window: "PT1S", last: "PT1H"', "comes to more than 200 stretches: ask for longer ones, or for less."),
        ('window: "PT1H", last: "PT1H", points: 1001', "points is 1001: ask for 1 to 1000."),
    ],
)
def test_an_aggregate_that_cannot_be_is_refused_in_a_sentence(ask: Any, plant: Any, asked: str, sentence: str) -> None:
    query = "{ twin(tag: %s) { sensors { nodes { aggregate(%s) { aggregates { count } } } } } }"
    assert sentence in ask(query % ('"GT1-B1"', asked)).errors[0]


@pytest.mark.django_db(transaction=True)
def test_a_planned_query_stays_exact_while_readings_are_compacted(make: Any, request: Any) -> None:
    ask = request.getfixturevalue("ask")
    part = make.asset("P", "part")
    sensors = [make.sensor(part, name) for name in ("a", "b")]
    expected = []
    for step, value in enumerate((1.0, 2.0, 3.0)):
        _accept(make, sensors[:1] if step == 1 else sensors, [value, value + 0.5], shift=10 * step)
        expected.append([value + 0.5, expected[-1][1] if step == 1 else value + 0.5])
        for compact in (False, True, False):
            if compact:
                compact_hot_tail()
            nodes = ask(LATEST, splice=True)["twin"]["sensors"]["nodes"]
            assert [node["latest"]["value"] for node in nodes] == expected[-1]
            assert nodes == ask(LATEST)["twin"]["sensors"]["nodes"]
    assert hot._newest == {}
