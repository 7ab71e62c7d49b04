"""Machines' requests, answered beside the host's middleware: in a few threads, and in memory that has a bound.

Middleware serves people in browsers: sessions, messages, CSRF. For a gateway that sends a token with each of a hundred
requests a second it costs more than the readings, and Django's handler gives each request a thread and with it a new
connection to the database, which costs more than most queries. A view marked `stands_alone` is called directly when the
request carries credentials of its own; any other request, and every host that does not use `bounded_bodies`, comes to
the same view through Django as ever. Bodies wait for room before they are read, so that TCP slows the sender down, and
a large one is read only from somebody who may send it.
"""

from __future__ import annotations

import asyncio
import atexit
import io
import logging
import select
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpRequest, HttpResponse

from twins.exceptions import TokenChanged, TooBusy
from twins.http.again import Sent
from twins.http.answers import Said, answers_refusals, refusal
from twins.http.authentication import looked_up_again
from twins.http.quick import SMALL, Quick, answer_quickly, failed
from twins.http.threads import WarmThreads
from twins.selectors.lines import hang_up

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
View = TypeVar("View", bound=Callable[..., Any])

_log = logging.getLogger(__name__)
THREADS = 4
"""Requests with readings that are worked on at once."""
QUESTIONS = 8
"""Questions that are answered at once."""
ROOM = 64 << 20
"""Bytes of bodies that may be in memory at once."""
_PLAIN = [(b"cache-control", b"no-store"), (b"content-type", b"application/json")]
"""Headers of what `answer` makes."""
_WAIT = 10.0
_READ_WITHIN = 60.0
_ADMITTED = 256 << 10
"""Bytes of a body that is read from anybody."""
_KEPT = 600.0
"""Seconds that a connection to the database is used again."""


class _Threads:
    """Those of views that take readings, and those of views that answer questions, which may last: neither waits for
    the other."""

    def __init__(self) -> None:
        self.taking = WarmThreads(THREADS, "twins-alone")
        self.asking = WarmThreads(QUESTIONS, "twins-asking", _own)

    def of(self, view: Any) -> WarmThreads:
        return self.asking if view.asks else self.taking

    def shutdown(self) -> None:
        for threads in (self.taking, self.asking):
            threads.shutdown()


_thread = threading.local()


def _own() -> None:
    _thread.owns = True


def owns_connections() -> bool:
    """Whether this thread answers questions only and keeps its connections for itself, so that they may be set up."""
    if not getattr(_thread, "owns", False):
        return False
    options = connections.settings[DEFAULT_DB_ALIAS]  # which a connection shares
    return not (options.get("DISABLE_SERVER_SIDE_CURSORS") or options["OPTIONS"].get("pool"))


_threads = _Threads()


@atexit.register
def _finish() -> None:
    """What a sender waits for is done before the process ends."""
    _threads.shutdown()


def stands_alone(
    sender: Callable[[HttpRequest], object], *, asks: bool = False, quick: Quick | None = None
) -> Callable[[View], View]:
    """Let a view be called without middleware; `sender` raises one of REFUSALS for whom may not send anything.

    `asks`: it answers questions. `quick`: how small bodies are answered without a thread.
    """

    def mark(view: View) -> View:
        view.sender, view.asks, view.quick = sender, asks, quick  # type: ignore[attr-defined]
        return view

    return mark


def is_alone(view: Any, headers: Mapping[bytes, bytes], scope: Any) -> bool:
    """Whether a request to a view can be answered here: it carries a token, and no redirect to HTTPS is due."""
    if not hasattr(view, "sender"):
        return False
    header = headers.get(b"authorization", b"")
    if header.partition(b" ")[0].lower() not in (b"bearer", b"token") and b"p=" not in scope["query_string"]:
        return False
    return not settings.SECURE_SSL_REDIRECT or ASGIRequest(scope, io.BytesIO()).is_secure()


async def answer_alone(
    view: Any, size: int, scope: Any, receive: Receive, send: Send, *, headers: Mapping[bytes, bytes]
) -> bool:
    """Read the body, of so many bytes at most, and send what is answered: at once, or by the view in a thread of its
    own kind. Returns whether the event loop took it in by itself."""
    first = _at_hand(receive) if view.quick is not None and size <= SMALL else None
    whole = first is not None and first["type"] == "http.request" and not first.get("more_body")
    response: HttpResponse | Said | None = None
    try:
        if first is not None and whole:
            response = await answer_quickly(view, scope, headers, first.get("body", b""))
        if response is None:
            response = await _answer_in_turn(view, size, scope, _after(first, receive), None if whole else headers)
    except TokenChanged:
        response = await _refused(view, scope)
    if response is not None:
        await _send(response, send)
    return isinstance(response, Said)


async def answer_again(view: Any, scope: Any, headers: Mapping[bytes, bytes], body: bytes) -> Sent | None:
    """What the event loop answers to a request that has come whole; None for what is left to `answer_alone`."""
    response: HttpResponse | Said | None
    try:
        response = await answer_quickly(view, scope, headers, body)
    except TokenChanged:
        response = await _refused(view, scope)
    return None if response is None else _sent(response)


async def _refused(view: Any, scope: Any) -> HttpResponse | None:
    return await _threads.of(view).run(_call, answers_refusals(_asked_again(view)), scope, b"")


async def _answer_in_turn(
    view: Any, size: int, scope: Any, receive: Receive, headers: Mapping[bytes, bytes] | None
) -> HttpResponse | Said | None:
    """What is answered once there is room for the body and it has come, None when nobody waits for it any more.

    Without `headers` it is known that a thread has to answer.
    """
    response: HttpResponse | Said | None = None
    if size > _ADMITTED:
        response = await _threads.of(view).run(_call, answers_refusals(_admits(view)), scope, b"")
    if response is None:
        try:
            async with _Share(min(size, ROOM)):
                async with asyncio.timeout(_READ_WITHIN):
                    body = await _read(receive)
                if body is None:
                    return None
                if headers is not None:
                    response = await answer_quickly(view, scope, headers, body)
                if response is None:
                    response = await _threads.of(view).run(_call, view, scope, body)
        except TimeoutError:
            return refusal(TooBusy("Too many bodies arrive at the moment, or this one too slowly: send it later."))
    return response


def _asked_again(view: Any) -> Callable[[HttpRequest], Any]:
    def ask(request: HttpRequest) -> None:
        with looked_up_again(lambda: view.sender(request)):
            raise TokenChanged

    return ask


def _admits(view: Any) -> Callable[[HttpRequest], Any]:
    def ask(request: HttpRequest) -> None:
        view.sender(request)

    return ask


def _call(view: Callable[[HttpRequest], Any], scope: Any, body: bytes) -> HttpResponse | None:
    opened = connections.all(initialized_only=True)
    for one in opened:
        one.health_check_done = _is_silent(one.connection)  # type: ignore[attr-defined]
    try:
        return view(ASGIRequest(scope, io.BytesIO(body)))
    except Exception:
        return failed(scope)
    finally:
        # To ask which there are takes longer than to look after them.
        _keep_connections(opened if len(opened) == len(connections.settings) else connections.all(True))


def _is_silent(line: Any) -> bool:
    """Whether a database has said nothing on an idle connection; its end is said as well, and then Django looks."""
    if line is None or line.closed:
        return False
    waiting = select.poll()
    waiting.register(line.fileno(), select.POLLIN)
    return not waiting.poll(0)


_lines: WeakSet[Any] = WeakSet()


def _keep_connections(opened: Sequence[Any]) -> None:
    """Close what is broken or old; the rest stays with its thread, because to connect costs more than to write."""
    kept = _thread.__dict__.setdefault("kept", {})
    now = time.monotonic()
    for one in opened:
        line, until = kept.get(one.alias, (None, 0.0))
        if line is not one.connection:
            kept[one.alias] = one.connection, (until := now + _KEPT)
            if one.connection is not None:
                _lines.add(one.connection)
        if one.errors_occurred or one.in_atomic_block or now > until:
            one.close()


def rest() -> None:
    """Let the threads go, with their connections; the next request starts new ones."""
    global _threads
    _threads, ending = _Threads(), _threads
    ending.shutdown()
    for line in list(_lines):
        line.close()
    hang_up()


def _at_hand(receive: Receive) -> Message | None:
    """What has come together with the headers, as a small body does: to wait for it under a clock takes longer."""
    waiting = receive().__await__()
    try:
        next(waiting)
    except StopIteration as end:
        return end.value
    waiting.close()
    return None


def _after(first: Message | None, receive: Receive) -> Receive:
    """Receives once more what has been received."""
    if first is None:
        return receive
    messages = [first]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


async def _read(receive: Receive) -> bytes | None:
    """The whole body, None when the client went away."""
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _send(response: HttpResponse | Said, send: Send) -> None:
    status, headers, body = _sent(response)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _sent(response: HttpResponse | Said) -> Sent:
    if isinstance(response, Said):
        status, body, headers = *response, _PLAIN
    else:
        status, body = response.status_code, response.content
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    return Sent(status, [*headers, (b"content-length", b"%d" % len(body))], body)


class _Room:
    """A number of bytes that the requests of one event loop share."""

    def __init__(self) -> None:
        self.left = ROOM
        self.waiting = 0
        self.freed = asyncio.Condition()


_rooms: WeakKeyDictionary[asyncio.AbstractEventLoop, _Room] = WeakKeyDictionary()


class _Share:
    """Have `size` bytes of the room while a block runs; raises TimeoutError when nobody makes room in time."""

    def __init__(self, size: int) -> None:
        self._size, loop = size, asyncio.get_running_loop()
        self._room = _rooms.get(loop) or _rooms.setdefault(loop, _Room())

    async def __aenter__(self) -> None:
        room = self._room
        if room.left < self._size:
            room.waiting += 1
            try:
                async with asyncio.timeout(_WAIT), room.freed:
                    await room.freed.wait_for(lambda: room.left >= self._size)
            finally:
                room.waiting -= 1
        room.left -= self._size

    async def __aexit__(self, *_: object) -> None:
        self._room.left += self._size
        if self._room.waiting:
            async with self._room.freed:
                self._room.freed.notify_all()
