"""GraphQL documents that clients ask for by their digest instead of sending them."""

from __future__ import annotations

from django.db import models


class PersistedDocument(models.Model):
    """A document whose id is the SHA-256 of its text: what it says can never change under its id."""

    digest = models.CharField(max_length=64, primary_key=True, editable=False)
    text = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["digest"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(digest__regex=r"^[0-9a-f]{64}$"), name="persisted_document_digest_is_sha256"
            ),
        ]

    def __str__(self) -> str:
        return self.digest[:12]
