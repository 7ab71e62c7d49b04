"""What every page here has in common: it is read, never written."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from assets.admin.paging import LongList
from assets.admin.theme import ModelAdmin


class ReadOnlyAdmin(LongList, ModelAdmin):
    """Rows that services write and people look at."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
