"""Answers in JSON, and what each refusal is in HTTP: one place, so that every door says the same."""

from __future__ import annotations

import errno
import functools
import logging
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
import psycopg
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from twins.exceptions import (
    AccessDenied,
    ConflictingKey,
    LakeError,
    ReadingsError,
    TooBusy,
    TooManyRequests,
    UnknownDocument,
)
from twins.http.authentication import NotAuthenticated
from twins.http.bodies import BodyTooLarge, UnsupportedBody
from twins.services.pressure import RETRY_AFTER
from twins.sources import TooLarge

View = Callable[[HttpRequest], HttpResponse]

_log = logging.getLogger(__name__)
_RETRY_AFTER = 5  # seconds; about what a restart of PostgreSQL takes


# The first that fits counts: special before general.
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotAuthenticated, 401),
    (AccessDenied, 403),
    (TooManyRequests, 429),
    (UnknownDocument, 404),
    (BodyTooLarge, 413),
    (UnsupportedBody, 415),
    (ConflictingKey, 409),
    (TooLarge, 413),
    (ReadingsError, 400),
    (TooBusy, 429),
    (OperationalError, 503),
    (InterfaceError, 503),
    (LakeError, 503),
    (OSError, 503),
)
REFUSALS = tuple(kind for kind, _ in _STATUS)
"""What `refusal` knows an answer to."""


class Said(NamedTuple):
    """An answer in JSON without headers of its own."""

    status: int
    body: bytes


def say(content: Any, *, status: int = 200) -> Said:
    """What an answer says."""
    return Said(status, orjson.dumps(content))


def answer(content: Any, *, status: int = 200, content_type: str = "application/json") -> HttpResponse:
    """JSON that no cache keeps."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return HttpResponse(body, status=status, content_type=content_type, headers={"Cache-Control": "no-store"})


def refusal(error: Exception) -> HttpResponse:
    """The answer to one of REFUSALS: {"errors": [{"message": ...}]}."""
    status, message, headers = refused(error)
    response = answer({"errors": [{"message": message}]}, status=status)
    for name, value in headers.items():
        response[name] = value
    return response


def refused(error: Exception) -> tuple[int, str, dict[str, str]]:
    """Status, sentence and headers of one of REFUSALS."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    if status == 503:
        _log.warning("a request was put off: %s", error, exc_info=error)
        reason = "The disk is full" if _is_full(error) else "The store cannot be reached at the moment"
        return 503, f"{reason}: nothing is known to be kept, send the request again.", _later(_RETRY_AFTER)
    headers = {
        401: {"WWW-Authenticate": 'Bearer realm="twins"'},
        403: {"WWW-Authenticate": 'Bearer realm="twins", error="insufficient_scope"'},
        429: _later(math.ceil(getattr(error, "wait", RETRY_AFTER))),
    }
    return status, str(error), headers.get(status, {})


def _later(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}


def _is_full(error: Exception) -> bool:
    return getattr(error, "errno", 0) == errno.ENOSPC or isinstance(error.__cause__, psycopg.errors.DiskFull)


def answers_refusals(view: View) -> View:
    """Let a view raise REFUSALS, and answer them."""

    @functools.wraps(view)
    def answering(request: HttpRequest) -> HttpResponse:
        try:
            return view(request)
        except REFUSALS as error:
            return refusal(error)

    return answering


def require_json(request: HttpRequest) -> None:
    """Raises UnsupportedBody unless the body says that it is JSON, uncompressed, in UTF-8 (which is assumed)."""
    if (request.content_type or "").lower() != "application/json":
        raise UnsupportedBody("Send the body as 'Content-Type: application/json'.")
    charset = (request.content_params or {}).get("charset", "utf-8")
    if charset.lower() not in ("utf-8", "utf8"):
        raise UnsupportedBody(f"A body in {charset[:40]!r} is not read: send 'application/json' in UTF-8.")
    if request.META.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedBody("A compressed body is not read: send it without Content-Encoding.")
