"""Assets: the tree, and on each asset's page what it carries, what is measured and what happened."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import path

from assets import services
from assets.admin.periods import PeriodColumns, installed
from assets.admin.saving import RegisterAdmin
from assets.admin.theme import SplitDateTime, TabularInline
from assets.admin.tree import SEARCH_HELP, SEARCHED, tree_view
from assets.models import Asset, Installation, MaintenanceEvent, Sensor
from assets.services import NewAsset, NewInstallation

_SHOWN = 50


class _HistoryInline(TabularInline):
    """The newest rows to read, and new ones to add; a row that stands is changed on its own page."""

    extra = 0
    can_delete = False
    show_change_link = True
    newest_first = "-id"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # Bounded per page, because an old asset has thousands of events and a form of thousands is refused by Django.
        rows: QuerySet[Any] = super().get_queryset(request)
        if asset := getattr(request.resolver_match, "kwargs", {}).get("object_id"):
            newest = self.model._default_manager.filter(asset=asset).order_by(self.newest_first, "-id")
            rows = rows.filter(pk__in=newest.values("pk")[:_SHOWN])
        return rows.order_by(self.newest_first, "-id")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class SensorInline(_HistoryInline):
    model = Sensor
    newest_first = "name"
    fields = ["name", "quantity", "unit", "role", "expected_interval", "valid_min", "valid_max"]


class InstallationForm(forms.ModelForm):
    """An item to be installed; with a reason, what is there now is removed at the same instant."""

    installed_at = forms.SplitDateTimeField(widget=SplitDateTime)
    replaces_because = forms.CharField(
        max_length=200, required=False, help_text="Why what is there now is removed at that instant."
    )

    class Meta:
        model = Installation
        fields = ["item"]


class InstallationInline(PeriodColumns, _HistoryInline):
    model = Installation
    form = InstallationForm
    newest_first = "-period__startswith"
    autocomplete_fields = ["item"]
    readonly_fields = ["removed", "removal_reason"]
    fields = ["item", "installed_at", "removed", "removal_reason", "replaces_because"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("item")

    def installed_at(self, installation: Installation) -> str:
        """What a row that stands shows in the column of the form's field."""
        return installed(installation)

    def replaces_because(self, installation: Installation) -> str:
        return ""


class EventInline(_HistoryInline):
    model = MaintenanceEvent
    newest_first = "-started_at"
    autocomplete_fields = ["item"]
    fields = ["kind", "started_at", "ended_at", "mode", "cause", "item", "downtime_hours", "note"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("item")


class CriticalityFilter(admin.SimpleListFilter):
    """The five there can be, without asking all assets for theirs."""

    title = "criticality"
    parameter_name = "criticality"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(value), str(value)) for value in range(1, 6)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Asset]) -> QuerySet[Asset]:
        asked = self.value()
        return queryset.filter(criticality=asked) if asked in {"1", "2", "3", "4", "5"} else queryset


@admin.register(Asset)
class AssetAdmin(RegisterAdmin):
    list_display = ["tag", "name", "level", "parent", "type", "status", "criticality"]
    list_select_related = ["parent", "type"]
    list_filter = ["level", "status", CriticalityFilter]
    search_fields = SEARCHED
    search_help_text = SEARCH_HELP
    autocomplete_fields = ["parent", "type", "design"]
    fields = ["tag", "name", ("level", "status", "criticality"), "parent", ("type", "design"), "attributes"]
    inlines = [InstallationInline, SensorInline, EventInline]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        own = [path("tree/", view(partial(tree_view, self)), name="twins_assets_asset_tree")]
        return [*own, *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Asset, form: Any, change: bool) -> None:
        if change:
            services.change_asset(asset=obj, actor=request.user)
        else:
            _create(obj, request.user)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        if formset.model is not Installation:
            super().save_formset(request, form, formset, change)
            return
        formset.save(commit=False)
        for row in formset.extra_forms:
            if row.has_changed():
                _install(row.instance, row.cleaned_data, request.user)


def _create(asset: Asset, actor: Any) -> None:
    row = NewAsset(
        tag=asset.tag,
        name=asset.name,
        level=asset.level,
        type=asset.type,
        design=asset.design,
        criticality=asset.criticality,
        status=asset.status,
        attributes=asset.attributes,
    )
    created = services.create_assets(rows=[row], under=asset.parent, actor=actor)[asset.tag]
    # The page goes on with its own object: inlines hang on it and the log names it.
    asset.pk, asset.root_id, asset.path = created.pk, created.root_id, created.path
    asset._state.adding = False


def _install(wish: Installation, answers: dict[str, Any], actor: Any) -> None:
    at, reason = answers["installed_at"], answers["replaces_because"]
    if reason:
        made = services.replace_item(asset=wish.asset, item=wish.item, at=at, reason=reason, actor=actor)
    else:
        new = NewInstallation(asset=wish.asset, item=wish.item, start=at)
        [made] = services.install_items(installations=[new], actor=actor)
    # The page's log names its own object.
    wish.pk, wish.period = made.pk, made.period
