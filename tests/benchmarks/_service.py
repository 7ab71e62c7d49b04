"""The service as `up` runs it, for benchmarks: web server, worker and clock as processes, and what they all cost.

The web server and the worker work on the database and in the directory of the benchmark; PostgreSQL and Valkey were
started by manage.py, so the processor time of all of them is the server side of a figure.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
from django.db import connection
from psycopg.conninfo import make_conninfo

from config import processes, supervisor
from config.bootstrap import ROOT


@dataclass(frozen=True)
class Service:
    """A running service."""

    url: str
    children: tuple[psutil.Process, ...]

    def cpu(self) -> float:
        """Seconds of processor time that web server, worker, clock, PostgreSQL and Valkey have used so far."""
        return sum(_seconds(one) for one in self._processes())

    def memory(self) -> int:
        """Bytes that web server and worker hold for themselves alone."""
        return sum(one.memory_full_info().uss for child in self.children[:2] for one in family(child))

    def _processes(self) -> list[psutil.Process]:
        engines = [one for one in psutil.Process().children(recursive=True) if one not in self.children]
        return list({one.pid: one for one in (*engines, *(m for c in self.children for m in family(c)))}.values())


def family(process: psutil.Process) -> list[psutil.Process]:
    """The process and everything below it."""
    return [process, *process.children(recursive=True)]


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    # Backends that have ended are counted by the server that waited for them.
    return float(times.user + times.system + times.children_user + times.children_system)


@contextmanager
def running(data: Path) -> Iterator[Service]:
    """The service on the database in force and below `data`, until the block ends."""
    port = free_port()
    environment = {**os.environ, "DATABASE_URL": address(), "TWINS_DATA": str(data), "PYTHONUNBUFFERED": "1"}
    children = []
    try:
        for child in supervisor.services(data, host="127.0.0.1", port=port):
            told = {**environment, **child.environment}
            children.append(processes.spawn(child.name, child.command(), data=data, env=told, cwd=ROOT))
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/healthz")
        yield Service(url, tuple(psutil.Process(child.pid) for child in children))
    finally:
        for one in reversed(children):
            processes.stop(one)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str) -> None:
    """Wait until an address answers 200; raises RuntimeError after a minute."""
    if not processes.wait_until(lambda: _is_well(url), seconds=60, step=0.2):
        raise RuntimeError(f"{url} does not answer.")


def _is_well(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def address() -> str:
    """The database in force, as psql takes it."""
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    values = {name: connection.settings_dict[field] for name, field in names.items()}
    return make_conninfo(**{name: value for name, value in values.items() if value})
