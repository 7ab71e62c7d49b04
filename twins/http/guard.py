"""The ASGI application behind a guard: how large a request may be is held before its bytes are kept anywhere.

Django's ASGI handler writes a whole body to a temporary file before any view is asked. `bounded_bodies` stands before
it: a view that states its limit (`@body_limit(...)`) is found by its address, whatever prefix the host project chose,
and a body that is announced or turns out larger is answered 413 at once. A machine's request to a view that stands
alone is answered right here. Without the guard the views do the same, only later and at more cost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import orjson
from django.conf import settings
from django.urls import Resolver404, resolve

from twins.http.again import Again, Headers, Sent, offer
from twins.http.alone import Receive, Send, answer_again, answer_alone, is_alone
from twins.http.bodies import BodyTooLarge

Application = Callable[..., Any]


def bounded_bodies(application: Application) -> Application:
    """The ASGI application behind a guard that holds the limits its views state."""

    async def guarded(scope: Any, receive: Receive, send: Send) -> None:
        view = _view(scope) if scope["type"] == "http" else None
        limit = _limit(view)
        if limit is None:
            return await application(scope, receive, send)
        try:
            headers = dict(scope["headers"])
            size = headers.get(b"content-length", b"")
            announced = int(size) if size.isdigit() else limit
            if announced > limit:
                raise BodyTooLarge(limit)
            if is_alone(view, headers, scope):
                quickly = await answer_alone(view, announced, scope, _counted(receive, limit), send, headers=headers)
                return offer(scope, _again(scope)) if quickly else None
            return await application(scope, _counted(receive, limit), send)
        except BodyTooLarge as error:
            # Only raised while the body is read, before the application has sent anything.
            return await _refuse(send, str(error))

    return guarded


def _again(scope: Any) -> Again:
    """How the next request with the head of this one is answered: all that may have changed is asked anew."""

    async def again(headers: Headers, body: bytes) -> Sent | None:
        view, named, here = _view(scope), dict(headers), {**scope, "headers": headers}
        limit = _limit(view)
        if limit is None or len(body) > limit or not is_alone(view, named, here):
            return None
        return await answer_again(view, here, named, body)

    return again


def _view(scope: Any) -> Any:
    return _view_at(scope["path"].removeprefix(scope.get("root_path", "").rstrip("/")), settings.ROOT_URLCONF)


@lru_cache(maxsize=128)
def _view_at(path: str, urls: str) -> Any:
    try:
        return resolve(path, urls).func
    except Resolver404:
        return None


def _limit(view: Any) -> int | None:
    limit = getattr(view, "body_limit", None)
    return limit() if limit else None


def _counted(receive: Receive, limit: int) -> Receive:
    seen = 0

    async def counted() -> Any:
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
