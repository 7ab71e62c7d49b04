"""Documents that were parsed before, with what was found out about them: kept within a bound of bytes, not of number.

A document of 4,000 tokens is two megabytes of nodes, so a few hundred of a stranger's would be all memory there is.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any

from graphql import DocumentNode, parse

TOKENS = 4000
"""Most tokens of a document."""
KEPT = 32 * 1024 * 1024
"""Bytes that all kept documents may take together."""
_NODE = 600  # bytes a token becomes, measured on selections without arguments, which weigh most


class Document:
    """A parsed text. `notes` is for whoever wants to remember something about it as long as it is kept."""

    def __init__(self, text: str) -> None:
        self.root: DocumentNode = parse(text, max_tokens=TOKENS)
        self.bytes = 2 * len(text) + _NODE * (self.root.token_count or TOKENS)
        self.notes: dict[Any, Any] = {}


class _Documents:
    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._known: OrderedDict[str, Document] = OrderedDict()
        self._lock = Lock()

    def known(self, text: str) -> Document | None:
        """The document of this text where it is kept."""
        with self._lock:
            if document := self._known.get(text):
                self._known.move_to_end(text)
            return document

    def parsed(self, text: str) -> Document:
        """The document of this text; raises GraphQLError, RecursionError."""
        if document := self.known(text):
            return document
        document = Document(text)
        with self._lock:
            self._bytes += document.bytes - (self._known[text].bytes if text in self._known else 0)
            self._known[text] = document
            while self._bytes > self._limit:
                self._bytes -= self._known.popitem(last=False)[1].bytes
        return document


_documents = _Documents(KEPT)
known, parsed = _documents.known, _documents.parsed
