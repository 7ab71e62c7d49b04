"""Queries over HTTP beside raw SQL and PostGraphile: processor time a request, on the same PostgreSQL, in turns.

A is a whole system (100 products x 50 parts x 4 sensors), B a page of 50 products with 20 parts each, C one part with
its ancestors and sensors, D the worst 50 parts of all with their parents; asked of that system alone, and again among
100,000 assets. Ours is the service as `up` runs it, with the token of a user who views that system alone, its rights
and limits on. Raw SQL is written by hand, has the same predicate, gives the same bytes and is served by the same web
server without a framework. A figure counts web server and PostgreSQL, as the kernel does; worker and clock are held
meanwhile, because what they ask of PostgreSQL would fall on whoever has his turn. `_telemetry` is A of one product with
the past of every sensor.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import cycle
from operator import sub, truediv
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import psutil  # type: ignore[import-untyped]
import psycopg
from django.contrib.auth import get_user_model
from django.db import ProgrammingError, connection

from assets.models import Asset
from assets.services import NewAsset, create_assets, give_role
from config.benchmarks import Figure
from config.bootstrap import ROOT
from tests.benchmarks import _postgraphile as peer
from tests.benchmarks._raw_sql import OURS, RAW
from tests.benchmarks._servers import Server, asking, nanoseconds, wait_for_port
from tests.benchmarks._service import Service, address, family, free_port, running, wait_for
from tests.benchmarks._telemetry import telemetry
from twins.services.tokens import create_token

PRODUCTS, PARTS = 100, 50
SYSTEMS = 20
"""Systems of 5,101 assets each that make 100,000."""
CLIENTS = 20
"""Tokens that take turns."""
_RATIOS = ("a", "b")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=15, help="turns of each with each query")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn")
    parser.add_argument("--postgraphile", type=Path, help="folder in which npm has installed postgraphile and node")
    parser.add_argument("--small", action="store_true", help="only the one system, not among 100,000 assets")
    parser.add_argument("--only-telemetry", action="store_true", help="only the screen with the past of 200 sensors")


def run(options: Namespace) -> Iterator[Figure]:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    print(f"load {os.getloadavg()[0]:.2f}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="twins-telemetry-") as data:
        yield from telemetry(Path(data), rounds=options.rounds)
    if not options.only_telemetry:
        yield from _queries(options)
    print(f"load {os.getloadavg()[0]:.2f}", file=sys.stderr)


def _queries(options: Namespace) -> Iterator[Figure]:
    engines = [one for one in psutil.Process().children() if one.name() != "npm"]
    with tempfile.TemporaryDirectory(prefix="twins-peer-") as folder, ExitStack() as stack:
        npm: Path | None = options.postgraphile
        if npm is None and peer.installed(Path(folder)):
            npm = Path(folder)
        _plant("S0")
        service = stack.enter_context(running(Path(tempfile.mkdtemp(prefix="twins-reads-", dir=folder))))
        bench = _Bench(service, engines, npm, options)
        yield from bench.figures("")
        if not options.small:
            for number in range(1, SYSTEMS):
                _plant(f"S{number}")
            yield from bench.figures("_among_100k")


class _Bench:
    def __init__(self, service: Service, engines: list[psutil.Process], npm: Path | None, options: Namespace) -> None:
        self._service, self._engines, self._npm, self._options = service, engines, npm, options
        top = Asset.objects.get(tag="S0")
        part = Asset.objects.get(tag="S0-42-17")
        user = get_user_model().objects.create_user("viewer")
        give_role(role="viewer", user=user, asset=top)
        # Each may ask 100 times a second, and one client asks more often.
        self._tokens = cycle([create_token(name=f"bench {n}", scopes=["read"], user=user)[1] for n in range(CLIENTS)])
        self._given = {
            "tag": top.tag,
            "part": part.tag,
            "tops": [top.pk],
            "top": top.pk,
            "s": str(top.pk),
            "p": str(part.pk),
        }

    def figures(self, suffix: str) -> Iterator[Figure]:
        if self._npm is not None:
            peer.fill()
        with connection.cursor() as cursor:
            # What was filled is vacuumed and written now, not while somebody has his turn.
            cursor.execute("VACUUM ANALYZE")
            with suppress(ProgrammingError):  # for which a database of one's own may lack the right
                cursor.execute("CHECKPOINT")
        with ExitStack() as stack:
            raw = stack.enter_context(self._raw())
            servers = [self._ours(), raw]
            if self._npm is not None:
                servers.append(stack.enter_context(self._peer(self._npm)))
            self._compare(servers[:2])
            with _held(self._service.children[1:]):
                self._measure(servers)
        found = {server.name: server for server in servers}
        for query in OURS:
            yield from _figures(query, suffix, found)

    def _ours(self) -> Server:
        def headers() -> dict[str, str]:
            return {"Authorization": f"Bearer {next(self._tokens)}", "Content-Type": "application/json"}

        wanted = {"a": ["tag"], "b": ["tag"], "c": ["part"], "d": []}
        bodies = {
            name: orjson.dumps({"query": text, "variables": {each: self._given[each] for each in wanted[name]}})
            for name, text in OURS.items()
        }
        return Server("ours", self._service.children[0], asking(self._service.url, "/graphql/", headers, bodies))

    @contextmanager
    def _raw(self) -> Iterator[Server]:
        port = free_port()
        environment = {
            **os.environ,
            "RAW_DATABASE": address(),
            "RAW_STATEMENTS": orjson.dumps({name: self._fastest(name) for name in RAW}).decode(),
            "RAW_PARAMETERS": orjson.dumps(self._given).decode(),
        }
        web = [sys.executable, "-m", "uvicorn", "tests.benchmarks._raw:application", f"--port={port}"]
        web += ["--lifespan=off", "--no-access-log", "--no-server-header", "--log-level=warning"]
        child = subprocess.Popen(web, cwd=ROOT, env=environment)
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(url)
            ask = asking(url, None, dict, dict.fromkeys(RAW, b""))
            yield Server("raw", psutil.Process(child.pid), ask)
        finally:
            child.terminate()
            child.wait(20)

    def _fastest(self, name: str) -> str:
        """The statement of those written for the query that is the fastest here, once it is planned for good."""
        taken: dict[str, float] = {}
        with psycopg.connect(address(), autocommit=True) as line:
            for statement in RAW[name]:
                times = []
                for _ in range(10 if len(RAW[name]) > 1 else 1):
                    begun = time.perf_counter()
                    line.execute(statement, self._given, prepare=True).fetchall()
                    times.append(time.perf_counter() - begun)
                taken[statement] = min(times[-4:])
        return min(taken, key=lambda statement: taken[statement])

    @contextmanager
    def _peer(self, npm: Path) -> Iterator[Server]:
        with peer.serving(npm) as (url, process):
            wait_for_port(url)
            names = {"a": ["s"], "b": ["s"], "c": ["p"], "d": []}
            bodies = {
                name: orjson.dumps({"query": text, "variables": {each: self._given[each] for each in names[name]}})
                for name, text in peer.QUERIES.items()
            }
            ask = asking(url, "/graphql", lambda: {"Content-Type": "application/json"}, bodies)
            yield Server("peer", process, ask)

    def _compare(self, servers: list[Server]) -> None:
        """The same bytes from both, or there is nothing to compare."""
        ours, raw = servers
        for query in OURS:
            if ours.ask(query) != raw.ask(query):
                raise RuntimeError(
                    f"Query {query} gives other bytes:\n{ours.ask(query)[:2000]!r}\n{raw.ask(query)[:2000]!r}"
                )

    def _measure(self, servers: list[Server]) -> None:
        for query in OURS:
            for server in servers:
                for _ in range(3):
                    assert b'"errors"' not in server.ask(query)[:200], server.ask(query)[:500]
            for _ in range(self._options.rounds):
                for server in servers:
                    self._turn(server, query)

    def _turn(self, server: Server, query: str) -> None:
        before, count, waits = self._cpu(server), 0, server.waits.setdefault(query, [])
        until = time.perf_counter() + self._options.seconds
        while time.perf_counter() < until:
            begun = time.perf_counter()
            server.ask(query)
            waits.append((time.perf_counter() - begun) * 1000)
            count += 1
        server.costs.setdefault(query, []).append((self._cpu(server) - before) / count)

    def _cpu(self, server: Server) -> float:
        """Milliseconds that the server and the engines have used, backends that have ended included."""
        members = [member for one in (server.process, *self._engines) for member in family(one)]
        ended = sum(t.children_user + t.children_system for t in (one.cpu_times() for one in self._engines))
        return sum(nanoseconds(one.pid) for one in members) / 1e6 + ended * 1000


@contextmanager
def _held(children: Sequence[psutil.Process]) -> Iterator[None]:
    members = [member for child in children for member in family(child)]
    for one in members:
        one.suspend()
    try:
        yield
    finally:
        for one in members:
            one.resume()


def _figures(query: str, suffix: str, servers: Mapping[str, Server]) -> Iterator[Figure]:
    ours, raw = servers["ours"].costs[query], servers["raw"].costs[query]
    yield Figure(name=f"{query}_cpu_ms{suffix}", value=median(ours), unit="ms")
    yield Figure(name=f"{query}_raw_cpu_ms{suffix}", value=median(raw), unit="ms")
    # Turns that follow each other are compared, because a machine is not equally fast all the time.
    if query in _RATIOS:
        value = median(map(truediv, ours, raw))
        yield Figure(name=f"{query}_cpu_vs_raw{suffix}", value=value, unit="ratio", goal=("<=", 1.25), digits=3)
    else:
        value = median(map(sub, ours, raw))
        yield Figure(name=f"{query}_cpu_over_raw_ms{suffix}", value=value, unit="ms", goal=("<=", 1.5))
    least = 2.5 if query in _RATIOS else 1.2
    ratio = median(map(truediv, servers["peer"].costs[query], ours)) if "peer" in servers else None
    yield Figure(name=f"{query}_postgraphile_cpu_vs_ours{suffix}", value=ratio, unit="ratio", goal=(">=", least))
    yield Figure(name=f"{query}_p50_ms{suffix}", value=median(servers["ours"].waits[query]), unit="ms")


def _plant(tag: str) -> None:
    """A system with health everywhere, and a newest reading of each sensor; made in a few statements."""
    products = [NewAsset(tag=f"{tag}-{n}", name=f"Product {n}", level="product", parent=tag) for n in range(PRODUCTS)]
    parts = [
        NewAsset(tag=f"{one.tag}-{n}", name=f"Part {n}", level="part", parent=one.tag)
        for one in products
        for n in range(PARTS)
    ]
    made = create_assets(rows=[NewAsset(tag=tag, name=f"Plant {tag}", level="system"), *products, *parts])
    top: Any = made[tag].pk
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"top": [top]})


_FILL = """
INSERT INTO twins_assessment (asset_id, source, health, coverage, failure_probabilities, rul_unit, beyond_horizon,
    sources, drivers, assessed_at)
SELECT id, 'model', (id * 7919 %% 10007) / 101.5, (id %% 100) / 100.0, '[]', '', false, '[]', '[]', now()
FROM twins_assets_asset WHERE path && %(top)s::bigint[];
INSERT INTO twins_assets_sensor (uuid, asset_id, name, quantity, unit, role, privacy)
SELECT gen_random_uuid(), a.id, s.name, s.name, s.unit, 'measurement', 'raw' FROM twins_assets_asset a,
    (VALUES ('current', 'A'), ('pressure', 'bar'), ('temperature', 'Cel'), ('vibration', 'mm/s')) s(name, unit)
WHERE a.path && %(top)s::bigint[] AND a.level = 'part';
INSERT INTO twins_latestreading (sensor_id, time, value, quality, batch)
SELECT s.id, timestamptz '2026-03-01 12:00+00' + s.id * interval '1 ms', (s.id::bigint * 7919 %% 10007) / 7.0, 0, 1
FROM twins_assets_sensor s JOIN twins_assets_asset a ON a.id = s.asset_id WHERE a.path && %(top)s::bigint[];
"""
