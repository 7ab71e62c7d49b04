"""Minutes, windows and charts are those of the readings, whatever is hot, compacted, rolled up, late or corrected.

The oracle is a dict of readings, grouped by loops.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from assets.models import Sensor
from twins.models import LakeFile
from twins.models.ingestion import FileState
from twins.selectors.minutes import minutes_of, windows_of
from twins.selectors.readings import scan_readings
from twins.selectors.series import series_of
from twins.services.compaction import compact_crowded_days, compact_hot_tail, settle_day, sweep_lake

T0 = datetime(2026, 5, 1, 23, 40, tzinfo=UTC)
S = timedelta(seconds=1)
Expected = dict[tuple[int, datetime], float]


def oracle(expected: Expected, width: timedelta, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    """(sensor, start, count, min, max, mean, first, last) of each window that has readings."""
    rows = sorted((s, t, v) for (s, t), v in expected.items() if start <= t < end)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    found = []
    for (sensor, at), group in itertools.groupby(rows, lambda r: (r[0], epoch + (r[1] - epoch) // width * width)):
        values = [value for _, _, value in group]
        mean = math.fsum(values) / len(values)
        found.append((sensor, at, len(values), min(values), max(values), pytest.approx(mean), values[0], values[-1]))
    return found


def windows(sensors: Iterable[int], width: timedelta, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    table = windows_of(sensors=list(sensors), width=width, start=start, end=end)
    assert set(table["quality"].to_pylist()) <= {0}
    return [tuple(row.values())[:8] for row in table.to_pylist()]


def test_windows_are_those_of_the_readings_through_every_change_of_the_lake(sensor_keys, accept, monkeypatch) -> None:
    monkeypatch.setattr("twins.lake.rollup._PAYS", 1)
    monkeypatch.setattr("twins.lake.rollup._LEAST", 1)
    dice = random.Random(5)
    expected: Expected = {}
    kinds = set()
    for number in range(40):
        at = dice.randrange(0, 3000) if number % 3 == 0 else number * 60
        keys = [(dice.choice(sensor_keys), T0 + timedelta(seconds=at + dice.randrange(90))) for _ in range(40)]
        rows = {key: dice.random() for key in keys}
        accept([(*key, value) for key, value in rows.items()], key=str(number))
        expected.update(rows)
        if dice.random() < 0.5:
            compact_hot_tail()
        if dice.random() < 0.3:
            compact_crowded_days(fan_in=2)
        if number in (20, 33):
            for day in (T0.date(), (T0 + timedelta(days=1)).date()):
                settle_day(day=day)
        if number == 30:
            sweep_lake(now=timezone.now() + timedelta(hours=2))
        start, end = (T0 + timedelta(seconds=n) for n in sorted(dice.sample(range(-60, 3000), 2)))
        for width in (60 * S, 300 * S, 7 * S):
            assert windows(sensor_keys, width, start, end) == oracle(expected, width, start, end)
        live = LakeFile.objects.filter(state=FileState.LIVE)
        kinds |= {(file.dataset, file.level > 0) for file in live}
    assert kinds == {("raw", False), ("raw", True), ("minute", True)}


def test_minutes_are_equal_bit_for_bit_with_and_without_roll_ups(sensor_keys, accept, monkeypatch) -> None:
    monkeypatch.setattr("twins.lake.rollup._LEAST", 1)
    dice = random.Random(6)
    accept([(key, T0 + i * S, dice.gauss(0, 1)) for key in sensor_keys for i in range(1500)])
    hot = minutes_of(sensors=sensor_keys)
    compact_hot_tail()
    assert minutes_of(sensors=sensor_keys).equals(hot)
    for day in (T0.date(), (T0 + timedelta(days=1)).date()):
        assert settle_day(day=day) == 1
    assert LakeFile.objects.filter(dataset="minute", state=FileState.LIVE).count() == 2

    reads: list[Any] = []
    monkeypatch.setattr("twins.selectors.view.View.readings", lambda *given: reads.append(given))
    monkeypatch.setattr("twins.selectors.minutes._loose", lambda *_: scan_readings(sensors=[]))
    assert minutes_of(sensors=sensor_keys).equals(hot)
    assert reads == []
    assert hot.num_rows == 5 * 25


def test_the_worst_quality_of_a_minute_is_told(sensor_keys) -> None:
    import pyarrow as pa

    from twins.services.ingestion import accept_readings

    bad, uncertain = -(2**31), 2**30
    times = [T0 + n * 20 * S for n in range(6)]
    accept_readings(
        readings=pa.table(
            {
                "sensor": pa.array([sensor_keys[0]] * 6, pa.int32()),
                "time": pa.array(times, pa.timestamp("us", "UTC")),
                "value": [1.0, 5.0, 3.0, 1.0, 1.0, 1.0],
                "quality": pa.array([0, uncertain, bad, uncertain, 0, 0], pa.int32()),
            }
        ),
        source="gateway",
    )
    first, second = minutes_of(sensors=sensor_keys).to_pylist()

    assert (first["quality"], first["max_quality"], first["min_quality"]) == (bad, uncertain, 0)
    assert (first["max_at"], first["last_at"], second["quality"]) == (20_000_000, 40_000_000, uncertain)
    assert [second[name] for name in ("min_at", "max_at", "min_quality")] == [0, 0, uncertain]


def test_a_chart_is_the_same_from_readings_and_from_roll_ups(sensor_keys, accept) -> None:
    dice = random.Random(7)
    rows = [(key, T0 + i * S, dice.gauss(0, 1)) for key in sensor_keys[:2] for i in range(6000)]
    rows[3000] = (sensor_keys[0], rows[3000][1], 99.0)
    rows[4500] = (sensor_keys[0], rows[4500][1], -99.0)
    accept(rows)
    window = {"start": T0 + 5 * S, "end": T0 + 5990 * S}
    hot = {points: series_of(sensor_keys, **window, points=points) for points in (2, 3, 6, 100, 5000)}
    compact_hot_tail()
    for day in (T0.date(), (T0 + timedelta(days=1)).date()):
        settle_day(day=day)

    assert {points: series_of(sensor_keys, **window, points=points) for points in hot} == hot
    truth = {(key, time): value for key, time, value in rows}
    for points, found in hot.items():
        assert sorted(found) == sensor_keys[:2]
        for key, series in found.items():
            assert len(series.points) <= points
            assert series.total == 5985
            assert [time for time, _, _ in series.points] == sorted({time for time, _, _ in series.points})
            assert all(truth[key, time] == value for time, value, _ in series.points)
        assert {-99.0, 99.0} <= {value for _, value, _ in found[sensor_keys[0]].points}
    assert len(hot[100][sensor_keys[0]].points) > 90


def test_a_chart_of_days_is_the_same_through_every_change_of_the_lake(sensor_keys, accept, monkeypatch) -> None:
    monkeypatch.setattr("twins.lake.rollup._PAYS", 1)
    monkeypatch.setattr("twins.lake.rollup._LEAST", 1)
    dice = random.Random(8)
    first = datetime(2026, 5, 1, tzinfo=UTC)
    keys = sensor_keys[:3]
    Sensor.objects.filter(pk__in=keys[:2]).update(expected_interval=45)
    truth = {
        (key, first + timedelta(days=day, seconds=second + dice.random())): round(dice.gauss(0, 5))
        for key, days in ((keys[0], range(6)), (keys[1], (0, 2, 3)), (keys[2], (1, 4)))
        for day in days
        for second in range(0, 86_400, 40)
        if dice.random() < 0.9
    }
    for late in (False, True):
        accept([(key, time, value) for (key, time), value in truth.items() if (time.day == 3) == late])
        if not late:
            compact_hot_tail()
            settle_day(day=date(2026, 5, 2))
    asked = [
        (None, None, 500),
        (None, None, 40),
        (first, first + timedelta(days=6), 100),
        (first + timedelta(hours=7, seconds=3), first + timedelta(days=4, seconds=77), 300),
    ]

    def charts() -> list[Any]:
        return [series_of(keys, start=start, end=end, points=points) for start, end, points in asked]

    def agree() -> list[Any]:
        found = charts()
        for (start, end, points), chart in zip(asked, found, strict=True):
            for key in keys:
                mine = {
                    t: v
                    for (k, t), v in truth.items()
                    if k == key and (not start or start <= t) and (not end or t < end)
                }
                series = chart[key]
                assert series.total == len(mine)
                assert points / 2 < len(series.points) <= points
                assert all(mine[time] == value for time, value, _ in series.points)
                assert {min(mine.values()), max(mine.values())} <= {value for _, value, _ in series.points}
        return found

    before = agree()
    compact_hot_tail()
    assert charts() == before
    for day in range(1, 7):
        settle_day(day=date(2026, 5, day))
    assert charts() == before == charts()
    corrected = {key: value + 1 for key, value in dice.sample(sorted(truth.items()), 50) if key[1].day in (1, 4)}
    truth |= corrected
    accept([(key, time, value) for (key, time), value in corrected.items()])
    after = agree()
    assert after != before
    compact_hot_tail()
    assert charts() == after
    settle_day(day=date(2026, 5, 4))
    assert charts() == after
    settle_day(day=date(2026, 5, 1))
    assert charts() == after


def test_what_is_said_once_a_minute_is_the_same_alone_and_beside_what_is_said_each_second(sensor_keys, accept) -> None:
    dice = random.Random(9)
    slow, fast = sensor_keys[:2]
    truth = {T0 + timedelta(minutes=n, microseconds=dice.randrange(60_000_000)): dice.gauss(0, 1) for n in range(1500)}
    accept([(slow, time, value) for time, value in truth.items()])
    asked = {"start": T0, "end": T0 + timedelta(days=2)}

    def told() -> tuple[Any, ...]:
        minutes = [row for row in minutes_of(sensors=[slow, fast], **asked).to_pylist() if row["sensor"] == slow]
        return minutes, series_of([slow, fast], **asked, points=200)[slow]

    alone = told()
    accept([(fast, T0 + n * S, dice.random()) for n in range(0, 90_000, 7)])
    assert told() == alone
    minutes, series = alone
    named = ("min", "max", "sum", "first", "last")
    assert [[row[name] for name in named] for row in minutes] == [[value] * 5 for value in truth.values()]
    for name in ("min_at", "max_at", "first_at", "last_at"):
        assert [row["minute"] + timedelta(microseconds=row[name]) for row in minutes] == list(truth)
    assert {row["count"] for row in minutes} == {1}
    assert all(truth[time] == value for time, value, _ in series.points)
    assert {min(truth.values()), max(truth.values())} <= {value for _, value, _ in series.points}
    assert (series.total, 190 < len(series.points) <= 200) == (1500, True)


def test_gaps_are_told_where_more_than_two_readings_are_missing(sensor_keys, accept) -> None:
    Sensor.objects.filter(pk=sensor_keys[0]).update(expected_interval=10)
    seconds = [*range(0, 300, 10), 302, *range(331, 400, 10), 421, *range(1000, 9000, 10)]
    accept([(key, T0 + s * S, 1.0) for key in sensor_keys[:2] for s in seconds])
    gaps = [(T0 + 302 * S, T0 + 331 * S), (T0 + 391 * S, T0 + 421 * S), (T0 + 421 * S, T0 + 1000 * S)]

    near, far, two = (series_of(sensor_keys[:2], start=T0, end=None, points=points) for points in (2000, 50, 2))

    assert near[sensor_keys[0]].gaps == gaps
    # Within a minute nothing is told of a long past.
    assert far[sensor_keys[0]].gaps == gaps[1:]
    assert two[sensor_keys[0]].gaps == gaps[1:]
    assert near[sensor_keys[1]].gaps == far[sensor_keys[1]].gaps == []


def test_reading_minutes_takes_one_statement(sensor_keys, accept, django_assert_num_queries) -> None:
    accept([(key, T0 + i * S, 1.0) for key in sensor_keys for i in range(700)])
    compact_hot_tail()
    accept([(key, T0 + S, 2.0) for key in sensor_keys])

    with django_assert_num_queries(1):
        windows_of(sensors=sensor_keys, width=60 * S, start=T0, end=T0 + 601 * S)


def test_no_sensors_an_empty_window_and_a_width_of_nothing(sensor_keys, accept) -> None:
    accept([(sensor_keys[0], T0, 1.0)])

    assert minutes_of(sensors=[]).num_rows == 0
    assert minutes_of(sensors=sensor_keys, start=T0 + S, end=T0).num_rows == 0
    assert windows_of(sensors=sensor_keys, width=S, start=T0 + S, end=T0).num_rows == 0
    assert windows_of(sensors=sensor_keys, width=60 * S, start=T0, end=T0 + S).num_rows == 1
    with pytest.raises(ValueError, match="must be positive"):
        windows_of(sensors=sensor_keys, width=0 * S)
