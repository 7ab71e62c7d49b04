"""A finished day ends in as few files as there can be, with its roll-up, and late readings find their way into it."""

from __future__ import annotations

import random
import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection

from twins import lake
from twins.conf import settings
from twins.models import LakeFile
from twins.models.ingestion import Dataset, FileState
from twins.selectors.minutes import minutes_of
from twins.services import compaction
from twins.services.compaction import (
    compact_crowded_days,
    compact_hot_tail,
    roll_up_files,
    settle_day,
    settle_finished_days,
)

DAY = date(2026, 5, 3)
T0 = datetime(2026, 5, 3, tzinfo=UTC)
S = timedelta(seconds=1)
LATER = datetime(2200, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def small_files_have_roll_ups(monkeypatch) -> None:
    monkeypatch.setattr("twins.lake.rollup._LEAST", 1)


def live(dataset: Dataset = Dataset.RAW) -> list[LakeFile]:
    return list(LakeFile.objects.filter(state=FileState.LIVE, dataset=dataset).order_by("sensor_min", "id"))


def test_a_day_is_settled_into_one_file_with_its_roll_up(sensor_keys, accept, scanned) -> None:
    rows = [(key, T0 + i * S, float(i)) for key in sensor_keys for i in range(120)]
    for part in range(3):
        accept(rows[part::3], key=str(part))
        compact_hot_tail()

    assert settle_day(day=DAY) == 3
    assert settle_day(day=DAY) == 0

    raw, minute = live()[0], live(Dataset.MINUTE)[0]
    assert (len(live()), raw.rows, raw.level, raw.minutes) == (1, 600, lake.SETTLED, 10)
    assert (minute.of, minute.rows, minute.level) == (raw, 10, lake.SETTLED)
    assert scanned(sensor_keys) == rows


def test_late_readings_are_settled_anew_and_the_old_roll_up_goes_with_its_file(sensor_keys, accept, scanned) -> None:
    accept([(sensor_keys[0], T0 + i * S, 1.0) for i in range(120)])
    compact_hot_tail()
    settle_day(day=DAY)
    accept([(sensor_keys[0], T0 + 5 * S, 7.0)])
    compact_hot_tail()
    exact = minutes_of(sensors=sensor_keys)

    assert settle_day(day=DAY) == 2

    assert (
        LakeFile.objects.filter(dataset=Dataset.MINUTE).order_by("id").values_list("state", flat=True)[0] == "retired"
    )
    assert minutes_of(sensors=sensor_keys).equals(exact)
    assert exact["max"].to_pylist() == [7.0, 1.0]
    assert [row for row in scanned(sensor_keys) if row[2] != 1.0] == [(sensor_keys[0], T0 + 5 * S, 7.0)]


def test_a_big_day_is_settled_in_stretches_of_sensors_and_noise_apart(
    sensor_keys, accept, scanned, monkeypatch
) -> None:
    monkeypatch.setattr(compaction, "FILE_ROWS", 1500)
    monkeypatch.setattr("twins.lake.writer.ROW_GROUP", 300)
    dice = random.Random(2)
    rows = [(key, T0 + i * S, dice.gauss(0, 1) if key % 2 else 1.0) for key in sensor_keys for i in range(600)]
    accept(rows)
    compact_hot_tail()

    settle_day(day=DAY)

    # Two or three sensors a stretch, and each of them split where it holds both kinds.
    kinds = [(file.rows, file.sensor_min % 2, file.sensor_max % 2) for file in live()]
    assert len(kinds) == 4
    assert all(low == high for _, low, high in kinds)
    assert sum(file.rows for file in live()) == 3000
    assert scanned(sensor_keys) == rows


def test_days_are_settled_once_they_are_over_and_quiet(sensor_keys, accept) -> None:
    accept([(sensor_keys[0], T0 + i * S, 1.0) for i in range(16)])
    compact_hot_tail()
    created = LakeFile.objects.get().created_at

    assert settle_finished_days(now=T0 + timedelta(hours=24, minutes=4)) == 0
    assert settle_finished_days(now=created + timedelta(minutes=4)) == 0
    assert settle_finished_days(now=created + timedelta(minutes=6)) == 1

    accept([(sensor_keys[0], T0 + 20 * S, 1.0)])
    compact_hot_tail()
    created = LakeFile.objects.latest("id").created_at
    assert settle_finished_days(now=created + timedelta(minutes=6)) == 0
    assert settle_finished_days(now=created + timedelta(minutes=61)) == 2
    accept([(sensor_keys[0], T0 + i * S, 2.0) for i in range(3)])
    compact_hot_tail()
    created = LakeFile.objects.latest("id").created_at
    assert settle_finished_days(now=created + timedelta(minutes=6)) == 2
    assert settle_finished_days(now=LATER) == 0


def test_files_of_an_earlier_version_get_their_roll_up_in_the_background(sensor_keys, accept) -> None:
    for part in range(2):
        accept([(key, T0 + (2 * i + part) * S, float(i)) for key in sensor_keys for i in range(60)], key=str(part))
        compact_hot_tail()
    compact_crowded_days(fan_in=2)
    exact = minutes_of(sensors=sensor_keys)
    LakeFile.objects.filter(dataset=Dataset.MINUTE).delete()
    LakeFile.objects.update(minutes=None)
    assert minutes_of(sensors=sensor_keys).equals(exact)

    assert roll_up_files() == 1
    assert roll_up_files() == 0

    raw, minute = live()[0], live(Dataset.MINUTE)[0]
    assert (minute.of, minute.rows, raw.minutes) == (raw, 10, 10)
    assert minutes_of(sensors=sensor_keys).equals(exact)


def test_a_roll_up_that_is_not_worth_a_file_is_counted_and_not_written(sensor_keys, accept) -> None:
    accept([(sensor_keys[0], T0 + 60 * i * S, 1.0) for i in range(50)])
    compact_hot_tail()
    settle_day(day=DAY)

    assert live(Dataset.MINUTE) == []
    assert live()[0].minutes == 50
    LakeFile.objects.update(minutes=None)
    assert roll_up_files() == 1
    assert (live()[0].minutes, LakeFile.objects.filter(dataset=Dataset.MINUTE).count()) == (50, 0)


def test_two_at_once_settle_a_day_once(sensor_keys, accept, scanned) -> None:
    rows = [(key, T0 + i * S, float(i)) for key in sensor_keys for i in range(120)]
    for part in range(4):
        accept(rows[part::4], key=str(part))
        compact_hot_tail()
    done: list[int] = []
    gate = threading.Barrier(3)

    def run() -> None:
        try:
            gate.wait()
            done.append(settle_day(day=DAY) + compact_crowded_days(fan_in=2) + roll_up_files())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settle_day(day=DAY)

    assert scanned(sensor_keys) == rows
    assert sum(file.rows for file in live()) == 600
    assert [minute.of_id for minute in live(Dataset.MINUTE)] == [raw.pk for raw in live()]
    assert not LakeFile.objects.filter(state=FileState.INTENT).exists()
    assert set(lake.list_files(settings().LAKE)) == set(LakeFile.objects.values_list("path", flat=True))
