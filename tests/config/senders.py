"""Clients that send until acknowledged, and questions to a running installation; both outlast its deaths."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa

from tests.waiting import PATIENCE

START = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
_HIDDEN = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "TWINS_DATA")


def without_addresses() -> dict[str, str]:
    """This process's environment without what would lead to the engines of the tests."""
    return {key: value for key, value in os.environ.items() if key not in _HIDDEN}


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Sender(threading.Thread):
    """One client: numbered batches, each sent with its key until acknowledged; every fifth corrects an older one."""

    def __init__(self, up: Any, number: int, token: str, sensors: list[str]) -> None:
        super().__init__(daemon=True)
        self.up, self.number, self.token, self.sensors = up, number, token, sensors
        self.stopping = threading.Event()
        self.acknowledged: list[int] = []

    def run(self) -> None:
        with httpx.Client(verify=False, timeout=5, headers={"Authorization": f"Bearer {self.token}"}) as client:
            batch = 0
            while not self.stopping.is_set():
                self._send_until_acknowledged(client, batch)
                self.acknowledged.append(batch)
                batch += 1
                # As often in flight as not; without a pause it would keep what was killed from coming back soon.
                self.stopping.wait(0.02)

    def _send_until_acknowledged(self, client: httpx.Client, batch: int) -> None:
        headers = {"Idempotency-Key": f"{self.number}-{batch}"}
        rows, content = self.rows(batch), None
        if self.number % 2:
            # Every second client: the event loop of the web server takes in such a body by itself.
            headers["Content-Type"], content = "application/vnd.apache.arrow.stream", arrow(rows)
        while True:
            try:
                answer = client.post(
                    f"{self.up.url}/ingest", headers=headers, content=content, json=None if content else rows
                )
            except httpx.HTTPError:
                time.sleep(0.1)
                continue
            if answer.is_success:
                return
            assert answer.status_code >= 500 or answer.status_code == 429, answer.text
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


def arrow(rows: list[dict[str, Any]]) -> bytes:
    """Rows as an Arrow stream that names each sensor once."""
    names = list(dict.fromkeys(row["sensor"] for row in rows))
    code = pa.array([names.index(row["sensor"]) for row in rows], pa.int32())
    times = [datetime.fromisoformat(row["time"]) for row in rows]
    table = pa.table(
        {
            "sensor": pa.DictionaryArray.from_arrays(
                code, pa.array([uuid.UUID(name).bytes for name in names], pa.binary(16))
            ),
            "time": pa.array(times, pa.timestamp("us", "UTC")),
            "value": [row["value"] for row in rows],
        }
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def ask(up: Any, verb: str) -> Any:
    """The answer of probe.py; asked again while PostgreSQL recovers."""
    environment = {**up.environment, "TWINS_DATA": str(up.data)}
    end = time.monotonic() + PATIENCE
    while True:
        command = [sys.executable, str(Path(__file__).with_name("probe.py")), verb]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return json.loads(done.stdout.splitlines()[-1])
        assert time.monotonic() < end, done.stderr
        time.sleep(0.5)
