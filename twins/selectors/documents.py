"""Persisted documents by their digest."""

from __future__ import annotations

from collections.abc import Iterable

from twins.models.documents import PersistedDocument


def persisted_documents(digests: Iterable[str]) -> dict[str, str]:
    """The text of each document that is known, by digest."""
    return dict(PersistedDocument.objects.filter(pk__in=list(digests)).values_list("digest", "text"))
