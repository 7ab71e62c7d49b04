"""What the API remembers of its clients: documents they ask for by digest, and what was answered under a key."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class KeptAnswer(models.Model):
    """What a mutation came to under an idempotency key: a repeat gets it again, and nothing is done twice."""

    sender = models.CharField(max_length=200, help_text="Who asked; keys are unique within.")
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of what was asked.")
    answer = models.JSONField(null=True)
    answered_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["sender", "key"], name="kept_answer_key_unique_of_sender")]
        indexes = [models.Index(fields=["answered_at"], name="kept_answer_by_age")]

    def __str__(self) -> str:
        return f"{self.sender} {self.key}"


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
