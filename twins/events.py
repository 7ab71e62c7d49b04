"""What happened, told after commit: to listeners in this process and, over Redis, to every other process.

Messages are hints. PostgreSQL is the truth: whoever misses one finds the same by asking there, so an unreachable
Redis costs freshness and never data. They leave by a thread of their own, because whoever has committed waits for
nobody, and are not even worded while nobody subscribes: whoever does so later begins with what is in PostgreSQL.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Literal

import orjson
import redis
from django.db import transaction

from twins.conf import settings

Kind = Literal["readings_accepted", "readings_compacted", "readings_corrected", "assessed", "findings"]
Listener = Callable[[Mapping[str, Any]], None]
Payload = Mapping[str, Any] | Callable[[], Mapping[str, Any]]
"""JSON-able, or what makes it once somebody needs it."""

_log = logging.getLogger(__name__)
_listeners: defaultdict[str, list[Listener]] = defaultdict(list)
_heeding: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)
_MOST_WAITING = 1_000
_GATHERED = 0.02
"""Seconds that an event waits for others, and lets whoever gave rise to it finish first."""
_LAST_WORDS = 2.0
"""Seconds that the end of a process waits for what it has to tell."""


def channel() -> str:
    """Name of the one Redis channel of this installation."""
    return f"{settings().KEY_PREFIX}:events"


def listen(kind: Kind, listener: Listener) -> None:
    """Call `listener(payload)` in this process after every commit that published `kind`."""
    if listener not in _listeners[kind]:
        _listeners[kind].append(listener)


def heed(kind: Kind, call: Callable[[], None]) -> None:
    """Call `call()` in this process after every such commit: for who need not know more than that."""
    if call not in _heeding[kind]:
        _heeding[kind].append(call)


def publish(kind: Kind, payload: Payload) -> None:
    """Tell `payload` once the surrounding transaction has committed."""
    transaction.on_commit(lambda: _tell(kind, payload), robust=True)


def _tell(kind: Kind, payload: Payload) -> None:
    calls: list[Callable[[], None]] = [*_heeding[kind]]
    if _listeners[kind]:
        told = payload() if callable(payload) else payload
        payload = told
        calls += [partial(listener, told) for listener in _listeners[kind]]
    for call in calls:
        try:
            call()
        except Exception:
            _log.warning("a listener of %s failed; the periodic sweep will catch up", kind, exc_info=True)
    _messenger().send(settings().REDIS_URL, channel(), kind, payload)


_Event = tuple[str, str, Kind, Payload]
"""Address of Redis, channel, and what to tell there."""


class _Messenger(threading.Thread):
    """Publishes in the order of `send`, what has waited as one pipeline; the oldest is dropped when too much waits."""

    def __init__(self) -> None:
        super().__init__(name="twins-events", daemon=True)
        self._waiting: deque[_Event] = deque(maxlen=_MOST_WAITING)
        self._some = threading.Condition()
        self._busy = False

    def send(self, url: str, name: str, kind: Kind, payload: Payload) -> None:
        with self._some:
            self._waiting.append((url, name, kind, payload))
            if not self._busy:  # else it looks again before it rests
                self._some.notify_all()

    def run(self) -> None:
        while True:
            with self._some:
                self._busy = False
                self._some.notify_all()
                self._some.wait_for(lambda: self._waiting)
                self._busy = True
            time.sleep(_GATHERED)
            with self._some:
                waiting = list(self._waiting)
                self._waiting.clear()
            _publish(waiting)

    def finish(self) -> None:
        with self._some:
            self._some.wait_for(lambda: not (self._waiting or self._busy), _LAST_WORDS)


def _publish(waiting: list[_Event]) -> None:
    for address in dict.fromkeys(url for url, *_ in waiting):
        try:
            client = _client(address)
            heard = _heard(client, {name for url, name, *_ in waiting if url == address})
            if not heard:
                continue
            with client.pipeline(transaction=False) as pipeline:
                for url, name, kind, payload in waiting:
                    if url == address and name in heard:
                        told = payload() if callable(payload) else payload
                        pipeline.publish(name, orjson.dumps({"kind": kind, **told}))
                pipeline.execute()
        except redis.RedisError as error:
            _log.warning("Redis did not take an event (%s); subscribers see it on their next resume", error)
        except Exception:
            _log.exception("events could not be told; subscribers see them on their next resume")


def _heard(client: redis.Redis, names: set[str]) -> set[str]:
    """The channels that somebody subscribes to."""
    counts = client.pubsub_numsub(*names)
    return {name.decode() if isinstance(name, bytes) else name for name, count in counts if count}


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
