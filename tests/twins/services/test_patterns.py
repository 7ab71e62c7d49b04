"""A part whose sensors stop going together is found once, through storage, kills and repeats."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from assets.models import Sensor
from twins import events
from twins.lake import microseconds
from twins.ml import Readings
from twins.ml import patterns as detector
from twins.models import Finding, PatternState
from twins.selectors.readings import scan_readings
from twins.services import patterns
from twins.services.compaction import compact_hot_tail
from twins.services.patterns import watch_patterns
from twins.services.watching import watch_arrivals

from ..conftest import NOW

MINUTE = timedelta(minutes=1)
COUNT = 1500
START = NOW - COUNT * MINUTE


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_listeners", defaultdict(list))


@pytest.fixture
def pair(sensor_keys) -> list[int]:
    Sensor.objects.filter(pk__in=sensor_keys[:2]).update(expected_interval=60.0)
    return sensor_keys[:2]


@pytest.fixture
def send(accept, pair):
    rng = np.random.default_rng(4)
    load = 10 * np.sin(np.arange(COUNT) / 15) + rng.normal(size=COUNT)
    heat = 50 + 2 * load + rng.normal(size=COUNT)
    heat[1000:1300] = 50 - 2 * load[1000:1300]

    def rows(first: int, last: int, *, right: bool = False) -> None:
        if right:
            heat[first:last] = 50 + 2 * load[first:last]
        accept([(key, START + n * MINUTE, float(values[n])) for key, values in zip(pair, (load, heat), strict=True)
                for n in range(first, last)])  # fmt: skip
        while compact_hot_tail():
            pass

    return rows


def found() -> list[tuple[int, int | None]]:
    rows = Finding.objects.filter(kind="pattern").order_by("started_at")
    ends = [None if row.ended_at is None else (row.ended_at - START) // MINUTE for row in rows]
    return [((row.started_at - START) // MINUTE, end) for row, end in zip(rows, ends, strict=True)]


def test_a_broken_relation_begins_and_ends(send, pair) -> None:
    send(0, 1200)
    assert watch_patterns(now=START + 1199 * MINUTE) == 1
    [(begun, ended)] = found()
    assert (1000 < begun < 1060, ended) == (True, None)
    assert Finding.objects.get().asset.sensors.filter(pk=pair[0]).exists()
    send(1200, COUNT)
    assert watch_patterns(now=NOW) == 1
    [(again, ended)] = found()
    assert again == begun
    assert ended is not None and 1300 < ended < 1420
    assert watch_patterns(now=NOW) == 0


def test_killed_before_its_commit_it_repeats(send, monkeypatch) -> None:
    class Killed(BaseException):
        pass

    def die(*given: Any) -> None:
        raise Killed

    send(0, 1200)
    monkeypatch.setattr(patterns, "_store", die)
    with pytest.raises(Killed):
        watch_patterns(now=START + 1199 * MINUTE)
    assert (PatternState.objects.count(), Finding.objects.count()) == (0, 0)
    monkeypatch.undo()
    watch_patterns(now=START + 1199 * MINUTE)
    assert len(found()) == 1


def test_a_part_with_another_sensor_is_learned_anew(send, sensor_keys, accept) -> None:
    send(0, 600)
    watch_patterns(now=START + 599 * MINUTE)
    before = PatternState.objects.get().state
    Sensor.objects.filter(pk=sensor_keys[2]).update(expected_interval=60.0)
    accept([(sensor_keys[2], START + n * MINUTE, float(n % 7)) for n in range(590, 620)])
    compact_hot_tail()
    watch_patterns(now=START + 619 * MINUTE)
    assert PatternState.objects.get().state != before
    assert found() == []


def test_sensors_without_an_interval_and_single_ones_are_not_watched_together(send, pair) -> None:
    send(0, 10)
    Sensor.objects.filter(pk=pair[0]).update(expected_interval=None)
    assert watch_patterns(now=NOW) == 0


@pytest.mark.parametrize("first", [1000, 1150])
def test_what_was_overwritten_is_watched_again_from_before_it(send, pair, first) -> None:
    send(0, 1400)
    assert watch_patterns(now=START + 1399 * MINUTE) == 1
    [(begun, ended)] = found()
    send(first, 1300, right=True)
    watch_arrivals(now=START + 1399 * MINUTE)
    assert watch_patterns(now=START + 1399 * MINUTE) == 1
    assert watch_patterns(now=START + 1399 * MINUTE) == 0

    if first == 1000:
        assert found() == []
    else:
        [(again, sooner)] = found()
        assert again == begun
        assert sooner is not None and ended is not None and first < sooner < ended
    # Whoever reads it for the first time, and has read it all, is where this one is.
    step = 60_000_000
    whole, _ = detector.advance_pattern(
        detector.new_pattern(tuple(pair), step=step),
        Readings(scan_readings(sensors=pair)),
        until=microseconds(START + 1399 * MINUTE),
    )
    state = detector.load_pattern(bytes(PatternState.objects.get().state))
    assert state is not None
    assert (state.until, state.unusual, state.limit) == (whole.until, False, whole.limit)
    assert np.allclose(state.mean, whole.mean, atol=1e-5)
