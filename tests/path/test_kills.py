"""kill -9 of every part while readings come in: what was acknowledged is there once, and `up` mends itself."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
START = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
PARTS = ("worker", "web", "valkey", "postgres")


class Installation:
    """A running `up` with its own data directory, engines and port."""

    def __init__(self, data: Path) -> None:
        self.data, self.port = data, _free_port()
        hidden = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
        self.env = {name: value for name, value in os.environ.items() if name not in hidden}
        self.env |= {"TWINS_NO_VENV": "1", "TWINS_DATA": str(data)}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--data", str(data), "--port", str(self.port)],
            cwd=ROOT, env=self.env, stdout=(data.parent / "up.log").open("wb"), stderr=subprocess.STDOUT,
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def pid(self, part: str) -> int:
        return int((self.data / "run" / f"{part}.pid").read_text())

    def ask(self, verb: str) -> object:
        """The answer of probe.py; asked again while PostgreSQL recovers."""
        for _ in range(20):
            done = subprocess.run(
                [sys.executable, str(Path(__file__).with_name("probe.py")), verb],
                cwd=ROOT, env=self.env, capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                return json.loads(done.stdout.splitlines()[-1])
            time.sleep(0.5)
        raise AssertionError(done.stderr)

    def is_well(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def wait_until_well(self, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not self.is_well():
            assert self.process.poll() is None, (self.data.parent / "up.log").read_text()
            assert time.monotonic() < end, (self.data.parent / "up.log").read_text()
            time.sleep(0.2)


class Sender(threading.Thread):
    """One client: numbered batches, each sent with its key until acknowledged; every fifth corrects an older one."""

    def __init__(self, installation: Installation, number: int, token: str, sensors: list[str]) -> None:
        super().__init__(daemon=True)
        self.installation, self.number, self.token, self.sensors = installation, number, token, sensors
        self.stopping = threading.Event()
        self.acknowledged: list[int] = []

    def run(self) -> None:
        with httpx.Client(timeout=5, headers={"Authorization": f"Bearer {self.token}"}) as client:
            batch = 0
            while not self.stopping.is_set():
                self._send_until_acknowledged(client, batch)
                self.acknowledged.append(batch)
                batch += 1

    def _send_until_acknowledged(self, client: httpx.Client, batch: int) -> None:
        headers = {"Idempotency-Key": f"{self.number}-{batch}"}
        while True:
            try:
                answer = client.post(f"{self.installation.url}/ingest", json=self.rows(batch), headers=headers)
            except httpx.HTTPError:
                time.sleep(0.1)
                continue
            if answer.is_success:
                return
            assert answer.status_code >= 500, answer.text
            time.sleep(0.1)

    def rows(self, batch: int) -> list[dict[str, object]]:
        corrects = batch - 3 if batch % 5 == 4 else batch
        first = START + timedelta(seconds=10 * corrects)
        return [
            {
                "sensor": sensor,
                "time": (first + timedelta(seconds=second)).isoformat(),
                "value": float(batch * 1000 + second * 10 + place),
            }
            for place, sensor in enumerate(self.sensors)
            for second in range(5)
        ]

    def expected(self) -> dict[tuple[str, str], float]:
        """Newest acknowledged value of each (sensor, time)."""
        return {
            (str(row["sensor"]), str(row["time"])): float(str(row["value"]))
            for batch in self.acknowledged
            for row in self.rows(batch)
        }


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    running = Installation(tmp_path / "data")
    try:
        running.wait_until_well(120)
        yield running
    finally:
        running.process.send_signal(signal.SIGTERM)
        try:
            running.process.wait(15)
        except subprocess.TimeoutExpired:
            running.process.kill()


def test_nothing_acknowledged_is_lost_or_doubled_when_each_part_is_killed(installation: Installation) -> None:
    seeded = installation.ask("seed")
    assert isinstance(seeded, dict)
    senders = [Sender(installation, i, seeded["token"], seeded["sensors"][i * 10 : i * 10 + 10]) for i in range(2)]
    for sender in senders:
        sender.start()
    for part in PARTS:
        time.sleep(2)
        before, victim = [len(sender.acknowledged) for sender in senders], installation.pid(part)
        os.kill(victim, signal.SIGKILL)
        time.sleep(1)
        installation.wait_until_well()
        assert installation.pid(part) != victim, part
        _wait_for_progress(senders, before)
    for sender in senders:
        sender.stopping.set()
    for sender in senders:
        sender.join(30)
        assert not sender.is_alive()
    rows = installation.ask("readings")
    assert isinstance(rows, list)
    found = {(sensor, at): value for sensor, at, value in rows}
    assert len(found) == len(rows)
    assert found == senders[0].expected() | senders[1].expected()


def _wait_for_progress(senders: list[Sender], before: list[int]) -> None:
    end = time.monotonic() + 30
    while any(len(sender.acknowledged) <= count for sender, count in zip(senders, before, strict=True)):
        assert time.monotonic() < end, "no batch was acknowledged after the kill"
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
