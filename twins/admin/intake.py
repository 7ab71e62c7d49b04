"""Intake: by which rule the series of a source become sensors, and the rows that could not be taken."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from assets.admin.theme import ModelAdmin
from twins.admin.reading import ReadOnlyAdmin
from twins.models import DeadLetter, SeriesRule
from twins.services.intake import send_again


@admin.register(SeriesRule)
class SeriesRuleAdmin(ModelAdmin):
    """The most special rule counts; a change holds some seconds later in every process."""

    list_display = ["__str__", "asset", "sensor", "keep_good", "register_unknown", "below"]
    list_select_related = ["below"]
    search_fields = ["source", "bucket"]
    autocomplete_fields = ["below"]


@admin.register(DeadLetter)
class DeadLetterAdmin(ReadOnlyAdmin):
    """Each says why it was refused; once the reason is gone it can be sent again from here."""

    list_display = ["received_at", "source", "bucket", "reason", "content", "batch"]
    list_filter = ["source", "form"]
    search_fields = ["reason", "content"]
    actions = ["send_again", "drop"]

    @admin.action(description="Send the selected rows again", permissions=["send"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        accepted, rejected = send_again(letters=list(queryset))
        messages.info(request, f"{accepted} accepted, {rejected} refused again.")

    @admin.action(description="Forget the selected rows", permissions=["send"])
    def drop(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        queryset.delete()

    def has_send_permission(self, request: HttpRequest) -> bool:
        """Both change what is kept, so they take the right to change letters."""
        return bool(request.user.has_perm("twins.change_deadletter"))
