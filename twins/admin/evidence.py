"""What the numbers rest on: trained models, batches of readings and what overwrote some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from assets.admin.theme import ModelAdmin
from assets.models import Design
from twins.admin.reading import ReadOnlyAdmin
from twins.exceptions import ModelRefused
from twins.models import Batch, Correction, HealthModel, LearningPlan
from twins.services.promotion import promote_model, roll_back


@admin.register(HealthModel)
class HealthModelAdmin(ReadOnlyAdmin):
    list_display = ["design", "status", "trained_at", "scope", "horizon", "life_unit", "reason"]
    actions = ["promote", "roll_back"]
    list_filter = ["status", ("design", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["design__code", "design__name"]
    exclude = ["artefact"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[HealthModel]:
        return super().get_queryset(request).select_related("design").defer("artefact")

    def has_promote_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("twins.change_healthmodel"))

    @admin.action(description="Put in force", permissions=["promote"])
    def promote(self, request: HttpRequest, queryset: QuerySet[HealthModel]) -> None:
        self._try(request, [(promote_model, {"model": model}) for model in queryset])

    @admin.action(description="Go back to the design's model before", permissions=["promote"])
    def roll_back(self, request: HttpRequest, queryset: QuerySet[HealthModel]) -> None:
        designs = Design.objects.filter(health_models__in=queryset).distinct().order_by("pk")
        self._try(request, [(roll_back, {"design": design}) for design in designs])

    def _try(self, request: HttpRequest, steps: Sequence[tuple[Callable[..., HealthModel], dict[str, Any]]]) -> None:
        """Take each step by itself and tell what it did or why it was refused."""
        for step, arguments in steps:
            try:
                model = step(**arguments)
            except ModelRefused as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.message_user(request, f"Model {model.pk} of {model.design} is in force.")


@admin.register(LearningPlan)
class LearningPlanAdmin(ModelAdmin):
    """What people decided about learning; everything else follows from the records."""

    list_display = ["design", "failure_horizons", "ignored_inputs", "trials"]
    list_select_related = ["design"]
    autocomplete_fields = ["design"]
    search_fields = ["design__code", "design__name"]


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    list_display = ["id", "source", "key", "rows", "time_min", "time_max", "accepted_at", "compacted_at"]
    list_filter = [("compacted_at", admin.EmptyFieldListFilter)]
    search_fields = ["source", "key"]
    exclude = ["body"]
    ordering = ["-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("body")


@admin.register(Correction)
class CorrectionAdmin(ReadOnlyAdmin):
    list_display = ["sensor", "time_min", "time_max", "readings", "batch", "found_at"]
    list_select_related = ["sensor"]
    exclude = ["watched"]
    search_fields = ["sensor__name", "sensor__asset__tag"]
    ordering = ["-id"]
