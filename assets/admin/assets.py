"""Assets: the tree, and on each asset's page what it carries, what is measured and what happened."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin
from django.db.models import F, FilteredRelation, Q, QuerySet
from django.http import HttpRequest
from django.urls import path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from assets import services
from assets.admin.bulk import change_criticality, change_status, export_selected, retire
from assets.admin.declared import DeclaredFields
from assets.admin.inlines import EventInline, InstallationInline, ReferenceInline, RelationInline, SensorInline
from assets.admin.periods import instant_in_words
from assets.admin.replacing import may_replace, replace_view
from assets.admin.saving import RegisterAdmin
from assets.admin.standing import StandingRows
from assets.admin.transfer import export_view, import_view, write_view
from assets.admin.tree import SEARCH_HELP, SEARCHED, tree_view
from assets.models import Asset, Installation, ParameterSubject, Relation
from assets.services import NewAsset, NewInstallation, NewRelation

_THERE = {
    "there_since": "period__startswith",
    "there_item": "item__serial_number",
    "there_design": "item__design__name",
    "there_revision": "item__design__revision",
}
"""What the page says of the item that is installed now."""


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
class AssetAdmin(DeclaredFields, StandingRows, RegisterAdmin):
    declares = (ParameterSubject.ASSET,)
    actions = [change_status, change_criticality, retire, export_selected]
    readonly_fields = ["now"]
    list_display = ["tag", "name", "level", "parent", "type", "status", "criticality"]
    list_select_related = ["parent", "type"]
    list_filter = ["level", "status", CriticalityFilter]
    search_fields = SEARCHED

    search_help_text = SEARCH_HELP
    autocomplete_fields = ["parent", "type", "design"]
    fields = ["tag", "name", ("level", "status"), "criticality", "parent", ("type", "design"), "attributes"]
    inlines = [InstallationInline, EventInline, SensorInline, RelationInline, ReferenceInline]

    def get_urls(self) -> list[Any]:
        pages: dict[str, tuple[Callable[..., Any], str]] = {
            "tree/": (tree_view, "tree"),
            "import/": (import_view, "import"),
            "import/write/": (write_view, "import_write"),
            "export/": (export_view, "export"),
            "<str:object_id>/replace/": (replace_view, "replace"),
        }
        site = self.admin_site
        own = [
            path(address, site.admin_view(partial(view, self)), name=f"twins_assets_asset_{name}")
            for address, (view, name) in pages.items()
        ]
        return [*own, *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: Asset | None = None) -> Any:
        first, *others = super().get_fieldsets(request, obj)
        # What there is to be done with an asset stands first; there is nothing yet with a new one.
        return [(None, {"fields": ["now"]}), first, *others] if obj else [first, *others]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Asset]:
        rows = super().get_queryset(request)
        if "object_id" not in getattr(request.resolver_match, "kwargs", {}):
            return rows
        # With the asset comes what its page says of it, so that the page asks no further.
        there = FilteredRelation("installations", condition=Q(installations__period__upper_inf=True))
        told = {name: F(f"there__{path}") for name, path in _THERE.items()}
        return rows.select_related("type", "design").annotate(there=there).annotate(**told)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Asset | None:
        asset = super().get_object(request, object_id, from_field)
        if asset is not None:  # a theme may ask for the text of a field several times
            vars(asset)["now"] = _now(request, asset)
        return asset

    @admin.display(description="now")
    def now(self, asset: Asset) -> str:
        return vars(asset)["now"]

    def save_model(self, request: HttpRequest, obj: Asset, form: Any, change: bool) -> None:
        if change:
            services.change_asset(asset=obj, actor=request.user)
        else:
            _create(obj, request.user)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        write: Any = {Installation: _install, Relation: _relate}.get(formset.model)
        if write is None:
            super().save_formset(request, form, formset, change)
            return
        formset.save(commit=False)
        for row in formset.extra_forms:
            if row.has_changed():
                write(row.instance, row.cleaned_data, request.user)


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


def _now(request: HttpRequest, asset: Any) -> SafeString:
    """What is installed, and the way to what can be done."""
    occupied = asset.there_item is not None
    links = [
        ("Show in the tree", f"{reverse('admin:twins_assets_asset_tree')}?at={asset.pk}"),
        ("What became of it", reverse("admin:twins_assets_asset_history", args=[asset.pk])),
        ("Relations from others", f"{reverse('admin:twins_assets_relation_changelist')}?target__id__exact={asset.pk}"),
    ]
    if may_replace(request, asset):
        verb = "Replace the item" if occupied else "Install an item"
        links.insert(0, (verb, reverse("admin:twins_assets_asset_replace", args=[asset.pk])))
    words = "Nothing is installed."
    if occupied:
        since = instant_in_words(asset.there_since)
        words = f"{asset.there_item} ({asset.there_design} rev. {asset.there_revision}), installed {since}"
    buttons = format_html_join(" ", '<a class="register-button" href="{}">{}</a>', ((to, text) for text, to in links))
    return format_html('<span class="register register-now"><span>{}</span> {}</span>', words, buttons)


def _relate(wish: Relation, answers: dict[str, Any], actor: Any) -> None:
    new = NewRelation(source=wish.source, target=wish.target, kind=wish.kind, start=answers["since"], note=wish.note)
    [made] = services.relate_assets(relations=[new], actor=actor)
    wish.pk, wish.period = made.pk, made.period


def _install(wish: Installation, answers: dict[str, Any], actor: Any) -> None:
    at, reason = answers["installed_at"], answers["replaces_because"]
    if reason:
        made = services.replace_item(asset=wish.asset, item=wish.item, at=at, reason=reason, actor=actor)
    else:
        new = NewInstallation(asset=wish.asset, item=wish.item, start=at)
        [made] = services.install_items(installations=[new], actor=actor)
    # The page's log names its own object.
    wish.pk, wish.period = made.pk, made.period
