"""SIGKILL at every named step of acceptance, compaction and merging: nothing acknowledged is lost, doubled or torn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.db import connection
from django.utils import timezone

from tests.waiting import PATIENCE
from twins import lake
from twins.models import Batch, Correction, LakeFile
from twins.models.ingestion import FileState
from twins.selectors.readings import latest_readings
from twins.services.compaction import sweep_lake

MIDNIGHT = datetime(2026, 5, 2, tzinfo=UTC)
ACCEPTANCE = [("landed", 1), ("inserted", 1), ("committed", 1)]
SWAP = ["planned", "written", "synced", "renamed", "published", "indexed", "committed"]
Run = Callable[..., int]


@pytest.fixture
def run(sensor_keys: list[int], settings: Any) -> Iterator[Run]:
    """Run one operation in a process of its own; its exit code, -9 when it was killed."""
    connection.close()
    worker = subprocess.Popen(
        [
            sys.executable, str(Path(__file__).with_name("killed_worker.py")),
            connection.settings_dict["NAME"], str(settings.TWINS["LAKE"]),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    assert worker.stdin is not None
    assert worker.stdout is not None

    def order(name: str, kill: tuple[str, int] | None = None, **arguments: Any) -> int:
        worker.stdin.write(json.dumps({"run": name, "kill": kill, **arguments}) + "\n")
        worker.stdin.flush()
        return int(worker.stdout.readline())

    yield order
    worker.stdin.close()
    assert worker.wait(PATIENCE) == 0


def until_done(run: Run, name: str, **arguments: Any) -> None:
    """As the schedule would: again until it worked; the locks of a killed one go with its connection."""
    deadline = time.monotonic() + PATIENCE
    while (code := run(name, **arguments)) != 0:
        assert code == 2
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Producer:
    """Sends batches that correct the one before and add new readings, and knows what must be there."""

    def __init__(self, run: Run, sensors: list[int]) -> None:
        self.run, self.sensors, self.number = run, sensors, 0
        self.expected: dict[tuple[int, datetime], float] = {}

    def send(self, kill: tuple[str, int] | None = None, *, max_body: int = 1_000_000) -> None:
        """Until acknowledged, under one key: the killed attempt and its repeat are one batch."""
        self.number += 1
        seconds = (-self.number - 1, -self.number, self.number, self.number + 1)
        times = [MIDNIGHT + timedelta(seconds=s) for s in seconds]
        rows = {(sensor, t): self.number + i / 10 for sensor in self.sensors for i, t in enumerate(times)}
        body = [[sensor, lake.microseconds(t), value] for (sensor, t), value in rows.items()]
        order = {"rows": body, "key": str(self.number), "max_body": max_body}
        if kill:
            assert self.run("accept", kill, **order) == -9
        until_done(self.run, "accept", **order)
        self.expected.update(rows)


def assert_all_there(producer: Producer, scanned: Callable[..., Any]) -> None:
    assert scanned(producer.sensors) == [(*key, producer.expected[key]) for key in sorted(producer.expected)]
    newest = max(time for _, time in producer.expected)
    assert {key: (r.time, r.value) for key, r in latest_readings(producer.sensors).items()} == {
        sensor: (newest, producer.expected[sensor, newest]) for sensor in producer.sensors
    }


def assert_tidy_after_a_sweep(root: Path) -> None:
    sweep_lake(now=timezone.now() + timedelta(hours=2))
    files = list(LakeFile.objects.all())
    assert {file.state for file in files} == {FileState.LIVE}
    assert set(lake.list_files(root)) == {file.path for file in files}
    assert [pq.read_metadata(root / file.path).num_rows for file in files] == [file.rows for file in files]


def test_a_killed_acceptance_is_whole_or_nothing_and_its_repeat_is_once(run, sensor_keys, scanned, settings) -> None:
    producer = Producer(run, sensor_keys)
    for kill in ACCEPTANCE:
        producer.send(kill, max_body=10)
        assert_all_there(producer, scanned)
    for kill in ACCEPTANCE[1:]:
        producer.send(kill)
        assert_all_there(producer, scanned)

    assert Batch.objects.count() == 5
    until_done(run, "compact")
    assert_all_there(producer, scanned)
    assert_tidy_after_a_sweep(settings.TWINS["LAKE"])


def test_a_correction_is_noted_once_wherever_its_compaction_is_killed(run, sensor_keys) -> None:
    """Each batch corrects one time of the one before, on either side of midnight."""
    producer = Producer(run, sensor_keys)
    for kill in [("synced", 1), ("indexed", 1), ("committed", 1)]:
        producer.send()
        assert run("compact", kill) == -9
        if kill[0] != "committed":
            until_done(run, "compact")
        last = producer.number * timedelta(seconds=1)
        noted = Correction.objects.order_by("sensor").values_list("sensor", "time_min", "time_max", "readings")
        assert list(noted) == [
            (sensor, MIDNIGHT - last, MIDNIGHT + last, 2) for sensor in sensor_keys if producer.number > 1
        ]
        Correction.objects.all().delete()


@pytest.mark.full
def test_a_killed_compaction_changes_nothing_or_everything(run, sensor_keys, scanned, settings) -> None:
    producer = Producer(run, sensor_keys)
    kills = [*((name, 1) for name in SWAP), ("written", 2), ("renamed", 2), ("unlinked", 1)]
    for number, kill in enumerate(kills):
        producer.send(max_body=10 if number % 2 else 1_000_000)
        producer.send()
        assert run("compact", kill) == -9
        assert_all_there(producer, scanned)
        producer.send()
        until_done(run, "compact")
        assert_all_there(producer, scanned)

    assert not Batch.objects.filter(compacted_at=None).exists()
    assert_tidy_after_a_sweep(settings.TWINS["LAKE"])
    assert_all_there(producer, scanned)


@pytest.mark.full
@pytest.mark.parametrize("operation", ["merge", "settle"])
def test_a_killed_merge_of_a_day_changes_nothing_or_everything(run, sensor_keys, scanned, settings, operation) -> None:
    producer = Producer(run, sensor_keys)
    for name in (*SWAP, "rolled"):
        for _ in range(2):
            producer.send()
            until_done(run, "compact")
        day = LakeFile.objects.filter(state=FileState.LIVE, level=0, dataset="raw").latest("id").day.isoformat()
        assert run(operation, (name, 1), day=day) == -9
        assert_all_there(producer, scanned)
        if name != "committed":
            until_done(run, operation, day=day)
            assert_all_there(producer, scanned)

    assert_tidy_after_a_sweep(settings.TWINS["LAKE"])
    assert_all_there(producer, scanned)
