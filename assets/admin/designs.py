"""Types and designs: what was planned."""

from __future__ import annotations

from django.contrib import admin

from assets.admin.saving import RegisterAdmin
from assets.models import AssetType, Design


@admin.register(AssetType)
class AssetTypeAdmin(RegisterAdmin):
    list_display = ["code", "name", "parent", "iso14224"]
    list_select_related = ["parent"]
    search_fields = ["code", "name"]
    autocomplete_fields = ["parent"]


@admin.register(Design)
class DesignAdmin(RegisterAdmin):
    list_display = ["code", "revision", "name", "type", "expected_life", "planning_horizon", "life_unit"]
    list_select_related = ["type"]
    list_filter = [("type", admin.RelatedOnlyFieldListFilter), "life_unit"]
    search_fields = ["code", "name", "type__name"]
    autocomplete_fields = ["type"]
