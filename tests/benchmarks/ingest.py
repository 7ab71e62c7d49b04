"""What taking readings in costs, against bare PostgreSQL, bare Parquet, VictoriaMetrics and InfluxDB.

Web server, worker and clock run as `up` starts them, and have taken in and looked at some readings before anything is
measured. Processor time is that of everything on the server side, until what was sent is compacted and the service is
quiet again; peers that are not installed are `absent`.
"""

from __future__ import annotations

import argparse
import io
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.db import connection

from assets.models import Sensor
from assets.services import NewAsset, create_assets, create_sensors
from config.benchmarks import Figure
from tests.benchmarks import _peers, _service
from tests.benchmarks._client import Client
from tests.benchmarks._mixed import Mixed
from twins import lake
from twins.services.tokens import create_token

ARROW = "application/vnd.apache.arrow.stream"
_LINES = 10_000
"""Lines in one request, as VictoriaMetrics recommends."""
_RETRIES = 120
_BEFORE = 600
"""Seconds that a warm-up takes at most: what is measured is later than what it has sent."""
_FIRST = 20
"""Requests of the latency figure that are not counted: either side prepares its statement in them."""
_BEHIND = 10
"""Seconds in which merges that run behind come to their end, on either side."""
_ROUND, _QUIET, _ROUNDS = 7.0, 0.1, 30
"""Seconds in which each periodic task that looks at readings runs, the share of a core that an idle service needs at
most, and how often it is waited for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=float, default=2e6, help="readings of each throughput figure (default 2e6)")
    parser.add_argument("--sensors", type=int, default=2_000, help="sensors (default 2000)")
    parser.add_argument("--requests", type=int, default=200, help="requests of the latency figure (default 200)")
    parser.add_argument("--memory-rows", type=float, default=5e6, help="readings of the memory figure (default 5e6)")
    parser.add_argument("--only", default="", help="figures whose name begins so")


def run(options: argparse.Namespace) -> Iterator[Figure]:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sensors = _register(options.sensors)
    _, token = create_token(name="benchmark", scopes=["ingest"])
    figures = {
        "accept_1000_vs_insert": _accept,
        "lineprotocol_cpu_vs_victoriametrics": _line_protocol,
        "arrow_vs_write_table": _arrow,
        "memory_growth_mb": _memory,
    }
    for name, measure in figures.items():
        if name.startswith(options.only):
            with (
                tempfile.TemporaryDirectory(prefix="twins-bench-") as folder,
                _service.running(Path(folder)) as service,
            ):
                yield from measure(service, Sender(service.url, token, sensors), options)
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE twins_batch, twins_lakefile, twins_latestreading")


class Sender:
    """A gateway: it keeps one connection, and comes again when it is asked to."""

    def __init__(self, url: str, token: str, sensors: list[Sensor]) -> None:
        self.client = Client(url, {"Authorization": f"Token {token}"})
        self.sensors = sensors
        self.uuids = pa.array([sensor.uuid.bytes for sensor in sensors], pa.binary(16))

    def send(self, path: str, body: bytes, kind: str) -> None:
        self.send_request(self.client.request("POST", path, body, kind))

    def send_request(self, request: bytes) -> None:
        """Send what `Client.request` has made until it is kept; raises RuntimeError for any other answer."""
        for _ in range(_RETRIES):
            try:
                status, said = self.client.ask(request)
            except ConnectionError:  # closed for being idle
                continue
            if status != 429:
                break
            time.sleep(1)
        if status not in (201, 204):
            raise RuntimeError(f"{request[:60]!r} was answered {status}: {said[:300]!r}")

    def send_arrow(self, body: bytes) -> None:
        self.send("/ingest", body, ARROW)

    def arrow(self, readings: pa.Table) -> bytes:
        """Readings with UUIDs of 16 bytes, each once."""
        codes = readings["sensor"].combine_chunks()
        names = self.uuids.slice(0, pc.max(codes).as_py() + 1)
        table = readings.set_column(0, "sensor", pa.DictionaryArray.from_arrays(codes, names))
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue()


def lines(readings: pa.Table) -> bytes:
    """Line protocol in milliseconds: ten sensors an asset, their kind as measurement."""
    columns = (readings[name] for name in ("sensor", "value"))
    times = readings["time"].cast(pa.int64()).to_numpy() // 1_000
    rows = zip(*(column.to_pylist() for column in columns), times.tolist(), strict=True)
    return "\n".join(f"reading,asset=A{s // 10:04},sensor=S{s} value={v!r} {t}" for s, v, t in rows).encode()


def _register(count: int) -> list[Sensor]:
    assets = create_assets(rows=[NewAsset(tag=f"A{n:04}", name="part", level="part") for n in range(-(-count // 10))])
    return create_sensors(
        sensors=[Sensor(asset=assets[f"A{n // 10:04}"], name=f"S{n}", quantity="mixed") for n in range(count)]
    )


# p50 of one request, against the same row written by psycopg alone


def _accept(service: _service.Service, sender: Sender, options: argparse.Namespace) -> Iterator[Figure]:
    first, second, *tables = Mixed(rows=1_000 * (options.requests + _FIRST + 2), sensors=1_000).tables(1_000)
    _warm(service, [lambda table=table: sender.send_arrow(sender.arrow(table)) for table in (first, second)])
    # Made before, as a gateway's next body and the bare row are there when their time has come.
    requests = [sender.client.request("POST", "/ingest", sender.arrow(table), ARROW) for table in tables]
    rows = [_row(table) for table in tables]
    over_http: list[float] = []
    bare: list[float] = []
    with psycopg.connect(_service.address()) as database:
        for number, (request, row) in enumerate(zip(requests, rows, strict=True)):
            # One beside the other, each first in turn, so that whatever else the machine does falls on both.
            ways: list[tuple[list[float], Callable[[], object]]] = [
                (over_http, partial(sender.send_request, request)),
                (bare, partial(_insert, database, str(number), row)),
            ]
            for times, call in ways[:: 1 if number % 2 else -1]:
                times.append(_timed(call))
    over_http, bare = over_http[_FIRST:], bare[_FIRST:]
    _told(f"p50 over HTTP {_ms(over_http):.2f} ms, bare INSERT {_ms(bare):.2f} ms")
    yield Figure(name="accept_1000_vs_insert", value=_ms(over_http) / _ms(bare), unit="times", goal=("<=", 2.0))


def _row(readings: pa.Table) -> bytes:
    return lake.encode_body(lake.sort_and_drop_repeats(lake.conform(readings)))


def _insert(database: psycopg.Connection, key: str, body: bytes) -> None:
    database.execute(
        "INSERT INTO twins_batch (source, key, content_hash, rows_received, rows, bytes, sensor_min, sensor_max, "
        "time_min, time_max, body) VALUES ('bare', %s, 'x', 1000, 1000, %s, 1, 2, now(), now(), %s)",
        [key, len(body), body],
    )
    database.commit()


# Processor time from HTTP to compacted, against VictoriaMetrics and InfluxDB


def _line_protocol(service: _service.Service, sender: Sender, options: argparse.Namespace) -> Iterator[Figure]:
    first, second = _lately(2 * _LINES, options.sensors, before=_BEFORE + int(options.rows) // options.sensors)

    def write(bodies: list[bytes]) -> None:
        for body in bodies:
            sender.send("/api/v2/write?precision=ms", body, "text/plain")

    _warm(service, [lambda: write([first]), lambda: write([second])])
    bodies = _lately(int(options.rows), options.sensors)
    rows = sum(body.count(b"\n") + 1 for body in bodies)
    ours = _cost(service, lambda: write(bodies))
    _told(f"microseconds of processor a reading: {ours / rows * 1e6:.2f}")
    for peer, goal in ((_peers.VICTORIA_METRICS, ("<=", 1.5)), (_peers.INFLUXDB, None)):
        theirs = _cost_at(peer, first, bodies)
        if theirs:
            _told(f"{peer.name}: {theirs / rows * 1e6:.2f}")
        value = ours / theirs if theirs else None
        yield Figure(name=f"lineprotocol_cpu_vs_{peer.name}", value=value, unit="times", goal=goal)


def _lately(rows: int, sensors: int, *, before: int = 0) -> list[bytes]:
    """Bodies of about so many readings up to now, or so many seconds before: of old ones a service would say meanwhile
    that they have ceased."""
    sent = Mixed(rows=rows, sensors=sensors, start=(int(time.time()) - before - -(-rows // sensors)) * 1_000_000)
    return [lines(table) for table in sent.tables(_LINES)]


def _warm(service: _service.Service, sends: Sequence[Callable[[], object]]) -> None:
    """Let the service do each of its tasks, of which one compiles what it runs when it first sees a sensor go on, and
    look at every sensor: it begins with some at a time, and what it costs would depend on how long it has been up."""
    for send in sends:
        send()
        _looked_at()
        for _ in range(_ROUNDS):
            if _idle(service.cpu, _ROUND) < _QUIET:
                break


def _cost(service: _service.Service, send: Callable[[], object]) -> float:
    """Seconds of processor time until everything sent is compacted and looked at, without what an idle service uses."""
    idle = _idle(service.cpu)
    before, begun = service.cpu(), time.monotonic()
    send()
    _looked_at()
    time.sleep(_BEHIND)
    return service.cpu() - before - idle * (time.monotonic() - begun)


def _idle(cpu: Callable[[], float], seconds: float = 20) -> float:
    """Share of a core that nothing to do costs."""
    before = cpu()
    time.sleep(seconds)
    return (cpu() - before) / seconds


def _compacted() -> None:
    _await_none("twins_batch WHERE compacted_at IS NULL AND source <> 'bare'")


def _looked_at() -> None:
    """Wait until all is compacted, and the newest reading of every sensor was looked at."""
    _compacted()
    _await_none(
        "twins_latestreading newest LEFT JOIN twins_sensorstate known USING (sensor_id) "
        "WHERE known.until IS NULL OR known.until < newest.time"
    )


def _await_none(rows: str) -> None:
    while True:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT EXISTS (SELECT FROM {rows})")
            if not cursor.fetchone()[0]:
                return
        time.sleep(0.2)


def _cost_at(peer: _peers.Peer, first: bytes, bodies: list[bytes]) -> float | None:
    """Seconds of processor time for the same at a peer; None where it is not installed."""
    with tempfile.TemporaryDirectory() as folder, _peers.running(peer, Path(folder)) as other:
        if other is None:
            return None
        other.client.post(peer.write, content=first).raise_for_status()
        idle = _idle(other.cpu)
        before, begun = other.cpu(), time.monotonic()
        for body in bodies:
            other.client.post(peer.write, content=body).raise_for_status()
        if peer.flush:
            other.client.get(peer.flush)
        time.sleep(_BEHIND)
        return other.cpu() - before - idle * (time.monotonic() - begun)


# Readings a second from HTTP to compacted, against writing the same, sorted, as one Parquet file


def _arrow(service: _service.Service, sender: Sender, options: argparse.Namespace) -> Iterator[Figure]:
    first, second, *tables = Mixed(rows=int(options.rows) + 300_000, sensors=options.sensors).tables(150_000)
    rows = sum(table.num_rows for table in tables)
    bodies = [sender.arrow(readings) for readings in tables]
    _warm(service, [lambda table=table: sender.send_arrow(sender.arrow(table)) for table in (first, second)])

    def send() -> None:
        for body in bodies:
            sender.send_arrow(body)
        _compacted()

    whole = pa.concat_tables(tables).sort_by([("sensor", "ascending"), ("time", "ascending")]).combine_chunks()
    before = _timed(lambda: pq.write_table(whole, io.BytesIO()))
    ours = _timed(send)
    after = _timed(lambda: pq.write_table(whole, io.BytesIO()))
    bare = (before + after) / 2
    _told(f"readings a second: {rows / ours:,.0f}, write_table {rows / bare:,.0f}")
    yield Figure(name="arrow_vs_write_table", value=bare / ours, unit="times", goal=(">=", 0.12), digits=3)


# Memory of web server and worker


def _memory(service: _service.Service, sender: Sender, options: argparse.Namespace) -> Iterator[Figure]:
    rows = int(options.memory_rows)
    warm, sent, seen = max(rows // 10, 1_000_000), 0, list[int]()
    for number, readings in enumerate(Mixed(rows=warm + rows, sensors=options.sensors).tables(100_000)):
        if number % 4 == 3:
            for first in range(0, readings.num_rows, _LINES):
                body = lines(readings.slice(first, _LINES))
                sender.send("/api/v2/write?precision=ms", body, "text/plain")
        else:
            sender.send_arrow(sender.arrow(readings))
        sent += readings.num_rows
        if sent >= warm + len(seen) * rows / 10:
            _compacted()
            if not seen:
                _warm(service, [lambda: None])
            seen.append(_held(service))
            _told(f"{sent:,} readings: {seen[-1] / 2**20:.0f} MB")
    growth = float(np.median(seen[-3:]) - np.median(seen[:3])) / 2**20
    yield Figure(name="memory_growth_mb", value=growth, unit="MB", goal=("<=", 64.0), digits=0)


def _held(service: _service.Service) -> int:
    """What is held between two pieces of work: the least within some seconds, in which a merge comes to its end."""

    def sample() -> int:
        time.sleep(1)
        return service.memory()

    return min(sample() for _ in range(_BEHIND))


def _timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _ms(seconds: list[float]) -> float:
    return statistics.median(seconds) * 1e3


def _told(text: str) -> None:
    print(text, file=sys.stderr)
