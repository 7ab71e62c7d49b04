"""One consistent view: files and hot tail, whatever is compacted, merged or swept meanwhile."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from twins import lake
from twins.exceptions import LakeError
from twins.models import Batch, LakeFile
from twins.selectors import view
from twins.selectors.readings import later_readings, latest_readings, scan_readings
from twins.services.compaction import compact_crowded_days, compact_hot_tail, sweep_lake

T0 = datetime(2026, 5, 1, 23, 59, 58, tzinfo=UTC)
S = timedelta(seconds=1)


def test_a_reading_is_there_once_accepted_and_the_same_once_compacted(sensor_keys, accept, scanned) -> None:
    rows = [(key, T0 + i * S, float(i)) for key in sensor_keys for i in range(4)]
    accept(rows[::2])
    compact_hot_tail()
    accept(rows[1::2])

    assert scanned(sensor_keys) == rows
    table = scan_readings(sensors=sensor_keys)
    assert table.schema == lake.READING_SCHEMA
    first, second = Batch.objects.values_list("pk", flat=True)
    assert table["batch"].to_pylist() == [first, second] * 10
    compact_hot_tail()
    assert scan_readings(sensors=sensor_keys).equals(table)


@pytest.mark.parametrize("compacted", [True, False])
@pytest.mark.parametrize(("start", "end"), [(0, 2), (2, 3), (None, 1), (3, None), (2, 2), (3, 1), (-9, 99)])
def test_a_window_holds_its_start_and_not_its_end(sensor_keys, accept, scanned, compacted, start, end) -> None:
    rows = [(key, T0 + i * S, float(i)) for key in sensor_keys for i in range(4)]
    accept(rows)
    if compacted:
        compact_hot_tail()
    window = {name: T0 + n * S for name, n in {"start": start, "end": end}.items() if n is not None}
    chosen = sensor_keys[1:4:2]

    assert scanned(chosen, **window) == [
        row for row in rows if row[0] in chosen and window.get("start", T0) <= row[1] < window.get("end", T0 + 99 * S)
    ]


def test_who_goes_on_finds_what_is_compacted_and_later_and_each_reading_once(sensor_keys, accept) -> None:
    accept([(key, T0 + i * S, float(i)) for key in sensor_keys for i in range(4)])
    compact_hot_tail()
    accept([(key, T0 + i * S, -float(i)) for key in sensor_keys for i in range(3, 6)])
    compact_hot_tail()
    accept([(key, T0 + 6 * S, 6.0) for key in sensor_keys])
    after = {sensor_keys[0]: T0 + 2 * S, sensor_keys[2]: T0 + 4 * S, sensor_keys[3]: T0 + 9 * S}

    found = later_readings(after=after, end=T0 + 6 * S)

    rows = list(zip(*(found[name].to_pylist() for name in ("sensor", "time", "value")), strict=True))
    assert rows == [(sensor_keys[0], T0 + i * S, -float(i)) for i in (3, 4, 5)] + [(sensor_keys[2], T0 + 5 * S, -5.0)]
    assert found.schema == lake.READING_SCHEMA
    assert later_readings(after={}, end=T0 + 6 * S).num_rows == 0


def test_a_scan_of_many_sensors_is_the_same_in_two_threads(
    sensor_keys, accept, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept([(key, T0 + i * S, float(i)) for key in sensor_keys for i in range(4)])
    compact_hot_tail()
    accept([(key, T0 + i * S, -float(i)) for key in sensor_keys[1::2] for i in range(2, 6)])
    whole = scan_readings(sensors=sensor_keys, start=T0 + S)
    monkeypatch.setattr(view, "_MANY", 2)
    assert scan_readings(sensors=sensor_keys, start=T0 + S).equals(whole)


def test_no_sensors_and_unknown_sensors_have_no_readings(sensor_keys, accept) -> None:
    accept([(sensor_keys[0], T0, 1.0)])

    assert scan_readings(sensors=[]).equals(lake.READING_SCHEMA.empty_table())
    assert scan_readings(sensors=[sensor_keys[0] + 1000]).num_rows == 0
    assert latest_readings([]) == {}
    assert latest_readings([sensor_keys[0] + 1000, sensor_keys[1]]) == {}


def test_the_latest_reading_is_the_newest_of_files_and_hot_tail(sensor_keys, accept) -> None:
    a, b, c, d, _ = sensor_keys
    accept([(a, T0, 1.0), (b, T0 + 5 * S, 2.0), (c, T0, 3.0)])
    compact_hot_tail()
    last = accept([(a, T0 + S, 4.0), (b, T0, 5.0), (c, T0, 6.0), (d, T0, 7.0)]).batch

    found = latest_readings(iter(sensor_keys))

    assert {key: (r.time, r.value, r.quality) for key, r in found.items()} == {
        a: (T0 + S, 4.0, 0),
        b: (T0 + 5 * S, 2.0, 0),
        c: (T0, 6.0, 0),
        d: (T0, 7.0, 0),
    }
    assert [found[key].batch for key in (a, b, c, d)] == [last, last - 1, last, last]
    compact_hot_tail()
    assert latest_readings(sensor_keys) == found


def test_reading_takes_one_statement(sensor_keys, accept, django_assert_num_queries) -> None:
    accept([(key, T0, 1.0) for key in sensor_keys], key="a")
    compact_hot_tail()
    accept([(key, T0 + S, 1.0) for key in sensor_keys], key="b")

    with django_assert_num_queries(1):
        scan_readings(sensors=sensor_keys)
    with django_assert_num_queries(1):
        latest_readings(sensor_keys)


def test_a_file_swept_between_statement_and_reading_is_looked_for_again(
    sensor_keys, accept, scanned, monkeypatch
) -> None:
    rows = [(sensor_keys[0], datetime(2026, 5, 3, tzinfo=UTC) + i * S, float(i)) for i in range(4)]
    for row in rows:
        accept([row])
        compact_hot_tail()
    read, views = lake.read_files, []

    def slow(root, paths, **choice):
        views.append(len(paths))
        if len(views) == 1:
            monkeypatch.setattr(lake, "read_files", read)
            compact_crowded_days(fan_in=2)
            sweep_lake(now=timezone.now() + timedelta(hours=2))
            monkeypatch.setattr(lake, "read_files", slow)
        return read(root, paths, **choice)

    monkeypatch.setattr(lake, "read_files", slow)

    assert scanned(sensor_keys) == rows
    assert views == [4, 1]


def test_a_live_file_that_is_lost_is_an_error_and_never_a_gap(sensor_keys, accept, settings) -> None:
    accept([(sensor_keys[0], T0, 1.0)])
    compact_hot_tail()
    (settings.TWINS["LAKE"] / LakeFile.objects.get().path).unlink()

    with pytest.raises(LakeError, match="restore the lake from a backup"):
        scan_readings(sensors=sensor_keys)


def test_readers_see_every_acknowledged_reading_while_the_lake_is_rebuilt_below_them(
    sensor_keys, accept, scanned
) -> None:
    stop = threading.Event()
    wrong: list[object] = []

    def churn() -> None:
        try:
            while not stop.is_set():
                compact_hot_tail(limit=3)
                compact_crowded_days(fan_in=2)
                sweep_lake(now=timezone.now(), grace=timedelta(0))
        except Exception as error:
            wrong.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for i in range(60):
            accept([(sensor_keys[0], T0 + i // 2 * S, float(i))], key=str(i))
            expected = [(sensor_keys[0], T0 + n * S, float(min(2 * n + 1, i))) for n in range(i // 2 + 1)]
            assert scanned(sensor_keys) == expected
            assert latest_readings(sensor_keys)[sensor_keys[0]].value == float(i)
    finally:
        stop.set()
        thread.join()
    assert wrong == []
