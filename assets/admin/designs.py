"""Types and designs: what was planned."""

from __future__ import annotations

from django.contrib import admin

from assets.admin.declared import DeclaredFields
from assets.admin.saving import RegisterAdmin
from assets.models import AssetType, Design, FailureCode, ParameterDefinition, ParameterSubject, SensorTemplate


@admin.register(AssetType)
class AssetTypeAdmin(RegisterAdmin):
    list_display = ["code", "name", "parent", "iso14224"]
    list_select_related = ["parent"]
    search_fields = ["code", "name"]
    autocomplete_fields = ["parent"]


@admin.register(Design)
class DesignAdmin(DeclaredFields, RegisterAdmin):
    declares = (ParameterSubject.DESIGN,)
    list_display = ["code", "revision", "name", "type", "expected_life", "planning_horizon", "life_unit"]
    list_select_related = ["type"]
    list_filter = [("type", admin.RelatedOnlyFieldListFilter), "life_unit"]
    search_fields = ["code", "name", "type__name"]
    autocomplete_fields = ["type"]


class _DeclaredAdmin(RegisterAdmin):
    """What a type or a design declares."""

    list_select_related = ["type", "design"]
    autocomplete_fields = ["type", "design"]


@admin.register(ParameterDefinition)
class ParameterDefinitionAdmin(_DeclaredAdmin):
    list_display = ["name", "subject", "kind", "unit", "minimum", "maximum", "required", "type", "design"]
    list_filter = ["subject", "kind"]
    search_fields = ["name", "description", "type__name", "design__name"]


@admin.register(SensorTemplate)
class SensorTemplateAdmin(_DeclaredAdmin):
    list_display = ["name", "quantity", "unit", "role", "type", "design"]
    list_filter = ["role"]
    search_fields = ["name", "quantity", "type__name", "design__name"]


@admin.register(FailureCode)
class FailureCodeAdmin(_DeclaredAdmin):
    list_display = ["code", "name", "kind", "iso14224", "type", "design"]
    list_filter = ["kind"]
    search_fields = ["code", "name", "type__name", "design__name"]
