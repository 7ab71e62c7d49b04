"""What became of a row: each change with who made it, when, through which door and why, and both values."""

from __future__ import annotations

from datetime import datetime
from itertools import groupby
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.db.backends.postgresql.psycopg_any import Range
from django.db.models import ForeignKey, JSONField, Model
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from assets.admin.periods import instant_in_words
from assets.admin.saving import rights
from assets.history import Difference, RowChange, changes_of
from assets.models import version_models
from assets.permissions import Action

_SHOWN: Final = 100
_DERIVED: Final = {"path", "root_id"}
"""Columns that follow from others; to read of them twice tells nobody more."""


def history_view(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """The newest changes of a row, newest first; the statements grow with the fields that refer, not with changes."""
    row = model_admin.get_object(request, object_id)
    if row is None:
        return model_admin._get_obj_does_not_exist_redirect(request, model_admin.opts, object_id)
    if not model_admin.has_view_or_change_permission(request, row):
        raise PermissionDenied
    changes = _whole(changes_of(model_admin.model, [row.pk], limit=_SHOWN + 1)[row.pk])
    context = {
        **model_admin.admin_site.each_context(request),
        "title": f"What became of {row}",
        "opts": model_admin.opts,
        "object": row,
        "changes": _told(request, model_admin.model, changes[:_SHOWN]),
        "older": len(changes) > _SHOWN,
        "shown": _SHOWN,
    }
    return TemplateResponse(request, "assets/admin/history.html", context)


def _whole(changes: list[RowChange]) -> list[RowChange]:
    """What one transaction did to the row in several statements is one change to whoever reads it."""
    whole = []
    for _, group in groupby(changes, key=lambda one: one.change.pk):
        steps = list(group)[::-1]
        values: dict[str, Difference] = {}
        for one in (one for step in steps for one in step.differences):
            values[one.field] = Difference(one.field, values.get(one.field, one).old, one.new)
        kept = tuple(one for one in values.values() if one.old != one.new)
        whole.append(RowChange(steps[0].kind, steps[-1].change, kept))
    return whole


def _told(request: HttpRequest, model: type[Model], changes: list[RowChange]) -> list[dict[str, Any]]:
    fields = {field.attname: field for field in model._meta.local_concrete_fields}
    differences = [one for change in changes for one in change.differences]
    names = {name: _names(request, fields[name], differences) for name in {one.field for one in differences}}
    return [
        {
            "kind": change.kind,
            "made": change.change,
            "differences": [
                line
                for one in change.differences
                if one.field not in _DERIVED
                for line in _lines(fields[one.field], one, names[one.field])
                if line["old"] or line["new"]
            ],
        }
        for change in changes
    ]


def _names(request: HttpRequest, field: Any, differences: list[Difference]) -> dict[Any, str]:
    """What the rows are called that a reference named, as far as the user may see them."""
    if not isinstance(field, ForeignKey):
        return {value: str(label) for value, label in field.flatchoices} if field.choices else {}
    told = {value for one in differences if one.field == field.attname for value in (one.old, one.new)} - {None}
    target = field.related_model
    rows: Any = target._default_manager.filter(pk__in=told)
    if target in version_models():
        rows = rows.filter(rights(request).reach(Action.VIEW).of(target))
    return {key: f"no. {key}" for key in told} | {row.pk: str(row) for row in rows}


def _lines(field: Any, one: Difference, names: dict[Any, str]) -> list[dict[str, str]]:
    """One line for a field, one for each name of a field that holds named values."""
    label = str(field.verbose_name)
    if isinstance(field, JSONField):
        old, new = one.old or {}, one.new or {}
        keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
        return [{"label": f"{label}: {key}", "old": _said(old.get(key)), "new": _said(new.get(key))} for key in keys]
    old, new = (_said(names.get(value, value) if names else value) for value in (one.old, one.new))
    return [{"label": label, "old": old, "new": new}]


def _said(value: Any) -> str:
    if value in (None, "", [], {}):
        return ""
    if isinstance(value, Range):
        return f"from {_said(value.lower)}" + (f" to {_said(value.upper)}" if value.upper else "")
    if isinstance(value, datetime):
        return instant_in_words(value)
    return str(value) if not isinstance(value, bool) else "yes" if value else "no"
