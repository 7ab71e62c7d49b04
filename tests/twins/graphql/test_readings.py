"""What was accepted is answered at once; the past of every sensor of a selection comes from one scan."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from twins.selectors import hot
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
