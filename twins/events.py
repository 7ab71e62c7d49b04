"""What happened, told after commit: to listeners in this process and, over Redis, to every other process.

Messages are hints. PostgreSQL is the truth: whoever misses one finds the same by asking there, so an unreachable
Redis costs freshness and never data. They leave by a thread of their own, because whoever has committed waits for
nobody, and are not even worded while nobody subscribes: whoever does so later begins with what is in PostgreSQL.
"""

from __future__ import annotations

import asyncio
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
_LINGERS = 50
"""Rounds without an event until the thread that tells them rests: to wake it takes longer than to leave it an event."""
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
    """Call `call()` in this process soon after such a commit, once for all meanwhile: for who need not know more."""
    if call not in _heeding[kind]:
        _heeding[kind].append(call)


def publish(kind: Kind, payload: Payload) -> None:
    """Tell `payload` once the surrounding transaction has committed."""
    transaction.on_commit(lambda: tell(kind, payload))


def tell(kind: Kind, payload: Payload) -> None:
    """Tell `payload`: what gave rise to it is committed, so that no failure is its own.

    An event loop goes on first with what it does, which is to answer.
    """
    telling = partial(_safely, kind, partial(_tell, kind, payload))
    try:
        asyncio.get_running_loop().call_soon(telling)
    except RuntimeError:  # there is none
        telling()


def is_listened_to(kind: Kind) -> bool:
    """Whether somebody in this process is called by whoever has committed, and may take some time."""
    return bool(_listeners[kind])


def _tell(kind: Kind, payload: Payload) -> None:
    if _listeners[kind]:
        payload = payload() if callable(payload) else payload
        for listener in _listeners[kind]:
            _safely(kind, partial(listener, payload))
    _messenger().send((settings().REDIS_URL, channel(), kind, payload))


def _safely(kind: Kind, call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:
        _log.warning("a listener of %s failed; the periodic sweep will catch up", kind, exc_info=True)


_Event = tuple[str, str, Kind, Payload]
"""Address of Redis, channel, and what to tell there."""


class _Messenger(threading.Thread):
    """Publishes in the order of `send`, what has waited as one pipeline; the oldest is dropped when too much waits."""

    def __init__(self) -> None:
        super().__init__(name="twins-events", daemon=True)
        self._waiting: deque[_Event] = deque(maxlen=_MOST_WAITING)
        self._some = threading.Condition()
        self._awake = self._telling = False

    def send(self, event: _Event) -> None:
        self._waiting.append(event)
        if not self._awake:  # else it looks again before it rests
            with self._some:
                self._some.notify_all()

    def run(self) -> None:
        while True:
            with self._some:
                self._awake = False
                self._some.wait_for(lambda: self._waiting)
                self._awake = True
            idle = 0
            while idle < _LINGERS:
                time.sleep(_GATHERED)
                idle = 0 if self._tell_all() else idle + 1

    def _tell_all(self) -> bool:
        """Tell what waits; whether there was any."""
        with self._some:
            waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._telling = bool(waiting)
        if waiting:
            for kind in dict.fromkeys(kind for _, _, kind, _ in waiting):
                for call in _heeding[kind]:
                    _safely(kind, call)
            _publish(waiting)
        with self._some:
            self._telling = False
            self._some.notify_all()
        return bool(waiting)

    def finish(self) -> None:
        with self._some:
            self._some.wait_for(lambda: not (self._waiting or self._telling), _LAST_WORDS)


_unreachable: set[str] = set()
"""Addresses at which the last events were not taken."""


def _publish(waiting: list[_Event]) -> None:
    for address in dict.fromkeys(url for url, *_ in waiting):
        try:
            _publish_at(_client(address), [event for event in waiting if event[0] == address])
            _unreachable.discard(address)
        except redis.RedisError as error:
            # Once, and not fifty times a second for as long as it lasts.
            if address not in _unreachable:
                _log.warning("Redis takes no events (%s); until it does, subscribers see them when they resume", error)
            _unreachable.add(address)
        except Exception:
            _log.exception("events could not be told; subscribers see them on their next resume")


def _publish_at(client: redis.Redis, events: list[_Event]) -> None:
    heard = _heard(client, {name for _, name, *_ in events})
    if not heard:
        return
    with client.pipeline(transaction=False) as pipeline:
        for _, name, kind, payload in events:
            if name in heard:
                told = payload() if callable(payload) else payload
                pipeline.publish(name, orjson.dumps({"kind": kind, **told}))
        pipeline.execute()


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
