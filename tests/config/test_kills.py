"""kill -9 of every part while readings come in: what was acknowledged is there once, and `up` mends itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

START = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
PARTS = ("worker", "web", "valkey", "postgres")


class Sender(threading.Thread):
    """One client: numbered batches, each sent with its key until acknowledged; every fifth corrects an older one."""

    def __init__(self, up: Any, number: int, token: str, sensors: list[str]) -> None:
        super().__init__(daemon=True)
        self.up, self.number, self.token, self.sensors = up, number, token, sensors
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
                answer = client.post(f"{self.up.url}/ingest", json=self.rows(batch), headers=headers)
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


def test_nothing_acknowledged_is_lost_or_doubled_when_each_part_is_killed(up: Any) -> None:
    seeded = _ask(up, "seed")
    senders = [Sender(up, i, seeded["token"], seeded["sensors"][i * 10 : i * 10 + 10]) for i in range(2)]
    for sender in senders:
        sender.start()
    for part in PARTS:
        time.sleep(2)
        before, victim = [len(sender.acknowledged) for sender in senders], up.pid(part)
        os.kill(victim, signal.SIGKILL)
        time.sleep(1)
        up.until(up.is_well)
        assert up.pid(part) != victim, part
        _wait_for_progress(senders, before)
    for sender in senders:
        sender.stopping.set()
    for sender in senders:
        sender.join(30)
        assert not sender.is_alive()
    rows = _ask(up, "readings")
    found = {(sensor, at): value for sensor, at, value in rows}
    assert len(found) == len(rows)
    assert found == senders[0].expected() | senders[1].expected()
    _nothing_is_stored_twice(up, senders)


def _nothing_is_stored_twice(up: Any, senders: list[Sender]) -> None:
    stored = _ask(up, "stored")
    assert stored["keys"] == sorted(f"{sender.number}-{batch}" for sender in senders for batch in sender.acknowledged)
    assert stored["doubled"] == 0
    assert stored["readings"] >= sum(len(sender.expected()) for sender in senders)


def _wait_for_progress(senders: list[Sender], before: list[int]) -> None:
    end = time.monotonic() + 30
    while any(len(sender.acknowledged) <= count for sender, count in zip(senders, before, strict=True)):
        assert time.monotonic() < end, "no batch was acknowledged after the kill"
        time.sleep(0.1)


def _ask(up: Any, verb: str) -> Any:
    """The answer of probe.py; asked again while PostgreSQL recovers."""
    environment = {**up.environment, "TWINS_DATA": str(up.data)}
    for _ in range(20):
        command = [sys.executable, str(Path(__file__).with_name("probe.py")), verb]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return json.loads(done.stdout.splitlines()[-1])
        time.sleep(0.5)
    raise AssertionError(done.stderr)
