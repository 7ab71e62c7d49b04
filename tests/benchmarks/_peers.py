"""Other stores of readings that take line protocol over HTTP, as programs with a folder and ports of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]

from tests.benchmarks import _service


@dataclass(frozen=True)
class Peer:
    """How a store is started and asked."""

    name: str
    programs: tuple[str, ...]
    """Its names on different systems."""
    start: Callable[[str, Path, str], tuple[list[str], dict[str, str]]]
    """Arguments and environment of one that listens at an address and keeps all in a folder; and a spare address."""
    health: str
    write: str
    """Takes lines with milliseconds."""
    create: str = ""
    """What is asked for once before anything is written."""
    flush: str = ""
    """What is asked for after everything."""


def _victoria_metrics(address: str, folder: Path, spare: str) -> tuple[list[str], dict[str, str]]:
    places = [f"-storageDataPath={folder / 'data'}", f"-httpListenAddr={address}"]
    return [*places, "-retentionPeriod=100y", "-loggerLevel=ERROR"], {}


def _influxdb(address: str, folder: Path, spare: str) -> tuple[list[str], dict[str, str]]:
    chosen = {
        "META_DIR": folder / "meta", "DATA_DIR": folder / "data", "DATA_WAL_DIR": folder / "wal",
        "HTTP_BIND_ADDRESS": address, "BIND_ADDRESS": spare, "HTTP_LOG_ENABLED": "false",
        "REPORTING_DISABLED": "true", "MONITOR_STORE_ENABLED": "false", "LOGGING_LEVEL": "error",
        # Else what came last stays in memory and its log, uncompacted, for ten minutes.
        "DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION": "3s",
    }  # fmt: skip
    return ["run", "-config", os.devnull], {f"INFLUXDB_{name}": str(value) for name, value in chosen.items()}


VICTORIA_METRICS = Peer(
    name="victoriametrics",
    programs=("victoria-metrics", "victoria-metrics-prod"),
    start=_victoria_metrics,
    health="/health",
    write="/api/v2/write?precision=ms",
    flush="/internal/force_flush",
)
INFLUXDB = Peer(
    name="influxdb",
    programs=("influxd",),
    start=_influxdb,
    health="/query?q=SHOW+DATABASES",
    write="/write?db=plant&precision=ms",
    create="/query?q=CREATE+DATABASE+plant",
)


@dataclass(frozen=True)
class Running:
    """One that runs: a client of it, and the processor time it has used, in seconds."""

    client: httpx.Client
    cpu: Callable[[], float]


@contextmanager
def running(peer: Peer, folder: Path) -> Iterator[Running | None]:
    """A peer that keeps what it needs in `folder`; None where it is not installed."""
    program = next(filter(None, map(shutil.which, peer.programs)), None)
    if program is None:
        yield None
        return
    address, spare = (f"127.0.0.1:{_service.free_port()}" for _ in range(2))
    arguments, chosen = peer.start(address, folder, spare)
    with (folder / f"{peer.name}.log").open("wb") as log:
        child = subprocess.Popen([program, *arguments], env=os.environ | chosen, stdout=log, stderr=log)
    try:
        _service.wait_for(f"http://{address}{peer.health}")
        process = psutil.Process(child.pid)
        with httpx.Client(base_url=f"http://{address}", timeout=120) as client:
            if peer.create:
                client.post(peer.create).raise_for_status()
            yield Running(client, lambda: sum(process.cpu_times()[:2]))
    finally:
        child.terminate()
        child.wait(30)
