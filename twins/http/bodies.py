"""Bodies of requests: how large they may be, what is in compressed ones, and how many are worked on at once."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import orjson
from django.http import HttpRequest

from twins.exceptions import MalformedBody, ReadingsError, TooBusy
from twins.sources import ENCODINGS, decompress

View = TypeVar("View", bound=Callable[..., Any])

MAX_DEPTH = 64
"""Levels of arrays and objects in the JSON of a query."""
# A text as a whole, closed or not, or a bracket outside of one: no character is looked at twice.
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
OPENED = 4
"""How many times its limit a compressed body may hold."""
_AT_ONCE = threading.BoundedSemaphore(4)
_PATIENCE = 10.0


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
    announced = request.META.get("CONTENT_LENGTH", "")
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


class UnsupportedBody(ReadingsError):
    """The body's content type or encoding is not one this door reads."""


def opened_body(request: HttpRequest, limit: int) -> bytes:
    """The body without its Content-Encoding; raises BodyTooLarge, TooLarge, MalformedBody or UnsupportedBody."""
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "identity").lower()
    body = read_body(request, limit)
    if encoding == "identity":
        return body
    if encoding not in ENCODINGS:
        raise UnsupportedBody(f"The Content-Encoding {encoding[:20]!r} is not read: use {' or '.join(ENCODINGS)}.")
    return decompress(body, encoding, limit=OPENED * limit)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold the memory that bodies are decoded in to a few of them; raises TooBusy after some seconds of waiting."""
    if not _AT_ONCE.acquire(timeout=_PATIENCE):
        raise TooBusy("Too many bodies are read at the moment: send again later.")
    try:
        yield
    finally:
        _AT_ONCE.release()
