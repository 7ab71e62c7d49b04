"""Whether the service works: one line a part in plain text, 200 only when every part does.

Cheap enough to be asked every few seconds, open to everyone, and silent about addresses and secrets: the reason of a
failure is named by its kind only.
"""

from __future__ import annotations

from collections.abc import Callable

import redis
from celery import current_app
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis.backoff import NoBackoff
from redis.retry import Retry

from twins.conf import settings
from twins.lake import open_store

_PATIENCE = 1.0
"""Seconds in which Redis and the queue answer."""
_WORKER_PATIENCE = 2.0
"""Seconds in which a worker answers, which looks for questions now and then."""


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """`name: ok` or `name: what fails` a line; 503 as soon as one part fails."""
    answers = {name: _ask(check) for name, check in PARTS.items()}
    text = "".join(f"{name}: {answer}\n" for name, answer in answers.items())
    healthy = all(answer == "ok" for answer in answers.values())
    return HttpResponse(text, status=200 if healthy else 503, content_type="text/plain; charset=utf-8")


def _ask(check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception as error:
        return f"fails ({type(error).__name__})"


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "ok"


def _redis() -> str:
    once = Retry(NoBackoff(), 0)
    limits = {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE, "retry": once}
    with redis.Redis.from_url(settings().REDIS_URL, **limits) as client:
        client.ping()
    return "ok"


def _worker() -> str:
    """A worker of the Celery app in force answers; that app is the host's own where there is one."""
    broker = {"socket_timeout": _PATIENCE, "socket_connect_timeout": _PATIENCE}
    with current_app.connection_for_write(transport_options=broker) as line:
        line.ensure_connection(max_retries=1, timeout=_PATIENCE)  # else a missing queue costs many retries
        answers = current_app.control.ping(timeout=_WORKER_PATIENCE, limit=1, connection=line)
    return "ok" if answers else "no worker answers"


def _lake() -> str:
    return "ok" if open_store(settings().LAKE).is_writable() else "the directory cannot be written"


PARTS: dict[str, Callable[[], str]] = {"database": _database, "redis": _redis, "worker": _worker, "lake": _lake}
"""What is asked, in this order."""
