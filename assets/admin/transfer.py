"""The register from a file with a preview first, and to a file: for those who may import, and for all who may look.

What is uploaded is kept as a draft of its user under a random token, for an hour; nothing from the browser is ever
taken for a path. The word that writes it names the token, so what is written is what was previewed.
"""

from __future__ import annotations

import io
import secrets
import tempfile
import zoneinfo
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from assets.admin.asking import ask
from assets.admin.saving import as_asked, rights, visible
from assets.admin.theme import FileInput
from assets.exceptions import AssetsError
from assets.importing import (
    TABLES,
    Action,
    ImportResult,
    Limits,
    Planned,
    as_dict,
    export_csv,
    export_json,
    export_xlsx,
    import_file,
)
from assets.models import ImportDraft
from assets.permissions import Action as Deed

KEPT: Final = timedelta(hours=1)
MOST_SHOWN: Final = 500
"""Rows of a preview that are shown, refused ones and others each; all are counted."""
_WORDS: Final = [(name, name.replace("_", " ")) for name in TABLES]
_SUFFIXES: Final = (".csv", ".tsv", ".txt", ".json", ".xlsx")


class UploadForm(forms.Form):
    """A file, and what it does not say itself."""

    # The theme's own, because its script writes the name of the file into the text that it takes for the file's.
    file = forms.FileField(
        widget=FileInput, help_text="CSV, XLSX or JSON, with names and external keys as in an export."
    )
    table = forms.ChoiceField(
        choices=[("", "as the file is named"), *_WORDS],
        required=False,
        help_text="Of a file of one table that is not named after it.",
    )
    source = forms.CharField(
        max_length=64, initial="file", label="Source system", help_text="Whose external keys stand in the file."
    )
    timezone = forms.CharField(max_length=64, required=False, help_text="Of instants that name none: Europe/Berlin.")
    encoding = forms.CharField(
        max_length=32, required=False, help_text="Of a CSV file that is not UTF-8: cp1252, utf-16."
    )

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        suffix = Path(file.name).suffix.lower()
        if suffix not in _SUFFIXES:
            raise forms.ValidationError("This is not a CSV, XLSX or JSON file: save it as one of them.")
        most = Limits().workbook_bytes if suffix == ".xlsx" else Limits().bytes
        if file.size > most:
            raise forms.ValidationError(f"The file has {file.size} bytes, more than {most}: split it.")
        return file

    def clean_timezone(self) -> str:
        name: str = self.cleaned_data["timezone"]
        try:
            if name:
                zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise forms.ValidationError(f"{name!r} is not a time zone: use a name such as Europe/Berlin.") from error
        return name


def may_import(request: HttpRequest) -> bool:
    """A file may name anything, so importing takes a role in the whole register."""
    return rights(request).reach(Deed.IMPORT).everything and request.user.has_perm("twins_assets.view_asset")


def import_view(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Ask for a file; keep it and show what it would do. Who may only look finds the exports there."""
    shared: dict[str, Any] = {
        "title": "Import and export",
        "verb": "Preview",
        "back": reverse("admin:index"),
        "template": "assets/admin/import.html",
        "tables": _WORDS,
    }
    if not may_import(request):
        if request.method == "POST" or not request.user.has_perm("twins_assets.view_asset"):
            raise PermissionDenied
        return ask(model_admin, request, form=None, **shared)
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        draft = _keep(request, form.cleaned_data)
        try:
            return _preview(model_admin, request, draft)
        except AssetsError as error:
            draft.delete()
            form.add_error("file", str(error))
    shared["about"] = "Nothing is written before you have seen what each row would do."
    return ask(model_admin, request, form=form, **shared)


def write_view(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Write the file that was previewed; what has changed since in the register is judged again, all or nothing."""
    if not may_import(request):
        raise PermissionDenied
    again = HttpResponseRedirect(reverse("admin:twins_assets_asset_import"))
    draft = _drafts(request).filter(token=request.POST.get("token", "")).first()
    if draft is None:
        messages.error(request, "There is no such preview any more: upload the file again. Nothing was changed.")
        return again
    try:
        with as_asked(request, f"import of {draft.name}"):
            result = _import(draft, dry_run=False, skip_bad="skip_bad" in request.POST)
    except AssetsError as error:
        messages.error(request, f"{error} Nothing was changed.")
        return again
    if result.written:
        draft.delete()
        messages.success(request, f"{draft.name} is written: {_totals(result)}.")
    else:
        messages.error(request, f"Nothing was changed: {_totals(result)}. Correct the file, or leave bad rows out.")
    return again


def export_view(model_admin: Any, request: HttpRequest) -> FileResponse:
    """What the user may see of one table as CSV, or of all tables as XLSX or JSON."""
    kind, name = request.GET.get("kind", ""), request.GET.get("table", "")
    tables = [table for table in TABLES.values() if request.user.has_perm(_view_right(table.model))]
    if kind == "csv":
        tables = [table for table in tables if table.name == name]
    if kind not in ("csv", "xlsx", "json") or not tables:
        raise PermissionDenied
    rows: dict[str, QuerySet[Any]] = {each.name: visible(request, each.model._default_manager.all()) for each in tables}
    file: Any = tempfile.TemporaryFile()  # noqa: SIM115  (the answer closes it)
    if kind == "csv":
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        export_csv(tables[0], text, source="file", rows=rows[name])
        text.detach()
    else:
        export = export_xlsx if kind == "xlsx" else export_json
        export(tables, file, source="file", rows=rows)
    file.seek(0)
    stem = name if kind == "csv" else "register"
    return FileResponse(file, as_attachment=True, filename=f"{stem}.{kind}")


def _view_right(model: Any) -> str:
    return f"{model._meta.app_label}.view_{model._meta.model_name}"


def _drafts(request: Any) -> QuerySet[ImportDraft]:
    """What this user has uploaded and is not too old; what is too old of anybody goes."""
    ImportDraft.objects.filter(made_at__lt=timezone.now() - KEPT).delete()
    return ImportDraft.objects.filter(user=request.user)


def _keep(request: Any, said: dict[str, Any]) -> ImportDraft:
    # The newest only: who corrects a file and uploads it again means the corrected one.
    _drafts(request).delete()
    options = {name: said[name] for name in ("table", "source", "timezone", "encoding")}
    content = b"".join(said["file"].chunks())
    name = Path(said["file"].name).name[-200:]
    token = secrets.token_urlsafe(32)
    return ImportDraft.objects.create(token=token, user=request.user, name=name, content=content, options=options)


def _import(draft: ImportDraft, *, dry_run: bool, skip_bad: bool = False, report: Any = None) -> ImportResult:
    said = draft.options
    with tempfile.TemporaryDirectory(prefix="register-import-") as folder:
        # The directory is this process's alone, and of the name only what it tells of the table and the format stays.
        path = Path(folder) / f"{_stem(draft.name)}{Path(draft.name).suffix.lower()}"
        path.write_bytes(draft.content)
        return import_file(
            path=path,
            source=said["source"],
            table=said["table"] or None,
            dry_run=dry_run,
            skip_bad=skip_bad,
            encoding=said["encoding"] or None,
            zone=zoneinfo.ZoneInfo(said["timezone"]) if said["timezone"] else None,
            **({"report": report} if report else {}),
        )


def _stem(name: str) -> str:
    kept = "".join(sign for sign in Path(name).stem.lower() if sign.isalnum() or sign in "-_. ")
    return kept[:100].strip(". ") or "file"


def _preview(model_admin: Any, request: HttpRequest, draft: ImportDraft) -> HttpResponse:
    shown: list[dict[str, Any]] = []

    def report(planned: Planned) -> None:
        if planned.action in (Action.CREATE, Action.CHANGE) and len(shown) < MOST_SHOWN:
            shown.append(as_dict(planned))

    result = _import(draft, dry_run=True, report=report)
    counts = [
        (table, [(str(action), counted[action]) for action in Action]) for table, counted in result.counts.items()
    ]
    touched = result.count(Action.CREATE) + result.count(Action.CHANGE)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": f"What {draft.name} would do",
        "draft": draft,
        "actions": [str(action) for action in Action],
        "counts": counts,
        "touched": touched,
        "shown": shown,
        "refused": result.refused[:MOST_SHOWN],
        "refusals": result.count(Action.REFUSED),
        "most": MOST_SHOWN,
        "minutes": int(KEPT.total_seconds() // 60),
    }
    return TemplateResponse(request, "assets/admin/import_preview.html", context)


def _totals(result: ImportResult) -> str:
    total: Counter[str] = Counter()
    for counted in result.counts.values():
        total.update({str(action): number for action, number in counted.items()})
    return ", ".join(f"{number} {action}" for action, number in total.items() if number) or "no rows"
