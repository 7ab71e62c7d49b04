"""What planners decide about health, and what was found and warned of."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from assets.admin.saving import rights
from assets.admin.theme import ModelAdmin
from assets.permissions import Action
from twins.admin import words
from twins.admin.reading import ReadOnlyAdmin, at_seen_assets
from twins.exceptions import PolicyError
from twins.models import Finding, HealthPolicy, HealthWarning, RollUpPolicy
from twins.services.policies import check_policy


class _PolicyAdmin(ModelAdmin):
    """A policy concerns every item of a design or a type: it is set by who may change the whole register."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and rights(request).reach(Action.CHANGE).everything

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and rights(request).reach(Action.CHANGE).everything

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and rights(request).reach(Action.CHANGE).everything


class _SeenAdmin(ReadOnlyAdmin):
    """Rows that hang on an asset, where it may be seen."""

    named_by: tuple[str, ...] = ("asset",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return at_seen_assets(request, super().get_queryset(request)).select_related(*self.named_by)


class HealthPolicyForm(forms.ModelForm):
    """Says which contributor makes no sense before anything is stored."""

    class Meta:
        model = HealthPolicy
        fields = ["design", "contributors", "duty", "location", "reliability", "rate", "warning_threshold"]

    def clean_contributors(self) -> Any:
        contributors = self.cleaned_data["contributors"] or []
        try:
            check_policy(policy=HealthPolicy(contributors=contributors))
        except PolicyError as error:
            raise forms.ValidationError(str(error)) from error
        return contributors


@admin.register(HealthPolicy)
class HealthPolicyAdmin(_PolicyAdmin):
    form = HealthPolicyForm
    list_display = ["design", "duty", "location", "reliability", "warning_threshold"]
    list_select_related = ["design"]
    autocomplete_fields = ["design"]
    search_fields = ["design__code", "design__name"]


@admin.register(RollUpPolicy)
class RollUpPolicyAdmin(_PolicyAdmin):
    list_display = ["type", "rule", "needed"]
    list_select_related = ["type"]
    autocomplete_fields = ["type"]
    search_fields = ["type__code", "type__name"]


@admin.register(HealthWarning)
class HealthWarningAdmin(_SeenAdmin):
    list_display = ["asset", "raised_at", "within", "said", "stands_for", "verdict", "failed_at"]
    list_filter = ["verdict", ("cleared_at", admin.EmptyFieldListFilter), "source"]
    search_fields = ["asset__tag", "asset__name"]

    @admin.display(description="within")
    def within(self, row: HealthWarning) -> str:
        return words.amount(row.horizon_days, "d")

    @admin.display(description="probability", ordering="probability")
    def said(self, row: HealthWarning) -> str:
        return words.percent(row.probability)

    @admin.display(description="stands")
    def stands_for(self, row: HealthWarning) -> str:
        return words.age(row.raised_at, row.cleared_at or timezone.now())


@admin.register(Finding)
class FindingAdmin(_SeenAdmin):
    named_by = ("asset", "sensor__asset")
    list_display = ["asset", "sensor", "kind", "started_at", "ended_at", "value", "score"]
    list_filter = ["kind", ("ended_at", admin.EmptyFieldListFilter)]
    search_fields = ["asset__tag", "asset__name", "sensor__name"]
