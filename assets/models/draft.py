"""A file that was uploaded to be imported, between its preview and the word that writes it."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class ImportDraft(models.Model):
    """The bytes that were previewed are those that are written: nothing is uploaded twice, nothing named by a path.

    A row and not a file, because the next request may be answered by another machine.
    """

    token = models.CharField(max_length=64, unique=True, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", editable=False)
    name = models.CharField(max_length=200, editable=False)
    content = models.BinaryField()
    options = models.JSONField(default=dict, editable=False)
    made_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
