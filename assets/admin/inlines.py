"""What hangs on an asset, on its page: items that come and go, what happened, what is measured, whom it serves."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms

from assets.admin.periods import installed, instant_in_words, removed
from assets.admin.standing import StackedStanding, TabularStanding
from assets.admin.theme import SplitDateTime, TextInput
from assets.models import ExternalReference, Installation, MaintenanceEvent, Relation, Sensor


class InstallationForm(forms.ModelForm):
    """An item to be installed; with a reason, what is there now is removed at the same instant."""

    installed_at = forms.SplitDateTimeField(widget=SplitDateTime)
    replaces_because = forms.CharField(
        max_length=200,
        required=False,
        widget=TextInput,
        help_text="Why what is there now is removed at that instant.",
    )

    class Meta:
        model = Installation
        fields = ["item"]


class InstallationInline(TabularStanding):
    model = Installation
    form: Any = InstallationForm
    verbose_name_plural = "new installations"
    first = ("-period__startswith",)
    joined = ("item__design",)
    columns = ("item", "design", "installed", "removed", "why")
    autocomplete_fields = ["item"]
    fields = ["item", "installed_at", "replaces_because"]

    def cells(self, row: Installation) -> list[object]:
        return [row.item, row.item.design, installed(row), removed(row), row.removal_reason]


class EventInline(StackedStanding):
    model = MaintenanceEvent
    verbose_name_plural = "new maintenance events"
    first = ("-started_at",)
    joined = ("item",)
    columns = ("what", "started", "ended", "failure mode", "cause", "item", "downtime in h", "note")
    autocomplete_fields = ["item"]
    fields = ["kind", "started_at", "ended_at", ("mode", "cause"), ("item", "downtime_hours"), "note"]

    def cells(self, row: MaintenanceEvent) -> list[object]:
        began, ended = instant_in_words(row.started_at), instant_in_words(row.ended_at) if row.ended_at else ""
        hours = "" if row.downtime_hours is None else f"{row.downtime_hours:g}"
        return [row.get_kind_display(), began, ended, row.mode, row.cause, row.item or "", hours, row.note]


class SensorInline(TabularStanding):
    model = Sensor
    verbose_name_plural = "new sensors"
    first = ("name",)
    columns = ("name", "quantity", "unit", "role", "seconds between readings", "valid range")
    fields = ["name", "quantity", "unit", "role", "expected_interval", "valid_min", "valid_max"]

    def cells(self, row: Sensor) -> list[object]:
        interval = "" if row.expected_interval is None else f"{row.expected_interval:g}"
        return [row.name, row.quantity, row.unit, row.get_role_display().partition(":")[0], interval, _range(row)]


class RelationForm(forms.ModelForm):
    """A relation from an instant on."""

    since = forms.SplitDateTimeField(widget=SplitDateTime)

    class Meta:
        model = Relation
        fields = ["kind", "target", "note"]


class RelationInline(TabularStanding):
    """What the asset does to others."""

    model = Relation
    form: Any = RelationForm
    fk_name = owner = "source"
    verbose_name_plural = "new relations to others"
    first = ("-period__startswith",)
    joined = ("target",)
    columns = ("does what", "to what", "since", "until", "note")
    autocomplete_fields = ["target"]
    fields = ["kind", "target", "since", "note"]

    def cells(self, row: Relation) -> list[object]:
        until = instant_in_words(row.period.upper) if row.period.upper else "still holds"
        return [row.get_kind_display(), row.target, instant_in_words(row.period.lower), until, row.note]


class ReferenceInline(TabularStanding):
    model = ExternalReference
    verbose_name_plural = "new external references"
    first = ("system", "kind")
    columns = ("key", "kind", "system")
    fields = ["system", "kind", "key"]

    def cells(self, row: ExternalReference) -> list[object]:
        return [row.key, row.kind, row.system]


class ItemInstallationsInline(TabularStanding):
    """Where the item was; installing is done at the asset."""

    model = Installation
    owner = "item"
    first = ("-period__startswith",)
    joined = ("asset",)
    columns = ("asset", "installed", "removed", "why")
    fields: ClassVar[Any] = []

    def cells(self, row: Installation) -> list[object]:
        return [row.asset, installed(row), removed(row), row.removal_reason]

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False


def _range(row: Sensor) -> str:
    low, high = row.valid_min, row.valid_max
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"from {low:g}" if low is not None else f"to {high:g}" if high is not None else ""
