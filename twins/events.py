"""What happened, told after commit: to listeners in this process and, over Redis, to every other process.

Messages are hints. PostgreSQL is the truth: whoever misses one finds the same by asking there, so an unreachable
Redis costs freshness and never data.
"""

from __future__ import annotations

import logging
from collections import defaultdict
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
    try:
        _client(settings().REDIS_URL).publish(channel(), orjson.dumps({"kind": kind, **payload}))
    except redis.RedisError as error:
        _log.warning("Redis did not take %s (%s); subscribers see it on their next resume", kind, error)


@cache
def _client(url: str) -> redis.Redis:
    # Short time-outs: a request that has committed must not hang on a hint.
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=0.5)
