"""Types and designs: what was planned."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from assets.admin.declared import DeclaredFields
from assets.admin.items import MEASURED
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
    autocomplete_fields = ["type", "based_on"]


class _DeclaredAdmin(RegisterAdmin):
    """What a type or a design declares."""

    list_select_related = ["type", "design"]
    autocomplete_fields = ["type", "design"]


@admin.register(ParameterDefinition)
class ParameterDefinitionAdmin(_DeclaredAdmin):
    list_display = ["name", "subject", "kind", "unit", "minimum", "maximum", "required", "type", "design"]
    list_filter = ["subject", "kind"]
    search_fields = ["name", "description", "type__name", "design__name"]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field: Any = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "choices":
            field.help_text = "The values of a choice, separated by commas: C3,C5,C7."
            field.widget.attrs["rows"] = 2
        return field


@admin.register(SensorTemplate)
class SensorTemplateAdmin(_DeclaredAdmin):
    list_display = ["name", "quantity", "unit", "role", "type", "design"]
    list_filter = ["role"]
    search_fields = ["name", "quantity", "type__name", "design__name"]
    fields = ["type", "design", "name", *MEASURED]


@admin.register(FailureCode)
class FailureCodeAdmin(_DeclaredAdmin):
    list_display = ["code", "name", "kind", "iso14224", "type", "design"]
    list_filter = ["kind"]
    search_fields = ["code", "name", "type__name", "design__name"]
