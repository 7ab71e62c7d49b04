"""API tokens: who may come in, and the one thing that can be done about it here, revoking."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from twins.admin.reading import ReadOnlyAdmin
from twins.models import ApiToken
from twins.services.tokens import revoke_token


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Tokens are made on the command line, because their plain text must not pass through a page."""

    list_display = ["name", "scopes", "user", "created_at", "revoked_at"]
    list_select_related = ["user"]
    search_fields = ["name"]
    exclude = ["digest"]
    actions = ["revoke"]

    @admin.action(description="Revoke the selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        for name in queryset.values_list("name", flat=True):
            revoke_token(name=name)
        messages.success(request, "Revoked: nobody comes in with these tokens any more.")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        """Revoking changes a token, so it takes the right to change tokens."""
        return bool(request.user.has_perm("twins.change_apitoken"))
