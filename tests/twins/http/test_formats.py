"""POST ingest in every format and encoding over a real socket: the same readings are kept, and partly where asked."""

from __future__ import annotations

import gzip
import io
import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.models import Sensor
from twins.models import Batch, DeadLetter
from twins.selectors.readings import scan_readings
from twins.services import pressure

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIMES = [T0 + n * timedelta(seconds=1) for n in range(20)]


def bodies(sensor: Sensor) -> dict[str, bytes]:
    key, texts = str(sensor.uuid), [at.isoformat() for at in TIMES]
    rows = [{"sensor": key, "time": at, "value": n / 7} for n, at in enumerate(texts)]
    table = pa.table({"sensor": [key] * 20, "time": pa.array(TIMES), "value": [n / 7 for n in range(20)]})
    stream, file = io.BytesIO(), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, file)
    lines = "\n".join(f"{key},{at},{n / 7!r}" for n, at in enumerate(texts))
    return {
        "application/json": json.dumps(rows).encode(),
        "application/json; charset=utf-8": json.dumps(
            {"sensor": key, "time": texts, "value": [n / 7 for n in range(20)]}
        ).encode(),
        "application/x-ndjson": "\n".join(map(json.dumps, rows)).encode(),
        "text/csv": f"sensor,time,value\n{lines}\n".encode(),
        "application/vnd.apache.arrow.stream": stream.getvalue(),
        "application/vnd.apache.parquet": file.getvalue(),
    }


@pytest.mark.parametrize("encoding", ["identity", "gzip", "zstd"])
def test_the_same_readings_are_kept_in_every_format(client: httpx.Client, sensor: Sensor, encoding: str) -> None:
    for number, (kind, body) in enumerate(bodies(sensor).items()):
        packed = {"identity": body, "gzip": gzip.compress(body), "zstd": pa.compress(body, "zstd", asbytes=True)}
        headers = {"Content-Type": kind, "Content-Encoding": encoding, "Idempotency-Key": str(number)}
        answer = client.post("/ingest", content=packed[encoding], headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (201, 20), (kind, answer.text)
        assert client.post("/ingest", content=packed[encoding], headers=headers).status_code == 200
    assert Batch.objects.values("content_hash").distinct().count() == 1
    table = scan_readings(sensors=[sensor.pk])
    assert table["value"].to_pylist() == [n / 7 for n in range(20)]
    assert table["time"].to_pylist() == TIMES


def test_good_rows_are_kept_where_the_request_asks_for_it(client: httpx.Client, sensor: Sensor) -> None:
    rows: list[Any] = [{"sensor": str(sensor.uuid), "time": "2026-03-01T12:00:00Z", "value": 1}, 7]
    rows.append({**rows[0], "sensor": str(uuid.uuid4())})
    headers = {"Idempotency-Key": "k"}
    assert client.post("/ingest", json=rows, headers=headers).status_code == 422
    first = client.post("/ingest?partial=true", json=rows, headers=headers)
    again = client.post("/ingest?partial=true", json=rows, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json()["accepted"], first.json()["rejected"]) == (1, 2)
    assert [reject["index"] for reject in first.json()["rejects"]] == [1, 2]
    assert again.json() == {**first.json(), "repeated": True}
    assert scan_readings(sensors=[sensor.pk]).num_rows == 1
    assert DeadLetter.objects.count() == 4
    assert client.post("/ingest?partial=maybe", json=rows).status_code == 400


def test_senders_wait_while_too_much_waits_for_compaction(client: httpx.Client, sensor: Sensor, settings: Any) -> None:
    row = {"sensor": str(sensor.uuid), "time": "2026-03-01T12:00:00Z", "value": 1}
    pressure.look_again()
    assert client.post("/ingest", json=[row]).status_code == 201
    settings.TWINS = {**settings.TWINS, "INGEST_MAX_WAITING": 100}
    pressure.look_again()
    for answer in (client.post("/ingest", json=[row]), client.post("/write", content="P1 T=2")):
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
        assert "wait for compaction" in answer.text
    settings.TWINS = {**settings.TWINS, "INGEST_MAX_WAITING": 10**9, "INGEST_MAX_DELAY": 0}
    time.sleep(0.01)
    pressure.look_again()
    assert "have waited" in client.post("/ingest", json=[row]).text
    assert Batch.objects.count() == 1
    Batch.objects.update(compacted_at=T0, body=None)
    pressure.look_again()
    assert client.post("/ingest", json=[{**row, "value": 2}]).status_code == 201
