"""How large a request may be, held before the bytes are kept anywhere.

Django's ASGI handler writes a whole body to a temporary file before any view is asked. `bounded_bodies` stands before
it: a view that states its limit (`@body_limit(...)`) is found by its address, whatever prefix the host project chose,
and a body that is announced or turns out larger is answered 413 at once. Without it the views still refuse, only later.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar

import orjson
from django.http import HttpRequest
from django.urls import Resolver404, resolve

from twins.exceptions import MalformedBody

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[..., Awaitable[None]]
MAX_DEPTH = 64
"""Levels of arrays and objects in the JSON of a query."""
# A text as a whole, closed or not, or a bracket outside of one: no character is looked at twice.
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
View = TypeVar("View", bound=Callable[..., Any])


class BodyTooLarge(Exception):
    """The body has more bytes than the view takes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes: send it in smaller parts.")


def body_limit(limit: Callable[[], int]) -> Callable[[View], View]:
    """Let a view state the largest body it takes, in bytes."""

    def mark(view: View) -> View:
        view.body_limit = limit  # type: ignore[attr-defined]
        return view

    return mark


def read_body(request: HttpRequest, limit: int) -> bytes:
    """The body; raises BodyTooLarge past `limit` bytes without reading further."""
    announced = request.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) > limit:
        raise BodyTooLarge(limit)
    body = request.read(limit + 1)
    if len(body) > limit:
        raise BodyTooLarge(limit)
    return body


def read_json(text: bytes, what: str = "body") -> Any:
    """JSON nested at most MAX_DEPTH deep, which is looked at before it is parsed; raises MalformedBody."""
    if text.count(b"[") + text.count(b"{") > MAX_DEPTH and _is_deep(text):
        raise MalformedBody(f"The {what} is nested deeper than {MAX_DEPTH}: make it flatter.")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(f"The {what} is not JSON: {error}.") from None


def _is_deep(text: bytes) -> bool:
    depth = 0
    for token in _BRACKETS.finditer(text):
        if token[0] in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif token[0] in b"]}":
            depth -= 1
    return False


def bounded_bodies(application: Application) -> Application:
    """The ASGI application behind a guard that holds the limits its views state."""

    async def guarded(scope: Any, receive: Receive, send: Send) -> None:
        limit = _limit(scope) if scope["type"] == "http" else None
        if limit is None:
            return await application(scope, receive, send)
        try:
            announced = dict(scope["headers"]).get(b"content-length", b"")
            if announced.isdigit() and int(announced) > limit:
                raise BodyTooLarge(limit)
            return await application(scope, _counted(receive, limit), send)
        except BodyTooLarge as error:
            # Only raised while the body is read, before the application has sent anything.
            return await _refuse(send, str(error))

    return guarded


def _limit(scope: Any) -> int | None:
    path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
    try:
        limit = getattr(resolve(path).func, "body_limit", None)
    except Resolver404:
        return None
    return limit() if limit else None


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise BodyTooLarge(limit)
        return message

    return counted


async def _refuse(send: Send, reason: str) -> None:
    body = orjson.dumps({"errors": [{"message": reason}]})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
