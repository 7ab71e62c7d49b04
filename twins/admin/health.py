"""Health: every assessed asset, the worst part first, and for each the evidence behind its figure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from assets.admin.saving import rights
from assets.admin.start import offer
from assets.models import Asset, Level
from assets.permissions import Action, Reach
from assets.selectors import ancestors
from twins.admin import tables, words
from twins.admin.reading import ReadOnlyAdmin, at_seen_assets
from twins.models import Assessment


class LevelFilter(admin.SimpleListFilter):
    """Parts unless something else is asked: a part is what one can act on."""

    title = "level"
    parameter_name = "level"
    _default = "part"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("part", "Parts"), ("product", "Products"), ("system", "Systems"), ("all", "All levels")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        for value, title in self.lookup_choices:
            yield {
                "selected": value == (self.value() or self._default),
                "query_string": changelist.get_query_string({self.parameter_name: str(value)}),
                "display": title,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Assessment]) -> QuerySet[Assessment]:
        level = self.value() or self._default
        if level == Level.PART:
            # Nearly everything is a part: the few that are none are found by an index, and nothing else is joined.
            others = [each for each in Level.values if each != level]
            return queryset.filter(~Exists(Asset.objects.filter(pk=OuterRef("pk"), level__in=others)))
        return queryset.filter(asset__level=level) if level in Level.values else queryset


class _DesignFilter(admin.RelatedFieldListFilter):
    """Designs of which something is assessed: each looks for one such item, instead of every item for its design."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        rows = model_admin.get_queryset(request).order_by().filter(item__design=OuterRef("pk"))
        ordering = self.field_admin_ordering(field, request, model_admin)
        return field.get_choices(include_blank=False, ordering=ordering, limit_choices_to=Q(Exists(rows)))


class _PlacedChangeList(ChangeList):
    """Fetches where all rows of a page stand in one statement."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        above = ancestors(row.asset_id for row in self.result_list)
        for row in self.result_list:
            vars(row)["place"] = _place(request, above[row.asset_id])


def _reach(request: HttpRequest) -> Reach:
    return rights(request).reach(Action.VIEW)


def _place(request: HttpRequest, above: list[Asset]) -> str:
    """The names of what the user may see of it."""
    reach = _reach(request)
    return " › ".join(asset.name for asset in above if asset in reach)


_SECTIONS: list[tuple[str | None, tuple[str, ...]]] = [
    (None, ("link", "where", "item_link", "health_bar", "failure", "remaining_life", "coverage_share", "data_age")),
    ("How far to trust it", ("record", "voices_table")),
    ("What moves it", ("drivers_table", "horizons_table")),
    ("What it consists of", ("constituents_table",)),
    ("What it was seen from", ("inputs_table", "source", "model_link", "assessed_at")),
    ("What happened", ("findings_table", "events_table", "installations_table")),
]


@admin.register(Assessment)
class HealthAdmin(ReadOnlyAdmin):
    """What is worst and why."""

    list_display = [
        "tag", "level", "where", "health_bar", "failure", "remaining_life", "coverage_share", "top_driver",
        "data_age", "page",
    ]  # fmt: skip
    list_select_related = ["asset", "model"]
    list_filter = [LevelFilter, "source", ("item__design", _DesignFilter)]
    search_fields = ["asset__tag", "asset__name"]
    search_help_text = "Tag or name of an asset."
    ordering = ["health", "asset"]
    fieldsets = [(title, {"fields": names}) for title, names in _SECTIONS]
    readonly_fields = [name for _, names in _SECTIONS for name in names]

    class Media:
        css = {"all": ["twins/health.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        # A theme may bring a change list of its own.
        return type("PlacedChangeList", (_PlacedChangeList, super().get_changelist(request, **kwargs)), {})

    def get_queryset(self, request: HttpRequest) -> QuerySet[Assessment]:
        rows = at_seen_assets(request, super().get_queryset(request))
        return rows.select_related("asset", "item", "model").defer("model__artefact")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Assessment | None:
        # The evidence is read once, because a theme may ask for the text of a field several times, and when it is first
        # asked for, because the history shows none of it.
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            place = _place(request, ancestors([row.asset_id])[row.asset_id])
            vars(row).update(place=place, evidence=cache(partial(tables.evidence, row, timezone.now())))
        return row

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": "Health, worst first", **(extra_context or {})})

    @admin.display(description="asset", ordering="asset__tag")
    def tag(self, row: Assessment) -> SafeString:
        return format_html('<span class="twins-tag">{}</span> {}', row.asset.tag, row.asset.name)

    @admin.display(description="register")
    def page(self, row: Assessment) -> SafeString:
        """Where its history is and its item is replaced; the tag leads to the evidence."""
        return _link("twins_assets_asset", row.asset_id, "asset page")

    @admin.display(description="level", ordering="asset__level")
    def level(self, row: Assessment) -> str:
        return row.asset.level

    @admin.display(description="place")
    def where(self, row: Assessment) -> str:
        return vars(row)["place"] or "-"

    @admin.display(description="health", ordering="health")
    def health_bar(self, row: Assessment) -> SafeString:
        return words.health_bar(row.health)

    @admin.display(description="failure")
    def failure(self, row: Assessment) -> str:
        return words.failure_probability(row)

    @admin.display(description="remaining life", ordering="rul_p50")
    def remaining_life(self, row: Assessment) -> str:
        return words.remaining_life(row)

    @admin.display(description="coverage", ordering="coverage")
    def coverage_share(self, row: Assessment) -> str:
        return words.percent(row.coverage)

    @admin.display(description="top driver")
    def top_driver(self, row: Assessment) -> str:
        return words.driver(row.drivers[0]) if row.drivers else "-"

    @admin.display(description="data age", ordering="-data_time")
    def data_age(self, row: Assessment) -> str:
        return words.age(row.data_time, timezone.now())

    @admin.display(description="asset")
    def link(self, row: Assessment) -> SafeString:
        return _link("twins_assets_asset", row.asset_id, row.asset)

    @admin.display(description="item")
    def item_link(self, row: Assessment) -> SafeString | str:
        return _link("twins_assets_item", row.item_id, row.item) if row.item else "-"

    @admin.display(description="judged by")
    def model_link(self, row: Assessment) -> SafeString | str:
        if row.model:
            return _link("twins_healthmodel", row.model_id, f"model of {row.model.trained_at:%Y-%m-%d %H:%M}")
        return tables.link(row.worst_asset) if row.worst_asset else "-"

    @admin.display(description="drivers")
    def drivers_table(self, row: Assessment) -> SafeString | str:
        return _evidence(row)["drivers"]

    @admin.display(description="record")
    def record(self, row: Assessment) -> SafeString | str:
        return _evidence(row)["record"]

    @admin.display(description="who spoke")
    def voices_table(self, row: Assessment) -> SafeString | str:
        return _evidence(row)["voices"] if row.sources else row.get_source_display()

    @admin.display(description="unusual")
    def findings_table(self, row: Assessment) -> SafeString | str:
        return _evidence(row)["findings"]

    @admin.display(description="failure by horizon")
    def horizons_table(self, row: Assessment) -> SafeString | str:
        return _evidence(row)["horizons"]

    @admin.display(description="worst first")
    def constituents_table(self, row: Assessment) -> SafeString | str:
        return _evidence(row)["constituents"]

    @admin.display(description="latest readings")
    def inputs_table(self, row: Assessment) -> SafeString | str:
        return _evidence(row)["inputs"]

    @admin.display(description="events")
    def events_table(self, row: Assessment) -> SafeString | str:
        return _evidence(row)["events"]

    @admin.display(description="installations")
    def installations_table(self, row: Assessment) -> SafeString | str:
        return _evidence(row)["installations"]


def _evidence(row: Assessment) -> dict[str, SafeString | str]:
    return vars(row)["evidence"]()  # put there by get_object


def _link(view: str, key: Any, text: object) -> SafeString:
    return format_html('<a class="twins-link" href="{}">{}</a>', reverse(f"admin:{view}_change", args=[key]), text)


offer("Health, worst first", view="admin:twins_assessment_changelist", permission="twins.view_assessment")
