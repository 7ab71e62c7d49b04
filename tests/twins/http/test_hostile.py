"""Bodies made to hurt, over a real socket to a server of its own: a 4xx, soon and cheaply, and nothing is written."""

from __future__ import annotations

import gzip
import io
import json
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.models import Sensor
from tests.pace import within
from tests.twins.http.servers import a_server
from twins.models import Batch
from twins.services.tokens import create_token

ARROW, PARQUET, JSON = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet", "application/json"
LINES, CSV, NDJSON = "text/plain", "text/csv", "application/x-ndjson"
SENSOR = "7f2c1c3e-8d2b-4b0e-9a53-0c6c2f1d1e55"
MAX_SECONDS, MAX_GROWTH = 5, 200 << 20


@pytest.fixture
def server(transactional_db: None, tmp_path: Path) -> Iterator[tuple[httpx.Client, psutil.Process, Path]]:
    """A client of a web server of its own, the process, and its directory."""
    _, token = create_token(name="gateway", scopes=["ingest"])
    with a_server(tmp_path, token) as (client, process):
        yield client, process, tmp_path / "data"


def cpu(process: psutil.Process) -> float:
    """Seconds of processor time of a process and of the children it has waited for: other tests do not count."""
    return sum(process.cpu_times()[:4])


def memory(process: psutil.Process) -> int:
    """Bytes that are the process's own: a child that has not become another program yet shares all of its parent's."""
    return int(process.memory_full_info().uss)


@contextmanager
def peak(process: psutil.Process) -> Iterator[list[int]]:
    """The most memory of a process and what it starts, seen every few milliseconds, as the last entry."""
    seen, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            with suppress(psutil.Error):
                family = [process, *process.children(recursive=True)]
                seen[0] = max(seen[0], sum(map(memory, family)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def stream(table: pa.Table, compression: str | None = None) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=3)
    return sink.getvalue()


def readings(rows: int, sensor: str = SENSOR) -> pa.Table:
    return pa.table(
        {
            "sensor": pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), [sensor]),
            "time": pa.array(np.zeros(rows, np.int64)).cast(pa.timestamp("us", "UTC")),
            "value": pa.array(np.ones(rows)),
        }
    )


def claims(body: bytes, old: int, new: int) -> bytes:
    """The body with a 64-bit number in its metadata replaced."""
    return body.replace(struct.pack("<q", old), struct.pack("<q", new))


def rows_of(**change: object) -> bytes:
    return json.dumps([{"sensor": SENSOR, "time": "2026-03-01T12:00:00Z", "value": 1, **change}]).encode()


def plain(table: pa.Table) -> pa.Table:
    """Names written out, once for each row."""
    return table.set_column(0, "sensor", table["sensor"].cast(pa.string()))


def with_values(rows: int, values: list[object]) -> pa.Table:
    return readings(rows).set_column(2, "value", pa.array(values))


def bombs() -> dict[str, tuple[str, str, bytes]]:
    """Content type, encoding and a body that is far more than it seems."""
    long = "x" * 1_000_000
    zeros = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(zeros.compress(b"\0" * (1 << 20)) for _ in range(400)) + zeros.flush()
    good = stream(readings(100))
    nothing = stream(readings(100).append_column("quality", pa.nulls(100)))
    return {
        "gzip": (JSON, "gzip", bomb),
        "gzip of lines": (LINES, "gzip", bomb),
        "zstd": (CSV, "zstd", pa.compress(b"0" * (200 << 20), "zstd", asbytes=True)),
        "gzip in gzip": (JSON, "gzip", gzip.compress(bomb)),
        "empty objects": (JSON, "identity", b"[" + b"{}," * 2_700_000 + b"{}]"),
        "empty lists": (NDJSON, "identity", b"[]\n" * 2_700_000),
        "Parquet of many rows": (PARQUET, "identity", parquet(readings(3_000_000))),
        "Parquet of one long name": (PARQUET, "identity", parquet(readings(199_000, long))),
        "Parquet of long names": (PARQUET, "identity", parquet(plain(readings(150, long)))),
        "Arrow of long names": (ARROW, "identity", stream(plain(readings(300, long)), "zstd")),
        "Arrow that claims many rows": (ARROW, "identity", claims(good, 100, 10**12)),
        "Arrow of endless nothing": (ARROW, "identity", claims(nothing, 100, 2**40)),
        "lines of escapes": (LINES, "identity", b'm\\ ,a=b f="' + b"\\\\" * 3_000_000),
        "lines of separators": (LINES, "identity", b",=" * 4_000_000),
        "one line of fields": (LINES, "identity", b"m " + b",".join(b"f%d=1" % n for n in range(300_000))),
    }


def nonsense() -> dict[str, tuple[str, str, bytes]]:
    """Content type, encoding and a body that is not what it should be."""
    wide = pa.table({f"c{n}": [1.0] for n in range(10_000)})
    deep = b"[" * 5_000 + b"]" * 5_000
    nested = b'{"a":' * 900 + b"1" + b"}" * 901
    return {
        "truncated gzip": (JSON, "gzip", gzip.compress(rows_of())[:-6]),
        "deep JSON": (JSON, "identity", deep),
        "deep JSON in a row": (JSON, "identity", rows_of().replace(b"1}", nested)),
        "Parquet of 10,000 columns": (PARQUET, "identity", parquet(wide)),
        "Arrow of 10,000 columns": (ARROW, "identity", stream(wide)),
        "CSV of 10,000 columns": (CSV, "identity", b",".join(b"c%d" % n for n in range(10_000)) + b"\n1\n"),
        "indices that point outside": (ARROW, "identity", stream(readings(100)).replace(b"\0" * 400, b"\x7f" * 400)),
        "values of a wrong type": (ARROW, "identity", stream(with_values(2, ["1", "2"]))),
        "doubled columns": (ARROW, "identity", stream(readings(2).append_column("value", pa.array([2.0] * 2)))),
        "unknown content type": ("application/x-msgpack", "identity", rows_of()),
        "JSON as Arrow": (ARROW, "identity", rows_of()),
        "NaN": (JSON, "identity", rows_of().replace(b"1}", b"NaN}")),
        "infinity in Arrow": (ARROW, "identity", stream(with_values(2, [float("inf"), float("nan")]))),
        "the year 1": (JSON, "identity", rows_of(time="0001-01-01T00:00:00Z")),
        "the year 9999": (JSON, "identity", rows_of(time="9999-12-31T23:59:59Z")),
        "a name with slashes and dots": (JSON, "identity", rows_of(sensor="../../../../etc/cron.d/x")),
        "a name with a NUL": (JSON, "identity", rows_of(sensor="a\0b")),
        "lines that climb": (LINES, "identity", b"../../etc,a=../.. passwd=1 5"),
    }


@pytest.mark.full
def test_each_is_refused_soon_and_cheaply_and_nothing_is_written(
    server: tuple[httpx.Client, psutil.Process, Path],
) -> None:
    client, process, folder = server
    for warm in (rows_of(), rows_of(value=None)):  # what a first request brings to memory
        client.post("/ingest", content=warm, headers={"Content-Type": JSON})
    before = sorted(folder.rglob("*"))
    failures = {}
    for name, (kind, encoding, body) in {**bombs(), **nonsense()}.items():
        resting = memory(process)
        path = "/api/v2/write" if kind == LINES else "/ingest"
        started = cpu(process)
        with peak(process) as seen:
            answer = client.post(path, content=body, headers={"Content-Type": kind, "Content-Encoding": encoding})
        elapsed, growth = cpu(process) - started, seen[0] - resting
        if not (400 <= answer.status_code < 500 and within(elapsed, MAX_SECONDS) and growth < MAX_GROWTH):
            failures[name] = (answer.status_code, f"{elapsed:.1f} s", f"{growth >> 20} MB", answer.text[:200])
    assert failures == {}
    assert sorted(folder.rglob("*")) == before
    assert not Batch.objects.exists()
    assert not Sensor.objects.exists()
    assert process.is_running()
