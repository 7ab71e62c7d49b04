"""What every page here has in common: it is read, never written."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from assets.admin.paging import LongList
from assets.admin.saving import rights
from assets.admin.theme import ModelAdmin
from assets.models import Asset
from assets.permissions import Action


def at_seen_assets(request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Those of the rows whose asset the user may see; who sees all has nothing to be joined."""
    reach = rights(request).reach(Action.VIEW)
    return rows if reach.everything else rows.filter(asset__in=Asset.objects.filter(reach.assets()).order_by())


class ReadOnlyAdmin(LongList, ModelAdmin):
    """Rows that services write and people look at."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
