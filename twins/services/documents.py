"""Persisting the documents a client was built with, so that it may ask for them by digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.db import transaction

from twins.models.documents import PersistedDocument


def persist_documents(*, texts: Iterable[str]) -> dict[str, bool]:
    """Whether each document is new, by its SHA-256 in hexadecimal; all are kept or none. Repeating changes nothing."""
    documents = {digest_of(text): text for text in texts}
    with transaction.atomic():
        known = set(PersistedDocument.objects.filter(pk__in=documents).values_list("pk", flat=True))
        rows = [PersistedDocument(digest=digest, text=text) for digest, text in sorted(documents.items())]
        PersistedDocument.objects.bulk_create(rows, ignore_conflicts=True)
    return {digest: digest not in known for digest in documents}


def digest_of(text: str) -> str:
    """The id of a document: SHA-256 of its text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()
