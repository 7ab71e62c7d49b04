"""The plainest HTTP client there is: its own processor time is part of every latency that is measured with it.

Requests are whole, each with all of its headers, and are made before they are sent, as generators of load do; what
comes back is parsed, status and body, by the parser of the web server.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

import httptools

_TIMEOUT = 120
_MOST = 1 << 14


class Client:
    """One connection that is kept, and made anew after it was lost."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or 80
        self._headers = {"Host": parts.netloc, "User-Agent": "benchmark", "Accept": "*/*", **headers}
        self._line: socket.socket | None = None

    def request(self, method: str, path: str, body: bytes, kind: str) -> bytes:
        """The bytes of a request."""
        headers = {**self._headers, "Content-Type": kind, "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; raises ConnectionError when the connection ends before."""
        answer = _Answer()
        try:
            line = self._line = self._line or self._connected()
            line.sendall(request)
            while not answer.whole:
                piece = line.recv(_MOST)
                if not piece:
                    raise ConnectionError("The server has closed the connection.")
                answer.parser.feed_data(piece)
        except OSError:
            self.close()
            raise
        if not answer.keeps:
            self.close()
        return answer.parser.get_status_code(), b"".join(answer.pieces)

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def _connected(self) -> socket.socket:
        line = socket.create_connection(self._address, timeout=_TIMEOUT)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line


class _Answer:
    """What the parser tells of an answer."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.pieces: list[bytes] = []
        self.whole = self.keeps = False
        """Whether all has come, and whether the connection stays."""

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        self.whole = True
        # Only here: afterwards the parser has forgotten the headers.
        self.keeps = self.parser.should_keep_alive()
