"""What the numbers rest on: trained models, batches of readings and the files of the lake."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from twins.admin.reading import ReadOnlyAdmin
from twins.models import Batch, HealthModel


@admin.register(HealthModel)
class HealthModelAdmin(ReadOnlyAdmin):
    list_display = ["design", "status", "trained_at", "horizon", "life_unit", "reason"]
    list_select_related = ["design"]
    list_filter = ["status", ("design", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["design__code", "design__name"]
    exclude = ["artefact"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[HealthModel]:
        return super().get_queryset(request).defer("artefact")


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    list_display = ["id", "source", "key", "rows", "time_min", "time_max", "accepted_at", "compacted_at"]
    list_filter = [("compacted_at", admin.EmptyFieldListFilter)]
    search_fields = ["source", "key"]
    exclude = ["body"]
    ordering = ["-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("body")
