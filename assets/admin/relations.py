"""Relations between assets, and by what keys other systems know the rows of the register."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from assets import services
from assets.admin.periods import instant_in_words
from assets.admin.saving import RegisterAdmin, RegisterForm
from assets.admin.theme import SplitDateTime
from assets.models import TARGETS, ExternalReference, Relation
from assets.services import NewRelation


class NewRelationForm(RegisterForm):
    """A relation from an instant on."""

    since = forms.SplitDateTimeField(widget=SplitDateTime)

    class Meta:
        model = Relation
        fields = ["source", "kind", "target", "note"]


class RelationEndForm(RegisterForm):
    """The only change a relation takes: it ends."""

    until = forms.SplitDateTimeField(widget=SplitDateTime)

    class Meta:
        model = Relation
        fields: list[str] = []


@admin.register(Relation)
class RelationAdmin(RegisterAdmin):
    list_display = ["source", "kind", "target", "begun", "ended", "note"]
    list_filter = ["kind"]
    search_fields = ["source__tag", "source__name", "target__tag", "target__name"]
    autocomplete_fields = ["source", "target"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Relation]:
        return super().get_queryset(request).select_related("source", "target")  # whose tags name it

    @admin.display(description="since", ordering="period__startswith")
    def begun(self, relation: Relation) -> str:
        return instant_in_words(relation.period.lower)

    @admin.display(description="until", ordering="period__endswith")
    def ended(self, relation: Relation) -> str:
        return instant_in_words(relation.period.upper) if relation.period.upper else "still holds"

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = RelationEndForm if obj else NewRelationForm
        return super().get_form(request, obj, change=change, form=form, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Relation | None = None) -> Any:
        if obj is None:
            return ["source", "kind", "target", "since", "note"]
        end = "until" if self.has_change_permission(request, obj) else "ended"
        return ["source", "kind", "target", "begun", end, "note"]

    def get_readonly_fields(self, request: HttpRequest, obj: Relation | None = None) -> Any:
        return [] if obj is None else ["source", "kind", "target", "begun", "ended", "note"]

    def has_change_permission(self, request: HttpRequest, obj: Relation | None = None) -> bool:
        ended = obj is not None and obj.period is not None and obj.period.upper is not None
        return not ended and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Relation, form: Any, change: bool) -> None:
        if change:
            services.end_relations(relations=[obj], at=form.cleaned_data["until"], actor=request.user)
            return
        wish = NewRelation(
            source=obj.source, target=obj.target, kind=obj.kind, start=form.cleaned_data["since"], note=obj.note
        )
        [made] = services.relate_assets(relations=[wish], actor=request.user)
        # The page goes on with its own object.
        obj.pk, obj.period = made.pk, made.period


@admin.register(ExternalReference)
class ExternalReferenceAdmin(RegisterAdmin):
    list_display = ["system", "kind", "key", "names"]
    # A list names what a key names, and that in turn by what it hangs on.
    list_select_related = [
        *TARGETS, "sensor__asset", "event__asset", "relation__source", "relation__target", "installation__asset",
        "installation__item",
    ]  # fmt: skip
    search_fields = ["key", "system"]
    search_help_text = "Any part of a key or of the name of a system."
    fieldsets = [
        (None, {"fields": ["system", "kind", "key"]}),
        ("What the key names: fill exactly one", {"fields": list(TARGETS)}),
    ]
    autocomplete_fields = list(TARGETS)

    @admin.display(description="names")
    def names(self, reference: ExternalReference) -> str:
        target = reference.target_field
        return f"{target}: {getattr(reference, target)}" if target else "-"
