"""A running `up` for the tests of the stand-alone project."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.config.senders import find_port, without_addresses
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parents[2]


class Up:
    """One `manage.py up` with a data directory and a port of its own."""

    def __init__(
        self,
        data: Path,
        log: Path,
        *,
        port: int | None = None,
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.data, self.log = data, log
        self.port = port or find_port()
        self.environment = without_addresses() | {"TWINS_NO_VENV": "1", **(env or {})}
        command = [sys.executable, "manage.py", "up", "--data", str(data), "--port", str(self.port), *arguments]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=file, stderr=subprocess.STDOUT
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        return self.log.read_text()

    def pid(self, name: str) -> int:
        return int((self.data / "run" / f"{name}.pid").read_text())

    def until(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        wait_until(condition, seconds=seconds, step=0.1, said=self.said)

    def until_it_serves(self) -> None:
        """All of it: where the services take longer than a minute, `up` says what it has before they are well."""
        self.until(lambda: self.process.poll() is not None or "Ctrl-C" in self.said())
        assert self.process.poll() is None, self.said()
        self.until(self.is_well)

    def until_nothing_is_left(self) -> None:
        """What was killed goes as soon as it is its turn, without being waited for."""
        self.until(lambda: not self.processes())

    def is_well(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=30).status_code == 200
        except httpx.HTTPError:
            return False

    def password(self) -> str:
        found = re.search(r"password (\S+)", self.said())
        assert found, self.said()
        return found[1]

    def processes(self) -> list[str]:
        """Command lines of everything alive that works for this data directory, whoever started it."""
        listing = subprocess.run(["ps", "-Ao", "pid=,stat=,args="], capture_output=True, text=True, check=True).stdout
        return [line for line in listing.splitlines() if self._is_mine(line.split(maxsplit=2))]

    def _is_mine(self, fields: list[str]) -> bool:
        pid, state, arguments = fields
        if state.startswith("Z"):
            return False
        if str(self.data) in arguments:
            return True
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        return f"TWINS_CHILD_OF={self.data}\0".encode() in environment

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Send the signal; returns the seconds until the process is gone."""
        start = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(PATIENCE)
        return time.monotonic() - start


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="module")
def start_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Up]]:
    """Start as many `up` as wanted; what still runs at the end is killed."""
    started: list[Up] = []

    def start(data: Path | None = None, **options: Any) -> Up:
        folder = tmp_path_factory.mktemp("up")
        up = Up(data or folder / "data", folder / "terminal.log", **options)
        started.append(up)
        return up

    yield start
    for up in started:
        if up.process.poll() is None:
            up.stop()


@pytest.fixture(scope="module")
def up(start_up: Callable[..., Up]) -> Up:
    """One that serves, shared by the tests of a module."""
    one = start_up()
    one.until_it_serves()
    return one


@pytest.fixture
def free_port() -> int:
    return find_port()
