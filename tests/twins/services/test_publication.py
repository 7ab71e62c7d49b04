"""What others read: DuckDB and pandas find in the manifest's files what a scan finds, corrections included."""

from __future__ import annotations

import csv
import json
import random
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from assets.models import Sensor
from twins.models import LakeFile
from twins.models.ingestion import FileState
from twins.selectors.readings import scan_readings
from twins.services.compaction import compact_crowded_days, compact_hot_tail, settle_day, sweep_lake
from twins.services.publication import publish_manifest

T0 = datetime(2026, 5, 1, 23, 50, tzinfo=UTC)
S = timedelta(seconds=1)
COLUMNS = ["sensor", "time", "value", "quality", "batch"]


@pytest.fixture
def changed_lake(sensor_keys, accept, monkeypatch) -> list[int]:
    """Settled, merged, small and hot readings of two days, corrected again and again."""
    monkeypatch.setattr("twins.lake.rollup._LEAST", 1)
    dice = random.Random(8)
    for number in range(24):
        accept([(dice.choice(sensor_keys), T0 + dice.randrange(1200) * S, dice.random()) for _ in range(80)])
        if number % 2 == 0:
            compact_hot_tail()
        if number == 8:
            settle_day(day=T0.date())
        if number in (12, 16):
            compact_crowded_days(fan_in=2)
    return sensor_keys


def scan(sensors: list[int]) -> list[tuple[Any, ...]]:
    rows = zip(*(scan_readings(sensors=sensors)[name].to_pylist() for name in COLUMNS), strict=True)
    return [(sensor, time.timestamp(), *rest) for sensor, time, *rest in rows]


def manifest() -> dict[str, Any]:
    return json.loads((settings.TWINS["LAKE"] / "manifest.json").read_text())


def test_a_manifest_waits_for_who_is_moving_readings_into_files(sensor_keys, accept) -> None:
    accept([(sensor_keys[0], T0, 1.0)])

    def publish() -> list[dict[str, Any]]:
        try:
            return list(publish_manifest(now=timezone.now())["files"])
        finally:
            connection.close()

    def publish_meanwhile(name: str) -> None:
        if name == "written":
            published.append(pool.submit(publish))
            with suppress(TimeoutError):
                published[0].result(timeout=1)

    published: list[Future[list[dict[str, Any]]]] = []
    with ThreadPoolExecutor(1) as pool:
        assert compact_hot_tail(step=publish_meanwhile) == 1
        assert [(file["sensor_min"], file["rows"]) for file in published[0].result()] == [(sensor_keys[0], 1)]


def test_duckdb_and_pandas_agree_with_a_scan_on_every_row(changed_lake, capsys, monkeypatch) -> None:
    expected = scan(changed_lake)

    call_command("lake", "manifest")

    found = manifest()
    assert f"{len(found['files'])} files" in capsys.readouterr().out
    assert {file["alone"] for file in found["files"]} == {False}
    monkeypatch.chdir(settings.TWINS["LAKE"])
    with duckdb.connect() as engine:
        engine.execute(found["duckdb"])
        by_duckdb = engine.execute("SELECT sensor, epoch(time), value, quality, batch FROM readings").fetchall()
    frames = [pd.read_parquet(settings.TWINS["LAKE"] / file["path"])[COLUMNS] for file in found["files"]]
    frame = pd.concat(frames).sort_values(["sensor", "time", "batch"])
    kept = frame.drop_duplicates(["sensor", "time"], keep="last")
    kept = kept.assign(time=[time.timestamp() for time in kept["time"]])

    assert len(expected) > 1000 < len(frame)
    assert sorted(by_duckdb) == expected
    assert list(kept.itertuples(index=False, name=None)) == expected


def test_the_manifest_says_what_the_files_are(changed_lake) -> None:
    for day in (T0.date(), (T0 + timedelta(days=1)).date()):
        compact_hot_tail()
        settle_day(day=day)
    now = timezone.now()

    publish_manifest(now=now)

    found, live = manifest(), LakeFile.objects.filter(state=FileState.LIVE)
    assert {(f["path"], f["rows"], f["sha256"]) for f in [*found["files"], *found["minutes"]]} == set(
        live.values_list("path", "rows", "sha256")
    )
    assert {minute["of"] for minute in found["minutes"]} == {file["path"] for file in found["files"]}
    assert {file["alone"] for file in found["files"]} == {True}
    assert "QUALIFY" not in found["duckdb"]
    assert datetime.fromisoformat(found["readable_until"]) - now == timedelta(hours=1)
    named = pq.read_table(settings.TWINS["LAKE"] / found["sensors"]).to_pylist()
    assert {(row["sensor"], UUID(row["uuid"]), row["name"]) for row in named} == set(
        Sensor.objects.values_list("pk", "uuid", "name")
    )


def test_files_of_a_manifest_outlive_what_replaces_them(changed_lake) -> None:
    made = publish_manifest(now=timezone.now())
    for day in (T0.date(), (T0 + timedelta(days=1)).date()):
        settle_day(day=day)
    sweep_lake(now=timezone.now() + timedelta(minutes=59))

    root = settings.TWINS["LAKE"]
    assert all((root / path).exists() for path in [made["sensors"], *(file["path"] for file in made["files"])])
    again = publish_manifest(now=timezone.now())
    sweep_lake(now=timezone.now() + timedelta(minutes=61))
    assert not any((root / path).exists() for path in [made["sensors"], *(file["path"] for file in made["files"])])
    assert all((root / path).exists() for path in [again["sensors"], *(file["path"] for file in again["files"])])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_export_holds_every_reading_once(changed_lake, tmp_path, ending) -> None:
    uuids = dict(Sensor.objects.values_list("pk", "uuid"))
    expected = sorted((str(uuids[row[0]]), *row[1:4]) for row in scan(changed_lake))
    target = tmp_path / f"all.{ending}"

    call_command("lake", "export", str(target))

    if ending == "csv":
        rows = list(csv.DictReader(target.open()))
        found = [
            (r["sensor"], datetime.fromisoformat(r["time"]).timestamp(), float(r["value"]), int(r["quality"]))
            for r in rows
        ]
    else:
        rows = pq.read_table(target).to_pylist()
        found = [(r["sensor"], r["time"].timestamp(), r["value"], r["quality"]) for r in rows]
    assert sorted(found) == expected
    assert {(row["asset"], row["unit"]) for row in rows} == {("P1", "1")}
    with pytest.raises(CommandError, match="exists"):
        call_command("lake", "export", str(target))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_export_of_one_sensor_and_a_window(changed_lake, tmp_path) -> None:
    target, sensor = tmp_path / "one.csv", Sensor.objects.get(pk=changed_lake[0])
    window = ["--start", T0.isoformat(), "--end", "2026-05-02T00:00:00Z"]

    call_command("lake", "export", str(target), "--sensor", str(sensor.uuid), *window)

    rows = list(csv.DictReader(target.open()))
    expected = scan_readings(sensors=[sensor.pk], start=T0, end=datetime(2026, 5, 2, tzinfo=UTC))
    assert [float(row["value"]) for row in rows] == expected["value"].to_pylist()
    with pytest.raises(CommandError, match="not registered"):
        call_command("lake", "export", str(tmp_path / "none.csv"), "--sensor", str(UUID(int=1)))
    with pytest.raises(CommandError, match="neither"):
        call_command("lake", "export", str(tmp_path / "none.txt"))
