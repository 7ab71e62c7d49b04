"""What a web server and the application agree on, so that a machine's next request is answered without being taken
apart again.

A server that can do so puts an entry into the `extensions` of a scope: a function that is told how a request with the
same head, but another body, may be answered from now on. It needs nothing but ASGI, and knows no server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Headers = list[tuple[bytes, bytes]]


class Sent(NamedTuple):
    """An answer as it leaves: with a content-length, and without anything about the connection."""

    status: int
    headers: Headers
    body: bytes


Again = Callable[[Headers, bytes], Awaitable[Sent | None]]
"""From the headers and the body of the next request to its answer; None when it has to come the ordinary way, and then
nothing was changed."""

_NAME = "twins.again"


def extension(learn: Callable[[Headers, Again], None]) -> dict[str, Any]:
    """The entry of a server, which learns from the headers of a request, the very list of its scope, how to answer."""
    return {_NAME: learn}


def offer(scope: Any, again: Again) -> None:
    """Tell the server, if it cares, how to answer what comes with the head of this request."""
    learn = scope.get("extensions", {}).get(_NAME)
    if learn is not None:
        learn(scope["headers"], again)
