"""Two hundred times kill -9, at random and at every named step: 0 lost, 0 doubled, 0 torn, the newest value of each.

Web server, worker, Valkey and PostgreSQL are killed while clients send, repeat and correct; Valkey loses its data each
time. Beside them acceptances, compactions, merges and settlings of the same lake are killed where they say they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config import embedded, processes
from tests.config.senders import Sender, ask, find_port, without_addresses
from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
KILLS, AT_MOST, FEWEST = 200, 1200, 10
MIDNIGHT = datetime(2026, 5, 2, tzinfo=UTC)
SWAP = ["planned", "written", "synced", "renamed", "published", "indexed", "committed"]
STEPS = [
    *(("accept", step) for step in ("landed", "inserted", "committed")),
    *(("compact", step) for step in (*SWAP, "unlinked")),
    *(("merge", step) for step in (*SWAP, "rolled")),
    *(("settle", step) for step in (*SWAP, "rolled")),
]


class Installation:
    """Engines, a web server and a worker that come back at once."""

    def __init__(self, data: Path) -> None:
        self.data, self.port, self.killed = data, find_port(), Counter[str]()
        self.url = f"http://127.0.0.1:{self.port}"
        self.engines = {engine.name: engine for engine in (embedded.Postgres(data), embedded.Valkey(data))}
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.pids: dict[str, int] = {}
        for name in self.engines:
            self._start_engine(name)
        self.environment = without_addresses() | {"TWINS_DATA": str(data), "TWINS_NO_VENV": "1"}
        self.manage("prepare")
        self.zygote = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("zygote.py"))],
            cwd=ROOT, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        for name in ("web", "worker"):
            self._start_service(name)

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kill(self, name: str) -> None:
        """kill -9 and start anew."""
        self.killed[name] += 1
        if name in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pids[name], signal.SIGKILL)
            self._start_service(name)
            return
        self.children[name].kill()
        self.children[name].wait()
        if name == "valkey":
            shutil.rmtree(self.data / "valkey" / "appendonlydir", ignore_errors=True)
        self._start_engine(name)

    def _start_engine(self, name: str) -> None:
        engine = self.engines[name]
        engine.prepare()
        self.children[name] = embedded.start(engine)
        embedded.await_ready(engine, self.children[name])
        engine.finish()

    def _start_service(self, name: str) -> None:
        assert self.zygote.stdin and self.zygote.stdout
        self.zygote.stdin.write(f"{name} {self.port}\n")
        self.zygote.stdin.flush()
        self.pids[name] = int(self.zygote.stdout.readline())

    def stop(self) -> None:
        for pid in self.pids.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.zygote.kill()
        self.zygote.wait()
        for name, child in self.children.items():
            processes.stop(child, first=self.engines[name].stop_signal)


class Stepper(threading.Thread):
    """Operations of the lake that are killed at each named step in turn, and what they must have left."""

    def __init__(self, installation: Installation, sensors: list[int]) -> None:
        super().__init__(daemon=True)
        self.sensors, self.number, self.killed = sensors, 0, Counter[tuple[str, str]]()
        self.stopping, self.expected = threading.Event(), dict[tuple[int, int], float]()
        script = ROOT / "tests" / "twins" / "services" / "killed_worker.py"
        self.worker = subprocess.Popen(
            [sys.executable, str(script), "twins", str(installation.data / "lake")],
            cwd=ROOT, env=installation.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def run(self) -> None:
        while not self.stopping.is_set():
            # Those that were reached least come first: another worker may have done the work before.
            for name, step in sorted(STEPS, key=lambda one: self.killed[one]):
                if self.stopping.is_set():
                    return
                self._send((name, step) if name == "accept" else None)
                if name in ("merge", "settle"):
                    # Two small files of the day, so that there is something to merge.
                    self._order("compact", None)
                    self._send(None)
                    self._order("compact", None)
                if name != "accept":
                    self._order(name, (name, step), day=MIDNIGHT.date().isoformat())

    def _send(self, kill: tuple[str, str] | None) -> None:
        """Until acknowledged, under one key; each batch corrects most of the one before."""
        self.number += 1
        times = [MIDNIGHT + timedelta(seconds=s) for s in range(self.number // 4, self.number // 4 + 20)]
        rows = {(sensor, int(t.timestamp()) * 1_000_000): self.number + i / 100 for sensor in self.sensors
                for i, t in enumerate(times)}  # fmt: skip
        order = {"rows": [[*key, value] for key, value in rows.items()], "key": str(self.number)}
        size = 10 if (kill and kill[1] == "landed") or self.number % 2 else 1_000_000
        while self._order("accept", kill, max_body=size, **order) != 0:
            kill = None
        self.expected.update(rows)

    def _order(self, name: str, kill: tuple[str, str] | None, **arguments: Any) -> int:
        assert self.worker.stdin and self.worker.stdout
        order = {"run": name, "kill": [kill[1], 1] if kill else None, **arguments}
        self.worker.stdin.write(json.dumps(order) + "\n")
        self.worker.stdin.flush()
        code = int(self.worker.stdout.readline())
        if kill and code == -signal.SIGKILL:
            self.killed[kill] += 1
        return code

    def stop(self) -> None:
        self.stopping.set()
        self.join(PATIENCE)
        assert self.worker.stdin
        self.worker.stdin.close()
        self.worker.wait(PATIENCE)


def _wait_for_progress(senders: list[Sender], stepper: Stepper, *, seconds: float) -> None:
    """Until somebody was acknowledged, so that a slow machine is not only killed; not for long, so that a start is."""
    done = [len(sender.acknowledged) for sender in senders], stepper.number
    end = time.monotonic() + seconds
    while time.monotonic() < end and done == ([len(sender.acknowledged) for sender in senders], stepper.number):
        time.sleep(0.02)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    one = Installation(tmp_path / "data")
    yield one
    one.stop()


@pytest.mark.full
def test_two_hundred_kills_lose_double_and_tear_nothing(installation: Installation) -> None:
    seeded = ask(installation, "seed")
    senders = [Sender(installation, i, seeded["token"], seeded["sensors"][i * 7 : i * 7 + 7]) for i in range(2)]
    stepper = Stepper(installation, seeded["keys"][14:])
    for thread in (*senders, stepper):
        thread.start()
    dice, end = random.Random(11), time.monotonic() + AT_MOST

    def kills() -> int:
        return installation.killed.total() + stepper.killed.total()

    while kills() < KILLS:
        assert time.monotonic() < end, (installation.killed, stepper.killed)
        installation.kill(dice.choices(["web", "worker", "valkey", "postgres"], [4, 3, 3, 1])[0])
        _wait_for_progress(senders, stepper, seconds=dice.uniform(0.2, 2))

    def all_had_their_turn() -> bool:
        acknowledged = [len(sender.acknowledged) for sender in senders]
        return min(acknowledged) > FEWEST and all(stepper.killed[step] for step in STEPS)

    # On a slow machine not every step was reached, nor every sender heard, between two deaths of the database.
    while not all_had_their_turn():
        assert time.monotonic() < end, stepper.killed
        time.sleep(0.1)
    for sender in senders:
        sender.stopping.set()
    stepper.stop()
    for sender in senders:
        sender.join(PATIENCE)
    assert not any(thread.is_alive() for thread in (*senders, stepper))

    rows = ask(installation, "readings")
    found = {(sensor, at): value for sensor, at, value in rows}
    named = dict(zip(seeded["keys"], seeded["sensors"], strict=True))
    stepped = {
        (named[sensor], datetime.fromtimestamp(at / 1e6, UTC).isoformat()): value
        for (sensor, at), value in stepper.expected.items()
    }
    assert len(found) == len(rows)
    assert found == senders[0].expected() | senders[1].expected() | stepped
    newest = {sensor: max(at for key, at in found if key == sensor) for sensor, _ in found}
    assert ask(installation, "latest") == {sensor: [at, found[sensor, at]] for sensor, at in newest.items()}
    stored = ask(installation, "stored")
    sent = [f"{sender.number}-{batch}" for sender in senders for batch in sender.acknowledged]
    assert stored["keys"] == sorted([*sent, *(str(number + 1) for number in range(stepper.number))])
    assert stored["doubled"] == 0
    assert "every hash is right" in installation.manage("lake", "check")
    assert min(len(sender.acknowledged) for sender in senders) > FEWEST
    assert set(installation.killed) == {"web", "worker", "valkey", "postgres"}
