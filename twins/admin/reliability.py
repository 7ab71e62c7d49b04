"""The way back from Run to Realize and Reason: per design how long its items live, and which builds live longer."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from django.contrib import admin
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from assets.admin.saving import rights
from assets.admin.tables import table
from assets.models import Asset, Design, Item
from assets.permissions import Action
from twins.admin import words
from twins.admin.reading import ReadOnlyAdmin
from twins.ml.reliability import MeanTime
from twins.models import DesignReliability
from twins.selectors.ledger import track_records
from twins.selectors.reliability import Reliability, reliability_of


@admin.register(DesignReliability)
class ReliabilityAdmin(ReadOnlyAdmin):
    list_display = ["name", "code", "revision", "type", "items_made", "life_unit", "expected_life"]
    list_select_related = ["type"]
    search_fields = ["code", "name", "type__name"]
    list_filter = [("type", admin.RelatedOnlyFieldListFilter)]
    readonly_fields = [
        "mean_life", "weibull", "median_life", "builds", "builds_table", "modes_table", "actors_table", "record_table",
    ]  # fmt: skip
    fieldsets = [
        (None, {"fields": ["name", "code", "revision", "mean_life", "weibull", "median_life"]}),
        ("How it was built", {"fields": ["builds", "builds_table"]}),
        ("How and where it fails", {"fields": ["modes_table", "actors_table"]}),
        ("How often warnings were right", {"fields": ["record_table"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[DesignReliability]:
        rows = super().get_queryset(request).filter(rights(request).reach(Action.VIEW).of(Design))
        made = Item.objects.filter(design=OuterRef("pk")).order_by().values("design").annotate(count=Count("pk"))
        return rows.annotate(items_count=Coalesce(Subquery(made.values("count")), 0))

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> DesignReliability | None:
        # Reckoned once, because a theme may ask for the text of a field several times, and when it is first asked for,
        # because the history shows none of it.
        row = super().get_object(request, object_id, from_field)
        if row is not None:
            seen = rights(request).reach(Action.VIEW).assets()
            told = partial(reliability_of, [row], now=timezone.now(), visible=seen)
            vars(row).update(told=cache(told), record=cache(partial(_record, row, seen)))
        return row

    @admin.display(description="items", ordering="items_count")
    def items_made(self, row: DesignReliability) -> int:
        return vars(row)["items_count"]

    @admin.display(description="mean life")
    def mean_life(self, row: DesignReliability) -> str:
        told = _told(row)
        if told is None:
            return "Nothing of this design was ever installed."
        name = "MTBF (repaired)" if told.repaired else "MTTF (replaced)"
        left_out = f"; {told.uncounted} lives without a count are left out" if told.uncounted else ""
        return f"{name} {mean(told.mean, told.unit)}, {told.lives} lives{left_out}"

    @admin.display(description="Weibull")
    def weibull(self, row: DesignReliability) -> str:
        told = _told(row)
        if told is None or told.weibull is None:
            return "not known: fewer than two have failed"
        found = told.weibull
        habit = "wear out" if found.shape_low > 1 else "fail young" if found.shape_high < 1 else "fail at random"
        shape = f"{found.shape:.2f} ({found.shape_low:.2f} to {found.shape_high:.2f}: they {habit})"
        scale = f"{words.number(found.scale)} ({words.number(found.scale_low)} to {words.number(found.scale_high)})"
        return (
            f"shape {shape}, scale {scale} {words.unit(told.unit)}, B10 {words.amount(found.life_at(0.1), told.unit)}"
        )

    @admin.display(description="median life")
    def median_life(self, row: DesignReliability) -> str:
        told = _told(row)
        median = told.survival.median if told is not None else None
        return "more than half still live" if told is None or median is None else words.amount(median, told.unit)

    @admin.display(description="builds")
    def builds(self, row: DesignReliability) -> SafeString | str:
        told = _told(row)
        return "-" if told is None else format_html_join("", "<p>{}</p>", ((one,) for one in told.sentences()))

    @admin.display(description="compared with all others")
    def builds_table(self, row: DesignReliability) -> SafeString | str:
        told = _told(row)
        rows = [
            [
                f"{one.attribute} {one.value}",
                "-" if one.ratio is None else f"{one.ratio:.2f}",
                "-" if one.low is None else f"{one.low:.2f} to {'-' if one.high is None else f'{one.high:.2f}'}",
                f"{one.failures} of {one.items}",
                f"{one.other_failures} of {one.others}",
                "-" if one.probability is None else words.percent(one.probability),
            ]
            for one in (told.comparisons if told is not None else [])
        ]
        return table(["built", "life ratio", "interval", "failed", "others failed", "by chance"], rows)

    @admin.display(description="failure modes")
    def modes_table(self, row: DesignReliability) -> SafeString | str:
        told = _told(row)
        rows = [[mode or "not recorded", mean(of, told.unit)] for mode, of in told.modes] if told is not None else []
        return table(["mode", "mean time"], rows)

    @admin.display(description="bad actors")
    def actors_table(self, row: DesignReliability) -> SafeString | str:
        told = _told(row)
        actors = told.bad_actors if told is not None else []
        places = Asset.objects.in_bulk([one.place for one in actors])
        rows = [
            [places[one.place], one.failures, f"{one.expected:.1f}", words.percent(one.probability)]
            for one in actors
            if one.place in places
        ]
        return table(["place", "failures", "expected", "by chance"], rows)

    @admin.display(description="by site")
    def record_table(self, row: DesignReliability) -> SafeString | str:
        return vars(row)["record"]()  # put there by get_object


def _record(row: Design, seen: Q) -> SafeString | str:
    """How often warnings were right, at the sites that are seen."""
    records = track_records([row.pk])
    sites = Asset.objects.filter(seen).in_bulk([site for _, site in records])
    rows = [
        [sites[site], told.warnings.sentence(), told.warnings.missed, _brier(told.calibration)]
        for (_, site), told in records.items()
        if site in sites
    ]
    return table(["site", "warnings", "failures missed", "Brier (of a constant)"], rows)


def mean(of: MeanTime, unit: str) -> str:
    """'310 d (240 to 410), 12 failures in 3,720 d', or the bound that no failure leaves."""
    exposure = f"{of.failures} failures in {words.amount(of.exposure, unit)}"
    if of.value is None or of.high is None:
        return f"more than {words.amount(of.low, unit)} (90 % bound), {exposure}"
    return f"{words.amount(of.value, unit)} ({words.number(of.low)} to {words.number(of.high)}), {exposure}"


def _brier(scored: Any) -> str:
    return "-" if scored is None else f"{scored.brier:.3f} ({scored.brier_of_a_constant:.3f})"


def _told(row: DesignReliability) -> Reliability | None:
    return vars(row)["told"]().get(row.pk)  # put there by get_object
