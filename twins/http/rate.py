"""How often somebody may ask: a bucket for each token or user, shared by all processes through Redis.

A process takes shares of the bucket and spends them by itself, so that Redis is asked now and then and not with every
request; for as long as Redis is away each process keeps a bucket of its own. Whoever finds it empty is told when to
come again, and is not looked up before.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import redis

from twins.conf import settings
from twins.exceptions import TooManyRequests
from twins.services.principals import Principal

BURST = 10
"""Seconds whose requests may come at once."""
_SHARES = 20  # shares of one second's requests: the more, the fairer between processes and the busier Redis
_AWAY = 5.0  # seconds until Redis is tried again
_KNOWN = 10_000
_PATIENCE = 0.2

# The bucket: what may be taken, and when that was so by the clock of Redis. Returns what is given, or -ms to wait.
_TAKE = """
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
local known = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = math.min(burst, (tonumber(known[1]) or burst) + rate * math.max(0, now - (tonumber(known[2]) or now)))
local given = math.min(wanted, math.floor(left))
redis.call('HSET', KEYS[1], 'left', tostring(left - given), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(1000 * burst / rate) + 1000)
if given > 0 then return given end
return -math.ceil(1000 * (1 - left) / rate)
"""
_log = logging.getLogger(__name__)


@dataclass
class _Share:
    """What this process may still spend, until when nothing is to be had, and its bucket without Redis."""

    left: float = 0
    blocked: float = 0
    own: float = 0
    seen: float = 0


class Limiter:
    """The buckets as one process sees them."""

    def __init__(self) -> None:
        self._shares: OrderedDict[str, _Share] = OrderedDict()
        self._away = 0.0
        self._lock = Lock()

    def spend(self, name: str, rate: float, now: float) -> float:
        """Spend one request of a bucket of `rate` a second; seconds to wait, 0 when it was granted."""
        with self._lock:
            share = self._shares.setdefault(name, _Share(own=rate * BURST, seen=now))
            self._shares.move_to_end(name)
            if len(self._shares) > _KNOWN:
                self._shares.popitem(last=False)
            if share.left < 1 and now >= share.blocked:
                given = self._take(name, rate, share, now)
                share.left += max(given, 0)
                share.blocked = now - min(given, 0)
            if share.left < 1:
                return max(share.blocked - now, 0.001)
            share.left -= 1
            return 0

    def _take(self, name: str, rate: float, share: _Share, now: float) -> float:
        """What may be spent, or minus the seconds to wait."""
        if now >= self._away:
            try:
                wanted = max(1, rate // _SHARES)
                given = _script()(keys=[f"{settings().KEY_PREFIX}:rate:{name}"], args=[rate, rate * BURST, wanted])
                return given if given > 0 else given / 1000
            except redis.RedisError as error:
                _log.warning("the rate of requests is kept by each process alone: %s", error)
                self._away = now + _AWAY
        share.own = min(rate * BURST, share.own + rate * (now - share.seen)) - 1
        share.seen = now
        if share.own >= 0:
            return 1
        wait = -share.own / rate
        share.own += 1
        return -wait


_limiter = Limiter()


def spend_request(principal: Principal) -> None:
    """Count one request of the principal; raises TooManyRequests, which knows when to come again."""
    rate = settings().QUERY_RATE
    name = f"token:{principal.token.pk}" if principal.token else f"user:{principal.user.pk}"
    if wait := _limiter.spend(name, rate, time.monotonic()):
        raise TooManyRequests(f"More than {rate} requests a second: slow down, and try again in {wait:.1f} s.", wait)


@lru_cache(maxsize=1)
def _client(address: str) -> redis.client.Redis:
    return redis.Redis.from_url(address, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE)


def _script() -> redis.commands.core.Script:
    return _client(settings().REDIS_URL).register_script(_TAKE)
