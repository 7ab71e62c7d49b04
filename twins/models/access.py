"""Who may come in without a browser: API tokens, kept only as hashes."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models


class Scope(models.TextChoices):
    READ = "read", "read twins"
    WRITE = "write", "change the register"
    INGEST = "ingest", "send readings"
    INTROSPECT = "introspect", "read the schema"


class ApiToken(models.Model):
    """A token of 256 random bits. Its SHA-256 is enough: there is nothing to guess that a slow hash would protect."""

    name = models.CharField(max_length=100, unique=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=10, choices=Scope.choices))
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="twins_tokens",
        help_text="Whose rights it carries; empty: those of its scopes alone.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = "API token"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scopes__contained_by=Scope.values) & ~models.Q(scopes=[]),
                name="api_token_scopes_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name
