"""What was worked out before and is used again, such as parsed documents: within a bound of bytes, not of number.

A document of 4,000 tokens is two megabytes of nodes, so a few hundred of a stranger's would be all memory there is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Any, Generic, TypeVar

from graphql import DocumentNode, parse

TOKENS = 4000
"""Most tokens of a document."""
KEPT = 32 * 1024 * 1024
"""Bytes that all kept documents may take together."""
_NODE = 600  # bytes a token becomes, measured on selections without arguments, which weigh most

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """Values by what they were made of; whatever was not used for longest goes first. Threads may share it."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._known: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        with self._lock:
            found = self._known.get(key)
            if found is None:
                return None
            self._known.move_to_end(key)
            return found[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep a value that takes so many bytes."""
        with self._lock:
            self._bytes += size - self._known.pop(key, (None, 0))[1]
            self._known[key] = value, size
            while self._bytes > self._limit:
                self._bytes -= self._known.popitem(last=False)[1][1]


class Document:
    """A parsed text. `notes` is for whoever wants to remember something small about it as long as it is kept."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root: DocumentNode = parse(text, max_tokens=TOKENS)
        self.bytes = 2 * len(text) + _NODE * (self.root.token_count or TOKENS)
        self.notes: dict[Any, Any] = {}


_documents: Kept[str, Document] = Kept(KEPT)


def parsed(text: str) -> Document:
    """The document of this text; raises GraphQLError, RecursionError."""
    document = _documents.get(text)
    if document is None:
        document = Document(text)
        _documents.put(text, document, document.bytes)
    return document
