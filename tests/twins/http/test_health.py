"""/healthz: one line a part, 200 only when every part works, quick and without secrets when one does not."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.test import Client

from tests.waiting import PATIENCE
from twins.http import health

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    """Django's own, without a server between."""
    return Client()


@pytest.fixture
def worker() -> Iterator[None]:
    """A worker on the real queue."""
    command = [sys.executable, "-m", "celery", "-A", "config.celery", "worker", "--pool=solo", "--without-mingle"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield
    process.kill()
    process.wait()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is not there is not waited for as long as in service, but whatever is there as long as it takes."""
    monkeypatch.setattr(health, "_WORKER_PATIENCE", 0.2)
    monkeypatch.setattr(health, "_PATIENCE", PATIENCE)


def _lines(client: Client) -> tuple[int, dict[str, str]]:
    answer = client.get("/healthz")
    return answer.status_code, dict(line.split(": ", 1) for line in answer.content.decode().splitlines())


@pytest.mark.full
def test_every_part_that_works_says_ok(client: Client, worker: None) -> None:
    end = time.monotonic() + PATIENCE
    while (told := _lines(client))[0] != 200 and time.monotonic() < end:  # a worker answers once it has started
        pass
    assert told == (200, {"database": "ok", "redis": "ok", "worker": "ok", "lake": "ok"})


def test_a_missing_worker_is_503(client: Client, impatient: None) -> None:
    assert _lines(client) == (503, {"database": "ok", "redis": "ok", "worker": "no worker answers", "lake": "ok"})


def test_an_unreachable_redis_is_named_by_its_kind_and_not_its_address(
    client: Client, settings: Any, impatient: None
) -> None:
    settings.TWINS = {**settings.TWINS, "REDIS_URL": "redis://:secret@127.0.0.1:1/0"}
    status, lines = _lines(client)
    assert (status, lines["redis"]) == (503, "fails (ConnectionError)")
    assert "secret" not in str(lines)


def test_an_unreachable_queue_is_answered_within_seconds(client: Client) -> None:
    address = current_app.conf.broker_url
    current_app.conf.broker_url = current_app.conf.broker_write_url = "redis://127.0.0.1:1/0"
    start = time.monotonic()
    try:
        status, lines = _lines(client)
    finally:
        current_app.conf.broker_url = current_app.conf.broker_write_url = address
    assert status == 503
    assert lines["worker"].startswith("fails (")
    assert time.monotonic() - start < 15  # many attempts would take minutes


def test_a_lake_that_cannot_be_written_is_503(client: Client, settings: Any, tmp_path: Path, impatient: None) -> None:
    (tmp_path / "file").touch()
    settings.TWINS = {**settings.TWINS, "LAKE": tmp_path / "file" / "lake"}
    status, lines = _lines(client)
    assert (status, lines["lake"]) == (503, "the directory cannot be written")


def test_nothing_but_reading_is_allowed_and_nothing_is_cached(client: Client, impatient: None) -> None:
    assert client.post("/healthz").status_code == 405
    assert "no-store" in client.get("/healthz").headers["Cache-Control"]
