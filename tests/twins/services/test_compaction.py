"""Compaction changes where readings lie and never what they are; compared with plain dicts."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from twins import lake
from twins.models import Batch, LakeFile, LatestReading
from twins.models.ingestion import FileState
from twins.selectors.readings import latest_readings
from twins.services import compaction
from twins.services.compaction import compact_crowded_days, compact_day, compact_hot_tail, sweep_lake

T0 = datetime(2026, 5, 1, 23, 59, 58, tzinfo=UTC)
S = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def live() -> list[LakeFile]:
    return list(LakeFile.objects.filter(state=FileState.LIVE))


def on_disk() -> set[str]:
    return set(lake.list_files(settings.TWINS["LAKE"]))


def test_hot_readings_become_one_file_a_day_and_bodies_go(sensor_keys, accept, scanned) -> None:
    rows = [(key, T0 + i * S, float(i)) for key in sensor_keys for i in range(4)]
    accept(rows[:7])
    accept(rows[7:])

    assert compact_hot_tail() == 2

    assert scanned(sensor_keys) == rows
    assert [(file.day, file.rows, file.level) for file in live()] == [
        (date(2026, 5, 1), 10, 0),
        (date(2026, 5, 2), 10, 0),
    ]
    assert on_disk() == {file.path for file in live()}
    assert not Batch.objects.filter(body__isnull=False).exists()
    assert not Batch.objects.filter(compacted_at=None).exists()
    assert compact_hot_tail() == 0


def test_corrections_and_late_readings_end_as_a_dict_would_end(sensor_keys, accept, scanned) -> None:
    """Random batches, corrections, compactions and merges in between; the oracle is a dict written in order."""
    dice = random.Random(3)
    expected: dict[tuple[int, datetime], float] = {}
    for number in range(60):
        rows = [
            (dice.choice(sensor_keys), T0 + dice.randrange(-3, 90_000, 7) % 40 * S, dice.random()) for _ in range(20)
        ]
        accept(rows, key=str(number))
        expected.update({(sensor, time): value for sensor, time, value in rows})
        if dice.random() < 0.3:
            compact_hot_tail(limit=dice.choice([1, 50, 1000]))
        if dice.random() < 0.2:
            compact_crowded_days(fan_in=2)
        if dice.random() < 0.1:
            sweep_lake(now=timezone.now() + 2 * HOUR)
        assert scanned(sensor_keys) == [(*key, expected[key]) for key in sorted(expected)]
    newest = {sensor: max(time for s, time in expected if s == sensor) for sensor in sensor_keys}
    assert {r.sensor: (r.time, r.value) for r in latest_readings(sensor_keys).values()} == {
        sensor: (time, expected[sensor, time]) for sensor, time in newest.items()
    }
    assert len(live()) < 30


def test_a_round_takes_the_oldest_batches_up_to_its_limit(sensor_keys, accept) -> None:
    for i in range(5):
        accept([(sensor_keys[0], T0 + i * S, 1.0), (sensor_keys[1], T0 + i * S, 1.0)], key=str(i))

    assert compact_hot_tail(limit=3) == 2
    assert list(Batch.objects.filter(compacted_at=None).values_list("key", flat=True)) == ["2", "3", "4"]
    assert compact_hot_tail(limit=1) == 1
    assert compact_hot_tail() == 2


def test_the_latest_reading_is_the_newest_measured_and_not_the_last_arrived(sensor_keys, accept) -> None:
    accept([(sensor_keys[0], T0 + 5 * S, 5.0)], key="a")
    compact_hot_tail()
    accept([(sensor_keys[0], T0, 1.0)], key="late")
    compact_hot_tail()
    assert LatestReading.objects.get().value == 5.0

    accept([(sensor_keys[0], T0 + 5 * S, 6.0)], key="correction")
    compact_hot_tail()
    row = LatestReading.objects.get()
    assert (row.sensor_id, row.time, row.value, row.batch) == (
        sensor_keys[0], T0 + 5 * S, 6.0, Batch.objects.get(key="correction").pk,
    )  # fmt: skip


def test_a_sensor_that_left_the_register_does_not_hold_up_the_others(sensor_keys, accept, scanned) -> None:
    from assets.models import Sensor

    accept([(sensor_keys[0], T0, 1.0), (sensor_keys[1], T0, 2.0)])
    Sensor.objects.filter(pk=sensor_keys[0]).delete()

    assert compact_hot_tail() == 1
    assert list(LatestReading.objects.values_list("sensor_id", flat=True)) == [sensor_keys[1]]
    assert len(scanned(sensor_keys)) == 2


def test_a_body_that_cannot_be_read_stays_and_stops_no_other(sensor_keys, accept, caplog) -> None:
    broken = accept([(sensor_keys[0], T0, 1.0)], key="broken").batch
    accept([(sensor_keys[1], T0, 2.0)], key="good")
    Batch.objects.filter(pk=broken).update(body=b"not arrow")

    assert compact_hot_tail() == 1

    assert list(Batch.objects.filter(compacted_at=None).values_list("pk", flat=True)) == [broken]
    assert f"batch {broken} cannot be compacted" in caplog.text


def test_small_files_of_a_day_are_merged_level_by_level(sensor_keys, accept, scanned) -> None:
    day = datetime(2026, 5, 3, tzinfo=UTC)
    rows = [(sensor_keys[0], day + i * S, float(i)) for i in range(20)]
    for i, row in enumerate(rows):
        accept([row], key=str(i))
        compact_hot_tail()
        compact_crowded_days(fan_in=4)

    assert [(file.level, file.rows) for file in live()] == [(2, 16), (1, 4)]
    assert scanned(sensor_keys) == rows
    assert compact_day(day=day.date(), fan_in=4) == 0
    assert len(on_disk()) == 20 + 5 + 1
    assert LakeFile.objects.filter(state=FileState.RETIRED).count() == 24


def test_a_big_day_is_split_between_sensors(sensor_keys, accept, scanned, monkeypatch) -> None:
    monkeypatch.setattr(compaction, "FILE_ROWS", 8)
    rows = [(key, datetime(2026, 5, 3, tzinfo=UTC) + i * S, float(i)) for key in sensor_keys for i in range(5)]
    accept(rows)
    compact_hot_tail()

    assert [(file.sensor_min, file.sensor_max) for file in live()] == [(key, key) for key in sensor_keys]
    assert scanned(sensor_keys) == rows


def test_two_at_once_do_the_work_once(sensor_keys, accept, scanned) -> None:
    rows = [(key, T0 + i * S, float(i)) for key in sensor_keys for i in range(4)]
    for i, row in enumerate(rows):
        accept([row], key=str(i))
    done: list[int] = []
    gate = threading.Barrier(4)

    def run() -> None:
        try:
            gate.wait()
            done.append(compact_hot_tail())
            done.append(compact_crowded_days(fan_in=1))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(done) >= 20
    assert scanned(sensor_keys) == rows
    assert not LakeFile.objects.filter(state=FileState.INTENT).exists()
    assert sum(file.rows for file in live()) == 20
    assert on_disk() == set(LakeFile.objects.values_list("path", flat=True))


def test_who_is_called_while_another_compacts_opens_no_body(sensor_keys, accept) -> None:
    accept([(sensor_keys[0], T0, 1.0)])
    asked: list[tuple[int, bool]] = []

    def call_meanwhile(name: str) -> None:
        if name in ("written", "published"):
            thread.submit(call).result()

    def call() -> None:
        try:
            with CaptureQueriesContext(connection) as queries:
                done = compact_hot_tail()
            asked.append((done, any("body" in query["sql"] for query in queries)))
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        assert compact_hot_tail(step=call_meanwhile) == 1

    assert asked == [(0, False), (0, False)]
    assert Batch.objects.filter(compacted_at=None).count() == 0


def test_a_compaction_overtaken_by_the_sweep_leaves_everything_as_it_was(sensor_keys, accept, scanned) -> None:
    accept([(sensor_keys[0], T0, 1.0)])

    def sweep_meanwhile(name: str) -> None:
        if name == "planned":
            LakeFile.objects.all().delete()

    assert compact_hot_tail(step=sweep_meanwhile) == 0

    assert live() == []
    assert scanned(sensor_keys) == [(sensor_keys[0], T0, 1.0)]
    assert sweep_lake(now=timezone.now() + 2 * HOUR) == compaction.Sweep(removed=1, hot_batches=1)
    assert on_disk() == set()
    assert compact_hot_tail() == 1


def test_a_full_disk_leaves_no_half_file_and_no_intent(sensor_keys, accept, scanned) -> None:
    accept([(sensor_keys[0], T0, 1.0)])

    def fill(name: str) -> None:
        if name == "written":
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        compact_hot_tail(step=fill)

    assert on_disk() == set()
    assert not LakeFile.objects.exists()
    assert scanned(sensor_keys) == [(sensor_keys[0], T0, 1.0)]


def test_the_sweep_waits_for_the_grace_period_and_never_takes_what_is_live(sensor_keys, accept, scanned) -> None:
    root = settings.TWINS["LAKE"]
    for i in range(2):
        accept([(sensor_keys[0], datetime(2026, 5, 3, tzinfo=UTC) + i * S, 1.0)], key=str(i))
        compact_hot_tail()
    compact_day(day=date(2026, 5, 3), fan_in=2)
    dead = LakeFile.objects.create(path=lake.raw_path(date(2026, 5, 3), "dead"), level=0, day=date(2026, 5, 3))
    for path in (lake.temporary_path(dead.path), lake.raw_path(date(2026, 5, 3), "x"), lake.landing_path("y")):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"left by a killed writer")
    before = on_disk()

    assert sweep_lake(now=timezone.now()) == compaction.Sweep(removed=0, hot_batches=0)
    assert on_disk() == before
    assert len(before) == 6

    assert sweep_lake(now=timezone.now() + 2 * HOUR).removed == 5
    assert on_disk() == {file.path for file in live()} != set()
    assert set(LakeFile.objects.values_list("state", flat=True)) == {"live"}
    assert len(scanned(sensor_keys)) == 2


def test_the_sweep_keeps_the_landing_object_of_a_hot_batch(sensor_keys, accept, scanned, monkeypatch) -> None:
    from twins.services import ingestion

    monkeypatch.setattr(ingestion, "MAX_BODY", 10)
    accept([(sensor_keys[0], T0, 1.0)])

    assert sweep_lake(now=timezone.now() + 2 * HOUR) == compaction.Sweep(removed=0, hot_batches=1)
    assert len(on_disk()) == 1
    assert compact_hot_tail() == 1
    assert on_disk() == {file.path for file in live()}
    assert scanned(sensor_keys) == [(sensor_keys[0], T0, 1.0)]
