"""Roles: who may do what in which part of the register."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from assets import services
from assets.admin.saving import RegisterAdmin, may
from assets.models import Grant
from assets.permissions import Action


@admin.register(Grant)
class GrantAdmin(RegisterAdmin):
    """Given and taken, never changed: the history then says plainly who held what."""

    list_display = ["role", "user", "group", "asset"]
    list_filter = ["role", "group"]
    search_fields = ["asset__tag", "asset__name"]
    autocomplete_fields = ["asset"]
    raw_id_fields = ["user"]
    fieldsets = [
        ("Who has it: a user or a group", {"fields": ["user", "group"]}),
        ("What and where", {"fields": ["role", "asset"]}),
    ]
    changed_by = Action.ADMINISTER

    def get_queryset(self, request: HttpRequest) -> QuerySet[Grant]:
        return super().get_queryset(request).select_related("user", "group", "asset")  # whose tag names it

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("twins_assets.change_grant") and may(request, self.changed_by, obj)

    def save_model(self, request: HttpRequest, obj: Grant, form: Any, change: bool) -> None:
        made = services.give_role(role=obj.role, user=obj.user, group=obj.group, asset=obj.asset, actor=request.user)
        obj.pk = made.pk

    def delete_model(self, request: HttpRequest, obj: Grant) -> None:
        services.take_role(grant=obj, actor=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Grant]) -> None:
        for grant in queryset:
            services.take_role(grant=grant, actor=request.user)
