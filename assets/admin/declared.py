"""Fields of a form that types and designs declare: typed, with unit and limits; what nobody declares stays JSON.

A field is named `column.name`. It is made as a field of a model would be, so a theme dresses it like all others.
"""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.safestring import SafeString

from assets.admin.tables import table
from assets.models import ParameterDefinition, ParameterKind, ParameterSubject
from assets.selectors import declared_by_designs, declared_by_types

_COLUMNS: Final = {
    ParameterSubject.DESIGN: "parameters",
    ParameterSubject.ASSET: "attributes",
    ParameterSubject.ITEM: "build",
    ParameterSubject.ACCEPTANCE: "acceptance",
}
_TITLES: Final = {
    "parameters": "As designed",
    "attributes": "Declared attributes",
    "build": "As built",
    "acceptance": "As tested before delivery",
}


class DeclaredFields:
    """Mix into a RegisterAdmin: `declares` says for which subjects its rows hold values."""

    declares: tuple[ParameterSubject, ...] = ()

    def definitions(self, request: HttpRequest, obj: Any) -> dict[str, ParameterDefinition]:
        """By the name of the field what holds for a row, by the type and design that stand in the form; read once."""
        known: dict[str, ParameterDefinition] | None = getattr(request, "register_definitions", None)
        if known is None:
            kind, design = (self._chosen(request, obj, name) for name in ("type_id", "design_id"))
            # A design has what its type declares, so only another type is asked as well.
            planned = getattr(obj, "design", None)
            same = planned is not None and (planned.pk, planned.type_id) == (design, kind)
            farther = declared_by_types(ParameterDefinition, [kind])[kind] if kind and not same else []
            nearer = declared_by_designs(ParameterDefinition, [design])[design] if design else []
            known = {
                f"{_COLUMNS[ParameterSubject(one.subject)]}.{one.name}": one
                for one in (*farther, *nearer)
                if one.subject in self.declares
            }
            request.register_definitions = known  # type: ignore[attr-defined]
        return known

    def _chosen(self, request: HttpRequest, obj: Any, name: str) -> int | None:
        if name == "design_id" and obj is not None and self.declares == (ParameterSubject.DESIGN,):
            return int(obj.pk)
        said = request.POST.get(name.removesuffix("_id")) if request.method == "POST" else None
        if said is None:
            return getattr(obj, name, None)
        return int(said) if said.isdecimal() and len(said) < 19 else None

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        definitions = self._writable(request, obj)
        fields = {name: self._field(request, one) for name, one in definitions.items()}
        base = kwargs.pop("form", self.form)  # type: ignore[attr-defined]
        made = type(base.__name__, (_DeclaredForm, base), {**fields, "definitions": definitions})
        return super().get_form(request, obj, change=change, form=made, **kwargs)  # type: ignore[misc]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The fields of the row, then those that are declared, and last what nobody declares."""
        definitions, columns = self.definitions(request, obj), [_COLUMNS[subject] for subject in self.declares]
        apart = {*definitions, *columns}
        sets = [
            (title, {**options, "fields": [name for name in options["fields"] if name not in apart]})
            for title, options in super().get_fieldsets(request, obj)  # type: ignore[misc]
        ]
        if obj is not None and not self._may_write(request, obj):
            vars(obj)["told"] = {column: _told(column, getattr(obj, column), definitions) for column in columns}
            return [*sets, *((_TITLES[column], {"fields": [f"{column}_told"]}) for column in columns)]
        declared = [
            (_TITLES[column], {"fields": own})
            for column in columns
            if (own := [name for name in definitions if name.startswith(f"{column}.")])
        ]
        # Whoever has no such values need not look at braces.
        free = any(_free(column, getattr(obj, column), definitions) for column in columns) if obj else False
        return [
            *sets,
            *declared,
            ("What no type or design declares", {"fields": columns, "classes": [] if free else ["collapse"]}),
        ]

    @admin.display(description="values")
    def parameters_told(self, row: Any) -> SafeString | str:
        return vars(row)["told"]["parameters"]

    @admin.display(description="values")
    def attributes_told(self, row: Any) -> SafeString | str:
        return vars(row)["told"]["attributes"]

    @admin.display(description="values")
    def build_told(self, row: Any) -> SafeString | str:
        return vars(row)["told"]["build"]

    @admin.display(description="values")
    def acceptance_told(self, row: Any) -> SafeString | str:
        return vars(row)["told"]["acceptance"]

    def _writable(self, request: HttpRequest, obj: Any) -> dict[str, ParameterDefinition]:
        """Who may only look reads the values in a table."""
        return self.definitions(request, obj) if self._may_write(request, obj) else {}

    def _may_write(self, request: HttpRequest, obj: Any) -> bool:
        return bool(self.has_change_permission(request, obj) if obj else self.has_add_permission(request))  # type: ignore[attr-defined]

    def _field(self, request: HttpRequest, one: ParameterDefinition) -> forms.Field:
        column: Any = {
            ParameterKind.NUMBER: models.FloatField,
            ParameterKind.BOOLEAN: models.BooleanField,
        }.get(ParameterKind(one.kind), models.CharField)
        optional: dict[str, Any] = {"null": True, "blank": not one.required}
        if one.kind == ParameterKind.CHOICE:
            optional["choices"] = [(value, value) for value in one.choices]
        made = self.formfield_for_dbfield(  # type: ignore[attr-defined]
            _named(column(**optional), one.name), request, label=str(one), help_text=_help(one)
        )
        if one.kind == ParameterKind.NUMBER and one.subject != ParameterSubject.ACCEPTANCE:
            limits: Any = {"min_value": one.minimum, "max_value": one.maximum}
            made = forms.FloatField(
                label=made.label, help_text=made.help_text, required=made.required, widget=made.widget, **limits
            )
        return made


class _DeclaredForm(forms.ModelForm):
    """Takes declared values out of their JSON column and puts them back."""

    definitions: dict[str, ParameterDefinition] = {}

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for column in {name.partition(".")[0] for name in self.definitions}:
            values = dict(getattr(self.instance, column) or {})
            for name, one in self.definitions.items():
                if name.startswith(f"{column}.") and one.name in values:
                    self.initial[name] = values.pop(one.name)
            self.initial[column] = values

    def clean(self) -> dict[str, Any] | None:
        cleaned: dict[str, Any] = super().clean() or {}
        for name, one in self.definitions.items():
            column = name.partition(".")[0]
            value, before = cleaned.get(name), self.initial.get(name)
            # 5 stays 5 and does not become 5.0 by being looked at.
            value = before if value == before and type(value) is not bool else value
            if isinstance(cleaned.get(column), dict) and value not in (None, ""):
                cleaned[column] = {**cleaned[column], one.name: value}
        return cleaned


def _free(column: str, values: dict[str, Any], definitions: dict[str, ParameterDefinition]) -> dict[str, Any]:
    """The values that nobody declares."""
    return {name: value for name, value in (values or {}).items() if f"{column}.{name}" not in definitions}


def _told(column: str, values: dict[str, Any], definitions: dict[str, ParameterDefinition]) -> SafeString | str:
    """The values as a table, by the name under which they are declared, with their units."""
    rows = []
    for name, value in sorted((values or {}).items()):
        one = definitions.get(f"{column}.{name}")
        rows.append([one or name, ("yes" if value else "no") if isinstance(value, bool) else value])
    return table(["name", "value"], rows)


def _named(column: Any, name: str) -> Any:
    column.set_attributes_from_name(name)
    return column


def _help(one: ParameterDefinition) -> str:
    low, high = one.minimum, one.maximum
    if low is not None and high is not None:
        limits = f"{low:g} to {high:g}"
    else:
        limits = f"at least {low:g}" if low is not None else f"at most {high:g}" if high is not None else ""
    limits = f"{limits} {one.unit}".strip() if limits else ""
    return "; ".join(part for part in (one.description.rstrip("."), limits) if part)
