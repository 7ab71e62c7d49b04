"""A check finds what was damaged; a rebuild, and a restore after a wipe, give the same, value for value."""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from twins import lake
from twins.models import Batch, LakeFile, LatestReading
from twins.models.ingestion import Dataset, FileState
from twins.selectors.minutes import minutes_of
from twins.selectors.readings import latest_readings, scan_readings
from twins.services import ingestion
from twins.services.compaction import compact_crowded_days, compact_hot_tail, settle_day
from twins.services.verification import check_lake

T0 = datetime(2026, 5, 1, 23, 50, tzinfo=UTC)
S = timedelta(seconds=1)


@pytest.fixture
def changed_lake(sensor_keys, accept, monkeypatch) -> list[int]:
    """Settled and small files, a hot body and a landing object."""
    monkeypatch.setattr("twins.lake.rollup._LEAST", 1)
    monkeypatch.setattr("twins.lake.rollup._PAYS", 1)
    dice = random.Random(9)
    for number in range(12):
        accept([(dice.choice(sensor_keys), T0 + dice.randrange(1200) * S, dice.random()) for _ in range(80)])
        compact_hot_tail()
        if number == 6:
            settle_day(day=T0.date())
    compact_crowded_days(fan_in=2)
    accept([(sensor_keys[0], T0 + 5 * S, 1.0)])
    monkeypatch.setattr(ingestion, "MAX_BODY", 10)
    accept([(sensor_keys[1], T0 + 7 * S, 2.0)])
    return sensor_keys


def state(sensors: list[int]) -> tuple[Any, ...]:
    return (
        scan_readings(sensors=sensors).to_pylist(),
        minutes_of(sensors=sensors).to_pylist(),
        latest_readings(sensors),
        list(LatestReading.objects.order_by("pk").values_list()),
    )


def test_a_whole_lake_is_found_whole(changed_lake, capsys) -> None:
    call_command("lake", "check")

    live = LakeFile.objects.filter(state=FileState.LIVE)
    assert f"{live.count()} files, {sum(file.rows or 0 for file in live)} rows" in capsys.readouterr().out


def test_a_check_names_what_is_damaged_missing_or_unknown(changed_lake, capsys) -> None:
    root: Path = settings.TWINS["LAKE"]
    first, second = LakeFile.objects.filter(state=FileState.LIVE, dataset=Dataset.RAW)[:2]
    data = bytearray((root / first.path).read_bytes())
    data[len(data) // 2] ^= 1
    (root / first.path).write_bytes(data)
    (root / second.path).unlink()
    unknown = lake.raw_path(T0.date(), "unknown")
    (root / unknown).write_bytes(b"x")
    hot, landed = Batch.objects.filter(compacted_at=None)
    Batch.objects.filter(pk=hot.pk).update(content_hash="0" * 64)
    (root / landed.landing).unlink()

    found = check_lake()

    assert sorted(fault.split(" is ")[0].split(" cannot")[0] for fault in found.faults) == sorted(
        [first.path, second.path, f"batch {hot.pk}", f"batch {landed.pk}"]
    )
    assert found.orphans == (unknown,)
    with pytest.raises(CommandError, match="is missing"):
        call_command("lake", "check")


def test_a_rebuild_equals_what_was_there(changed_lake) -> None:
    before = state(changed_lake)
    rolled = LakeFile.objects.filter(dataset=Dataset.MINUTE, state=FileState.LIVE)
    hashes = sorted(rolled.values_list("sha256", flat=True))
    LatestReading.objects.filter(pk=changed_lake[0]).update(value=-1.0)
    LatestReading.objects.filter(pk=changed_lake[1]).delete()

    call_command("lake", "rebuild")

    assert state(changed_lake) == before
    assert sorted(rolled.values_list("sha256", flat=True)) == hashes != []
    assert check_lake().faults == ()


def wipe() -> None:
    call_command("flush", interactive=False, verbosity=0)
    lake.remove_files(settings.TWINS["LAKE"], list(lake.list_files(settings.TWINS["LAKE"])))


def test_a_restore_after_a_wipe_gives_every_row_and_hash_again(
    place, changed_lake, accept, tmp_path, scanned, capsys
) -> None:
    before, target = state(changed_lake), tmp_path / "backup"
    files = sorted(LakeFile.objects.filter(state=FileState.LIVE).values_list("path", "sha256", "rows"))

    call_command("lake", "backup", str(target))
    accept([(changed_lake[2], T0, 99.0)])
    with pytest.raises(CommandError, match="exists"):
        call_command("lake", "backup", str(target))
    with pytest.raises(CommandError, match="holds rows"):
        call_command("lake", "restore", str(target))
    assert (changed_lake[2], T0, 99.0) in scanned(changed_lake)
    wipe()
    call_command("lake", "restore", str(target))

    assert "every row count and hash is that of the backup" in capsys.readouterr().out
    assert sorted(LakeFile.objects.filter(state=FileState.LIVE).values_list("path", "sha256", "rows")) == files
    assert state(changed_lake) == before
    assert check_lake().faults == ()
    accept([(changed_lake[2], T0, 98.0)])
    while compact_hot_tail():
        pass
    assert (changed_lake[2], T0, 98.0) in scanned(changed_lake)


def test_a_damaged_backup_and_a_lake_that_holds_files_are_refused(changed_lake, tmp_path) -> None:
    target = tmp_path / "backup"
    call_command("lake", "backup", str(target))
    wipe()
    stranger = settings.TWINS["LAKE"] / lake.raw_path(T0.date(), "stranger")
    stranger.write_bytes(b"mine")
    with pytest.raises(CommandError, match="stranger"):
        call_command("lake", "restore", str(target))
    assert stranger.read_bytes() == b"mine"
    stranger.unlink()
    victim = next((target / "lake").rglob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[:-1])

    with pytest.raises(CommandError, match="missing or damaged"):
        call_command("lake", "restore", str(target))
    with pytest.raises(CommandError, match="no backup"):
        call_command("lake", "restore", str(tmp_path))

    assert not Batch.objects.exists()
    assert list(lake.list_files(settings.TWINS["LAKE"])) == []


def test_a_backup_is_of_one_instant_while_readings_come_in(sensor_keys, accept, tmp_path, scanned, monkeypatch) -> None:
    monkeypatch.setattr(ingestion, "MAX_BODY", 10)
    stop, sent = threading.Event(), []

    def send() -> None:
        try:
            while not stop.is_set():
                accept([(sensor_keys[0], T0 + len(sent) * S, float(len(sent)))])
                sent.append(len(sent))
                compact_hot_tail()
                compact_crowded_days(fan_in=3)
        finally:
            connection.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        while len(sent) < 5:
            stop.wait(0.01)
        call_command("lake", "backup", str(tmp_path / "backup"))
        most = len(sent) + 1
    finally:
        stop.set()
        thread.join()
    wipe()
    call_command("lake", "restore", str(tmp_path / "backup"))

    rows = scanned(sensor_keys)
    assert 5 <= len(rows) <= most
    assert rows == [(sensor_keys[0], T0 + i * S, float(i)) for i in range(len(rows))]
    assert Batch.objects.count() == len(rows)
    assert check_lake().faults == ()
