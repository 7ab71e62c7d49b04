"""A full disk refuses readings with a sentence, keeps no half of them, and is forgotten once there is space again."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from django.db import connection

from assets.models import Sensor
from twins import lake
from twins.models import Batch
from twins.selectors.readings import scan_readings

ARROW = "application/vnd.apache.arrow.stream"
ROWS = 150_000


def body(sensor: Sensor) -> bytes:
    """More than fits into a row of PostgreSQL, and does not compress."""
    table = pa.table(
        {
            "sensor": pa.DictionaryArray.from_arrays(pa.array(np.zeros(ROWS, np.int32)), [str(sensor.uuid)]),
            "time": pa.array(np.arange(ROWS) * 1_000_000).cast(pa.timestamp("us", "UTC")),
            "value": pa.array(np.random.default_rng(1).random(ROWS)),
        }
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.fixture
def small_disk(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """A lake on a file system of its own, of 4 MB."""
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("this user may not mount a file system")
    settings.TWINS = {**settings.TWINS, "LAKE": place / "lake"}
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=False)


def send(client: httpx.Client, content: bytes) -> httpx.Response:
    return client.post("/ingest", content=content, headers={"Content-Type": ARROW, "Idempotency-Key": "k"})


def assert_put_off(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert "disk is full" in answer.json()["errors"][0]["message"]
    assert int(answer.headers["Retry-After"]) > 0
    assert not Batch.objects.exists()


def test_a_lake_without_space_refuses_and_recovers(client: httpx.Client, sensor: Sensor, small_disk: Path) -> None:
    content = body(sensor)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 3_900_000)
    for _ in range(3):
        assert_put_off(send(client, content))
        assert list(lake.list_files(small_disk / "lake")) == []
    filler.unlink()
    assert send(client, content).status_code == 201
    assert scan_readings(sensors=[sensor.pk]).num_rows == ROWS


def test_a_database_without_space_refuses_and_recovers(client: httpx.Client, sensor: Sensor, settings: Any) -> None:
    content = body(sensor)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
        )
        cursor.execute("CREATE TRIGGER no_space BEFORE INSERT ON twins_batch EXECUTE FUNCTION no_space()")
    try:
        assert_put_off(send(client, content))
        assert list(lake.list_files(settings.TWINS["LAKE"])) == []
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION no_space CASCADE")
    assert send(client, content).status_code == 201
