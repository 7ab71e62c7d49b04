"""What every page here has in common: it is read, never written."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from assets.admin.theme import ModelAdmin


class ReadOnlyAdmin(ModelAdmin):
    """Rows that services write and people look at."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
