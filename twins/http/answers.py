"""Answers in JSON, and what each refusal is in HTTP: one place, so that every door says the same."""

from __future__ import annotations

import logging
import math
from typing import Any

import orjson
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from twins.exceptions import AccessDenied, ConflictingKey, LakeError, ReadingsError, TooManyRequests, UnknownDocument
from twins.http.authentication import NotAuthenticated
from twins.http.bodies import BodyTooLarge

_log = logging.getLogger(__name__)
_RETRY_AFTER = 5  # seconds; about what a restart of PostgreSQL takes


class UnsupportedBody(ReadingsError):
    """The body's content type or encoding is not one this door reads."""


# The first that fits counts: special before general.
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (NotAuthenticated, 401),
    (AccessDenied, 403),
    (TooManyRequests, 429),
    (UnknownDocument, 404),
    (BodyTooLarge, 413),
    (UnsupportedBody, 415),
    (ConflictingKey, 409),
    (ReadingsError, 400),
    (OperationalError, 503),
    (InterfaceError, 503),
    (LakeError, 503),
    (OSError, 503),
)
REFUSALS = tuple(kind for kind, _ in _STATUS)
"""What `refusal` knows an answer to."""


def answer(content: Any, *, status: int = 200, content_type: str = "application/json") -> HttpResponse:
    """JSON that no cache keeps."""
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return HttpResponse(body, status=status, content_type=content_type, headers={"Cache-Control": "no-store"})


def refusal(error: Exception) -> HttpResponse:
    """The answer to one of REFUSALS: {"errors": [{"message": ...}]}."""
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    message = str(error)
    if status == 503:
        _log.warning("a request was put off: %s", error, exc_info=error)
        message = "The store cannot be reached at the moment: nothing is known to be kept, send the request again."
    response = answer({"errors": [{"message": message}]}, status=status)
    if status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="twins"'
    if status == 403:
        response["WWW-Authenticate"] = 'Bearer realm="twins", error="insufficient_scope"'
    if status == 503:
        response["Retry-After"] = str(_RETRY_AFTER)
    if isinstance(error, TooManyRequests):
        response["Retry-After"] = str(math.ceil(error.wait))
    return response


def require_json(request: HttpRequest) -> None:
    """Raises UnsupportedBody unless the body says that it is JSON, uncompressed, in UTF-8 (which is assumed)."""
    if (request.content_type or "").lower() != "application/json":
        raise UnsupportedBody("Send the body as 'Content-Type: application/json'.")
    charset = (request.content_params or {}).get("charset", "utf-8")
    if charset.lower() not in ("utf-8", "utf8"):
        raise UnsupportedBody(f"A body in {charset[:40]!r} is not read: send 'application/json' in UTF-8.")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedBody("A compressed body is not read: send it without Content-Encoding.")
