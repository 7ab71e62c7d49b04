"""uvicorn's HTTP protocol, which answers a machine's next request without taking apart a head that it knows.

A gateway sends the same head all day and only the body is new. To parse it, to make a scope and an ASGI conversation of
it and to write the answer in pieces takes longer than all that is decided about it. Where the application has offered
it (see `again`) a whole request with a known head goes straight to the function that answers; whatever is unusual in
the least is uvicorn's as ever. `uvicorn --http twins.http.protocol:KnowingProtocol --no-access-log`
"""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import Any

from uvicorn.logging import TRACE_LOG_LEVEL
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HEADER_RE, HEADER_VALUE_RE, STATUS_LINE, HttpToolsProtocol

from twins.http.again import Again, Headers, Sent, extension

_HEADS = 4
"""Heads that one connection knows."""
_LONGEST = 4 << 10
"""Bytes of a head that is learnt."""
_PATIENCE = 1.0
"""Seconds that a body is waited for here; then the application does it by its own clock."""
_WIDEST = 300
"""Characters of a value that varies."""
_VARYING = {b"content-length": re.compile(rb"[0-9]{1,5}"), b"idempotency-key": re.compile(rb"[!-~]{1,%d}" % _WIDEST)}
"""Headers that may have another value in each request."""
_LASTING = {b"connection", b"proxy-connection"}
"""Headers that may only say what is so anyway: that the connection is kept."""
_UNUSUAL = {b"transfer-encoding", b"expect", b"upgrade", b"http2-settings", b"trailer"}
"""Headers that change how a body comes or what follows it."""
_BROKEN = Sent(
    500, [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"21")], b"Internal Server Error"
)


class _Head:
    """The bytes of a head, cut where a value may vary."""

    def __init__(self, pieces: list[bytes], places: list[int], headers: Headers, again: Again) -> None:
        self._pieces, self._places, self._headers, self.again = pieces, places, headers, again

    def of(self, data: bytes) -> _Request | None:
        """The request that begins here with this head; its body may still have to come."""
        headers, at, size = self._headers.copy(), 0, 0
        for piece, place in zip(self._pieces, self._places, strict=False):
            if not data.startswith(piece, at):
                return None
            at += len(piece)
            end = data.find(b"\r", at, at + _WIDEST + 1)
            name, value = headers[place][0], data[at:end]
            if not _VARYING[name].fullmatch(value):
                return None
            headers[place] = name, value
            if name == b"content-length":
                size = int(value)
            at = end
        if not data.startswith(self._pieces[-1], at):
            return None
        at += len(self._pieces[-1])
        return _Request(self, headers, at, at + size)


class _Request:
    """A request with a known head: where its body begins and ends."""

    def __init__(self, head: _Head, headers: Headers, begin: int, end: int) -> None:
        self.head, self.headers, self.begin, self.end = head, headers, begin, end


def _learnt(head: bytes, headers: Headers, again: Again) -> _Head | None:
    """The head of a request, None for one that is not written as plainly as machines do."""
    names = [name for name, _ in headers]
    if names.count(b"content-length") != 1 or not _UNUSUAL.isdisjoint(names) or not head.startswith(b"POST "):
        return None
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    if not first.endswith(b" HTTP/1.1") or len(lines) != len(headers):
        return None
    pieces, places, piece = [], [], first + b"\r\n"
    for place, (line, (name, value)) in enumerate(zip(lines, headers, strict=True)):
        said, _, rest = line.partition(b": ")
        if said.lower() != name or rest != value or (name in _LASTING and value.lower() != b"keep-alive"):
            return None
        if name in _VARYING:
            pieces.append(piece + said + b": ")
            places.append(place)
            piece = b"\r\n"
        else:
            piece += line + b"\r\n"
    return _Head([*pieces, piece + b"\r\n"], places, headers, again)


class KnowingProtocol(HttpToolsProtocol):
    """One connection. What is in flight here is one request at most; what comes meanwhile waits for its answer."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # Whoever wants each request counted, told or in a context of its own gets that from uvicorn.
        self._knows = not (
            self.limit_concurrency is not None
            or self.access_log
            or self.logger.level <= TRACE_LOG_LEVEL
            or getattr(self.config, "reset_contextvars", False)
        )
        self._extensions = extension(self._learn) if self._knows else {}
        self._heads: list[_Head] = []
        self._opening: bytes | None = None
        """Bytes that go to the parser and begin with a message."""
        self._head: bytes | None = None
        """What the message began with that the parser has begun last, where that came in one piece."""
        self._in_message = False
        self._answers = False
        self._ends = False
        """Whether the server shuts down while a request is answered here."""
        self._held = bytearray()
        """What came while a request is answered, or of one whose body has not come whole."""
        self._wanted = 0
        self._patience: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Answer a whole request with a known head; all else is uvicorn's."""
        if self._answers:
            self._held += data
            self.flow.pause_reading()
            return
        if self._wanted:
            self._held += data
            if len(self._held) < self._wanted:
                return
            data = self._taken()
        request = self._found(data) if self._heads and self._is_idle() else None
        if request is None or len(data) > request.end:
            self._parse(data)
            return
        self._unset_keepalive_if_required()
        if len(data) < request.end:
            self._held += data
            self._wanted = request.end
            self._patience = self.loop.call_later(_PATIENCE, self._wait_no_more)
            return
        self._answers = True
        task = self.loop.create_task(self._answer(request, data))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_message_begin(self) -> None:
        """Let the application say how to answer what comes with this head again."""
        super().on_message_begin()
        self._in_message = True
        self._head, self._opening = self._opening, None
        if self._knows:
            self.scope["extensions"] = self._extensions

    def on_message_complete(self) -> None:
        """Remember that the parser waits for a new message."""
        super().on_message_complete()
        self._in_message = False

    def shutdown(self) -> None:
        """Called by the server: what is in flight is answered, then the connection ends."""
        if self._answers:
            self._ends = True
            return
        self._wait_no_more()
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """What was begun is finished, and nobody is told."""
        self._taken()
        self._extensions.clear()  # which knows this object
        self._heads.clear()
        super().connection_lost(exc)

    def _is_idle(self) -> bool:
        return not (
            self._in_message
            or (self.cycle is not None and not self.cycle.response_complete)
            or self.transport.is_closing()
            or self.flow.write_paused
        )

    def _found(self, data: bytes) -> _Request | None:
        for head in self._heads:
            request = head.of(data)
            if request is not None:
                return request if request.end <= HIGH_WATER_LIMIT else None
        return None

    def _learn(self, headers: Headers, again: Again) -> None:
        # Meanwhile the parser may have come to the next request.
        if self._head is None or headers is not self.headers:
            return
        end = self._head.find(b"\r\n\r\n") + 4
        head = _learnt(self._head[:end], headers, again) if end > 4 else None
        if head is not None and not any(known.of(self._head) for known in self._heads):
            self._heads = [*self._heads[1 - _HEADS :], head]

    def _parse(self, data: bytes) -> None:
        self._opening = None if self._in_message else data[:_LONGEST]
        super().data_received(data)
        self._opening = None

    def _taken(self) -> bytes:
        """What was held, which is no longer waited for."""
        if self._patience is not None:
            self._patience.cancel()
        held, self._held, self._wanted, self._patience = bytes(self._held), bytearray(), 0, None
        return held

    def _wait_no_more(self) -> None:
        if held := self._taken():
            self._parse(held)

    async def _answer(self, request: _Request, data: bytes) -> None:
        broken = False
        try:
            sent = await request.head.again(request.headers, data[request.begin :])
            lines = [] if sent is None else self._lines(sent)
        except BaseException as error:  # as uvicorn does for an application
            self.logger.error("Exception in ASGI application\n", exc_info=error)
            sent, broken = _BROKEN, True
            lines = self._lines(sent)
        self._answers = False
        held = self._taken()
        if self.parser is None:  # the connection was lost
            return
        if sent is not None:
            self._send(lines, sent.body, closes=broken or (self._ends and not held))
            if held and not self.transport.is_closing():
                self.data_received(held)
        else:
            if request.head in self._heads:
                self._heads.remove(request.head)
            self.flow.resume_reading()
            self._parse(data + held)
        if self._ends:
            self.shutdown()

    def _lines(self, sent: Sent) -> list[bytes]:
        headers = (*self.server_state.default_headers, *sent.headers)
        return [STATUS_LINE[sent.status], *(_line(name, value) for name, value in headers)]

    def _send(self, lines: list[bytes], body: bytes, *, closes: bool) -> None:
        """All in one piece, which costs one call of the kernel."""
        if closes:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join((*lines, b"\r\n", body)))
        if closes:
            self.transport.close()
        self.on_response_complete()


@lru_cache(maxsize=256)
def _line(name: bytes, value: bytes) -> bytes:
    if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        raise RuntimeError(f"The header {name!r} cannot be sent.")
    return name.lower() + b": " + value + b"\r\n"
