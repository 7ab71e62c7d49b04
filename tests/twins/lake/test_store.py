"""The same lake in a directory and in a bucket: accepted, compacted, merged, read and swept alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from twins import lake
from twins.exceptions import ConfigurationError
from twins.models import Batch, LakeFile
from twins.models.ingestion import FileState
from twins.selectors.minutes import minutes_of
from twins.selectors.readings import latest_readings
from twins.services import ingestion
from twins.services.compaction import compact_crowded_days, compact_hot_tail, settle_day, sweep_lake

T0 = datetime(2026, 5, 1, 23, 59, 58, tzinfo=UTC)
S = timedelta(seconds=1)


def test_a_file_has_its_name_once_it_is_published_and_is_gone_once_removed(place: Any) -> None:
    path = lake.raw_path(T0.date(), "a")
    store = lake.open_store(place)

    store.write(path, b"all of it")
    store.publish([path], lambda name: None)

    with store.open(path) as source:
        assert source.read() == b"all of it"
    assert list(lake.list_files(place)) == [path]
    assert list(lake.old_files(place, 0)) == []
    assert list(lake.old_files(place, datetime(2200, 1, 1, tzinfo=UTC).timestamp())) == [path]
    assert lake.remove_files(place, [path, path]) == 1
    assert list(lake.list_files(place)) == []
    with pytest.raises(FileNotFoundError):
        store.open(path).read()
    assert store.is_writable()


def test_readings_are_the_same_wherever_the_lake_lies(place, sensor_keys, accept, scanned, monkeypatch) -> None:
    monkeypatch.setattr("twins.lake.rollup._LEAST", 1)
    monkeypatch.setattr("twins.lake.rollup._PAYS", 1)
    expected: dict[tuple[int, datetime], float] = {}
    for number in range(12):
        # Every third is a landing object.
        monkeypatch.setattr(ingestion, "MAX_BODY", 10 if number % 3 == 0 else 1_000_000)
        rows = {(key, T0 + (i + number // 2) * S): number + i / 10 for key in sensor_keys for i in range(3)}
        accept([(*key, value) for key, value in rows.items()], key=str(number))
        expected.update(rows)
        if number % 2:
            compact_hot_tail()
        if number % 4 == 3:
            compact_crowded_days(fan_in=2)
        assert scanned(sensor_keys) == [(*key, expected[key]) for key in sorted(expected)]
    assert not Batch.objects.filter(compacted_at=None).exists()
    live = LakeFile.objects.filter(state=FileState.LIVE)
    assert set(lake.list_files(place)) > set(live.values_list("path", flat=True))

    for day in (T0.date(), (T0 + timedelta(days=1)).date()):
        settle_day(day=day)
    sweep_lake(now=timezone.now() + timedelta(hours=2))

    assert set(lake.list_files(place)) == set(live.values_list("path", flat=True))
    assert set(live.values_list("dataset", flat=True)) == {"raw", "minute"}
    assert minutes_of(sensors=sensor_keys)["count"].to_pylist() == [2, 6] * 5
    assert scanned(sensor_keys) == [(*key, expected[key]) for key in sorted(expected)]
    assert latest_readings(sensor_keys)[sensor_keys[0]].time == max(time for _, time in expected)


def test_a_place_that_is_neither_directory_nor_bucket_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"TWINS\['LAKE'\] is 'ftp://plant'"):
        lake.open_store("ftp://key:secret@plant?scheme=http")


def test_keys_in_a_uri_are_for_nobody_to_read() -> None:
    assert lake.public_name("s3://key:secret@plant/lake?region=x") == "s3://plant/lake"
    assert lake.public_name("s3://plant/lake") == "s3://plant/lake"
    assert lake.public_name("/srv/lake@home?") == "/srv/lake@home?"
