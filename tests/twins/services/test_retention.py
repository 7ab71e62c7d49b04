"""Retention frees the disk of what is past keeping; the minutes of it stay, and everything else is untouched."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from assets.models import Sensor
from twins import lake
from twins.models import LakeFile, LatestReading
from twins.models.ingestion import Dataset, FileState
from twins.selectors.minutes import minutes_of, windows_of
from twins.selectors.series import series_of
from twins.services.compaction import compact_hot_tail, settle_day, sweep_lake
from twins.services.retention import Expiry, expire_readings

DAY = date(2026, 5, 3)
T0 = datetime(2026, 5, 3, tzinfo=UTC)
S = timedelta(seconds=1)


def live(dataset: Dataset) -> list[LakeFile]:
    return list(LakeFile.objects.filter(state=FileState.LIVE, dataset=dataset))


@pytest.mark.parametrize("settled", [True, False])
def test_only_what_is_past_keeping_goes_and_its_minutes_stay(sensor_keys, accept, scanned, settled) -> None:
    dice = random.Random(4)
    short, shorter, ever = sensor_keys[:3]
    Sensor.objects.filter(pk=short).update(retention_days=10)
    Sensor.objects.filter(pk=shorter).update(retention_days=5)
    rows = [(key, T0 + i * S, dice.random()) for key in (short, shorter, ever) for i in range(100)]
    accept(rows[::2])
    compact_hot_tail()
    accept([*rows[1::2], (short, T0 + 5 * S, 7.0)])
    compact_hot_tail()
    if settled:
        settle_day(day=DAY)
    minutes = minutes_of(sensors=sensor_keys)
    chart = series_of(sensor_keys, start=None, end=None, points=3)
    kept = {key: scanned([key]) for key in sensor_keys[:3]}

    assert expire_readings(now=T0 + timedelta(days=5, hours=23)) == Expiry(0, 0)
    assert expire_readings(now=T0 + timedelta(days=6)) == Expiry(100, 0)
    assert scanned(sensor_keys) == kept[short] + kept[ever]
    assert expire_readings(now=T0 + timedelta(days=11)) == Expiry(100, 0)
    assert expire_readings(now=T0 + timedelta(days=11)) == Expiry(0, 0)

    assert scanned(sensor_keys) == kept[ever]
    assert minutes_of(sensors=sensor_keys).equals(minutes)
    assert series_of(sensor_keys, start=None, end=None, points=3) == chart
    assert windows_of(sensors=[short], width=60 * S)["count"].to_pylist() == [60, 40]
    assert list(LatestReading.objects.values_list("sensor_id", flat=True)) == [ever]
    assert len([file for file in live(Dataset.MINUTE) if file.of_id is None]) == 1
    sweep_lake(now=timezone.now() + timedelta(hours=2))
    held = {path: lake.footer_of(django_settings.TWINS["LAKE"], path).sensors.tolist() for path in
            (file.path for file in live(Dataset.RAW))}  # fmt: skip
    assert {sensor for sensors in held.values() for sensor in sensors} == {ever}
    assert set(lake.list_files(django_settings.TWINS["LAKE"])) == {file.path for file in LakeFile.objects.all()}


def test_a_day_without_anything_to_keep_leaves_only_minutes(sensor_keys, accept, scanned) -> None:
    Sensor.objects.update(retention_days=1)
    accept([(key, T0 + i * S, float(i)) for key in sensor_keys for i in range(60)])
    compact_hot_tail()

    assert expire_readings(now=T0 + timedelta(days=2)).readings == 300

    assert live(Dataset.RAW) == []
    assert scanned(sensor_keys) == []
    assert minutes_of(sensors=sensor_keys)["count"].to_pylist() == [60] * 5


def test_readings_that_arrive_past_keeping_change_no_minute_that_was_left(sensor_keys, accept, scanned) -> None:
    Sensor.objects.filter(pk=sensor_keys[0]).update(retention_days=1)
    accept([(sensor_keys[0], T0 + i * S, 1.0) for i in range(60)])
    compact_hot_tail()
    expire_readings(now=T0 + timedelta(days=2))
    before = minutes_of(sensors=sensor_keys)

    accept([(sensor_keys[0], T0 + 5 * S, 9.0), (sensor_keys[0], T0 + 65 * S, 3.0)])
    assert minutes_of(sensors=sensor_keys)["max"].to_pylist() == [1.0, 3.0]
    compact_hot_tail()
    assert expire_readings(now=T0 + timedelta(days=2)).readings == 2

    assert minutes_of(sensors=sensor_keys).slice(0, 1).equals(before)
    assert minutes_of(sensors=sensor_keys)["max"].to_pylist() == [1.0, 3.0]
    assert scanned(sensor_keys) == []


def test_minutes_left_behind_go_after_the_days_of_the_setting(sensor_keys, accept, settings) -> None:
    Sensor.objects.filter(pk=sensor_keys[0]).update(retention_days=1)
    accept([(key, T0 + i * S, 1.0) for key in sensor_keys[:2] for i in range(60)])
    compact_hot_tail()
    expire_readings(now=T0 + timedelta(days=2))
    settings.TWINS = {**settings.TWINS, "ROLLUP_DAYS": 30}

    assert expire_readings(now=T0 + timedelta(days=30)).archives == 0
    assert expire_readings(now=T0 + timedelta(days=31)).archives == 1

    assert minutes_of(sensors=sensor_keys)["sensor"].to_pylist() == [sensor_keys[1]]


def test_files_without_expired_sensors_are_looked_into_once(sensor_keys, accept, monkeypatch) -> None:
    Sensor.objects.filter(pk=sensor_keys[2]).update(retention_days=1)
    accept([(key, T0, 1.0) for key in (sensor_keys[0], sensor_keys[4])])
    compact_hot_tail()
    looked: list[str] = []
    footer = lake.footer_of
    monkeypatch.setattr(lake, "footer_of", lambda root, path: looked.append(path) or footer(root, path))

    for _ in range(3):
        assert expire_readings(now=T0 + timedelta(days=9)) == Expiry(0, 0)

    assert len(looked) == 1
