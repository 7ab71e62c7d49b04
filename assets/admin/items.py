"""Items, where they were installed, and the sensors and events of assets."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest

from assets import services
from assets.admin.declared import DeclaredFields
from assets.admin.inlines import ItemInstallationsInline
from assets.admin.periods import PeriodColumns
from assets.admin.saving import RegisterAdmin, RegisterForm
from assets.admin.standing import StandingRows
from assets.admin.theme import SplitDateTime
from assets.models import Installation, Item, MaintenanceEvent, ParameterSubject, Sensor
from assets.permissions import Action


@admin.register(Item)
class ItemAdmin(DeclaredFields, StandingRows, RegisterAdmin):
    declares = (ParameterSubject.ITEM, ParameterSubject.ACCEPTANCE)
    list_display = ["serial_number", "design", "manufacturer", "made_at"]
    list_select_related = ["design"]
    list_filter = [("design", admin.RelatedOnlyFieldListFilter)]
    search_fields = ["serial_number", "manufacturer", "design__code", "design__name"]
    autocomplete_fields = ["design"]
    inlines = [ItemInstallationsInline]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found, several = super().get_search_results(request, queryset, search_term)
        if request.GET.get("model_name") == "installation":
            # What is to be installed must be free.
            taken = Installation.objects.filter(item=OuterRef("pk"), period__upper_inf=True)
            found = found.filter(~Exists(taken), retired_at=None)
        return found, several


class RemovalForm(RegisterForm):
    """The only change an installation takes: its item is removed."""

    removed_at = forms.SplitDateTimeField(widget=SplitDateTime)

    class Meta:
        model = Installation
        fields = ["removal_reason"]


@admin.register(Installation)
class InstallationAdmin(PeriodColumns, RegisterAdmin):
    form = RemovalForm
    list_display = ["item", "asset", "installed", "removed", "removal_reason"]
    search_fields = ["item__serial_number", "asset__tag", "asset__name"]
    readonly_fields = ["asset", "item", "installed", "removed"]
    fields = ["asset", "item", "installed", "removed", "removed_at", "removal_reason"]
    ordering = ["-period__startswith", "-id"]
    changed_by = Action.RECORD

    def get_queryset(self, request: HttpRequest) -> QuerySet[Installation]:
        return super().get_queryset(request).select_related("asset", "item")  # which name it

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Installation | None = None) -> bool:
        ended = obj is not None and obj.period.upper is not None
        return not ended and super().has_change_permission(request, obj)

    def get_fields(self, request: HttpRequest, obj: Installation | None = None) -> Any:
        hidden = "removed" if self.has_change_permission(request, obj) else "removed_at"
        return [field for field in self.fields or [] if field != hidden]

    def save_model(self, request: HttpRequest, obj: Installation, form: Any, change: bool) -> None:
        services.remove_item(
            asset=obj.asset, at=form.cleaned_data["removed_at"], reason=obj.removal_reason, actor=request.user
        )


MEASURED: Final[list[Any]] = [
    "quantity", "unit", "role", "expected_interval", ("valid_min", "valid_max"), "retention_days", "privacy",
]  # fmt: skip


@admin.register(Sensor)
class SensorAdmin(RegisterAdmin):
    list_display = ["name", "asset", "quantity", "unit", "role", "expected_interval"]
    list_filter = ["role", "privacy"]
    search_fields = ["name", "quantity", "asset__tag", "asset__name"]
    autocomplete_fields = ["asset"]
    readonly_fields = ["uuid"]
    fields = ["asset", "name", *MEASURED, "uuid"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Sensor]:
        return super().get_queryset(request).select_related("asset")  # whose tag names it


@admin.register(MaintenanceEvent)
class MaintenanceEventAdmin(RegisterAdmin):
    list_display = ["started_at", "kind", "asset", "item", "mode", "cause", "downtime_hours"]
    list_filter = ["kind"]
    date_hierarchy = "started_at"
    changed_by = Action.RECORD
    search_fields = ["asset__tag", "asset__name", "item__serial_number", "mode", "note"]
    autocomplete_fields = ["asset", "item"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[MaintenanceEvent]:
        return super().get_queryset(request).select_related("asset", "item")  # the asset's tag names it
