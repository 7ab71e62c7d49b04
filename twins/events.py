"""What happened, told after commit: to listeners in this process and, over Redis, to every other process.

Messages are hints. PostgreSQL is the truth: whoever misses one finds the same by asking there, so an unreachable
Redis costs freshness and never data. They leave by a thread of their own, because whoever has committed waits for
nobody.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Literal

import orjson
import redis
from django.db import transaction

from twins.conf import settings

Kind = Literal["readings_accepted", "readings_compacted", "assessed", "findings"]
Listener = Callable[[Mapping[str, Any]], None]

_log = logging.getLogger(__name__)
_listeners: defaultdict[str, list[Listener]] = defaultdict(list)
_MOST_WAITING = 10_000
_LAST_WORDS = 2.0
"""Seconds that the end of a process waits for what it has to tell."""


def channel() -> str:
    """Name of the one Redis channel of this installation."""
    return f"{settings().KEY_PREFIX}:events"


def listen(kind: Kind, listener: Listener) -> None:
    """Call `listener(payload)` in this process after every commit that published `kind`."""
    if listener not in _listeners[kind]:
        _listeners[kind].append(listener)


def publish(kind: Kind, payload: Mapping[str, Any]) -> None:
    """Tell `payload` (JSON-able) once the surrounding transaction has committed."""
    transaction.on_commit(lambda: _tell(kind, payload), robust=True)


def _tell(kind: Kind, payload: Mapping[str, Any]) -> None:
    for listener in _listeners[kind]:
        try:
            listener(payload)
        except Exception:
            _log.warning("a listener of %s failed; the periodic sweep will catch up", kind, exc_info=True)
    _messenger().send(settings().REDIS_URL, channel(), orjson.dumps({"kind": kind, **payload}))


class _Messenger(threading.Thread):
    """Publishes in the order of `send`, what has waited as one pipeline; the oldest is dropped when too much waits."""

    def __init__(self) -> None:
        super().__init__(name="twins-events", daemon=True)
        self._waiting: deque[tuple[str, str, bytes]] = deque(maxlen=_MOST_WAITING)
        self._some = threading.Condition()
        self._busy = False

    def send(self, url: str, name: str, message: bytes) -> None:
        with self._some:
            self._waiting.append((url, name, message))
            self._some.notify_all()

    def run(self) -> None:
        while True:
            with self._some:
                self._busy = False
                self._some.notify_all()
                self._some.wait_for(lambda: self._waiting)
                messages, self._busy = list(self._waiting), True
                self._waiting.clear()
            _publish(messages)

    def finish(self) -> None:
        with self._some:
            self._some.wait_for(lambda: not (self._waiting or self._busy), _LAST_WORDS)


def _publish(messages: list[tuple[str, str, bytes]]) -> None:
    for url in dict.fromkeys(url for url, _, _ in messages):
        try:
            with _client(url).pipeline(transaction=False) as pipeline:
                for _, name, message in (one for one in messages if one[0] == url):
                    pipeline.publish(name, message)
                pipeline.execute()
        except redis.RedisError as error:
            _log.warning("Redis did not take an event (%s); subscribers see it on their next resume", error)


_thread: _Messenger | None = None
_starting = threading.Lock()


def _messenger() -> _Messenger:
    global _thread  # noqa: PLW0603
    with _starting:
        # A fork leaves its parent's thread behind.
        if _thread is None or not _thread.is_alive():
            _thread = _Messenger()
            _thread.start()
            atexit.register(_thread.finish)
        return _thread


@cache
def _client(url: str) -> redis.Redis:
    # Short time-outs: a request that has committed must not hang on a hint.
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=0.5)
