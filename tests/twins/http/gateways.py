"""A gateway that sends Arrow, and what a test does to the database that it writes to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
from django.db import connection

ARROW = "application/vnd.apache.arrow.stream"


class Gateway:
    """Sends Arrow, and counts which of its requests a thread has answered."""

    def __init__(self, client: httpx.Client, content: Callable[..., bytes]) -> None:
        self.client, self.content = client, content
        self.by_thread = 0

    def send(self, value: float, key: str | None = None, **headers: str) -> httpx.Response:
        named = {} if key is None else {"Idempotency-Key": key}
        body = self.content(value)
        return self.client.post("/ingest", content=body, headers={"Content-Type": ARROW, **named, **headers})

    def warm(self) -> None:
        """Send until the event loop answers by itself."""
        for number in range(200):
            before = self.by_thread
            assert self.send(-1.0 - number).status_code == 201
            if self.by_thread == before:
                return
            time.sleep(0.02)
        raise AssertionError("the event loop answered nothing")


@contextmanager
def another_session() -> Iterator[Any]:
    other = connection.copy()
    try:
        yield other
    finally:
        other.close()


@contextmanager
def key_is_taken(key: str) -> Iterator[Any]:
    """A transaction that is about to take a key: whoever sends under it waits."""
    with another_session() as other:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(
                "INSERT INTO twins_batch (source, key, content_hash, rows_received, rows, bytes, sensor_min, "
                "sensor_max, time_min, time_max, body, rejected) "
                "VALUES ('token gateway', %s, 'x', 1, 1, 1, 1, 1, now(), now(), '', 0)",
                [key],
            )
        yield other
        other.rollback()


def waiting() -> list[int]:
    """Server processes in which an INSERT of a batch waits for another transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
            "AND query LIKE '%%INSERT INTO twins_batch%%'"
        )
        return [pid for (pid,) in cursor.fetchall()]


def until(question: Callable[[], Any]) -> Any:
    for _ in range(500):
        if found := question():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not come to that")


def end_sessions(pids: list[int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s::int[]) pid", [pids])


def others() -> list[int]:
    """All server processes of the database but this thread's."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        return [pid for (pid,) in cursor.fetchall()]


def in_background(call: Callable[..., Any], *args: Any) -> Future[Any]:
    return ThreadPoolExecutor(1).submit(call, *args)
