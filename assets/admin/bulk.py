"""What is done to many assets at once, each after a page that says to how many, all through the bulk services."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.admin import action
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from assets import services
from assets.admin.asking import InstantField, ask
from assets.admin.saving import as_asked
from assets.exceptions import AssetsError
from assets.importing import TABLES, export_csv
from assets.models import Asset, AssetStatus

_MOST: Final = 10_000
_NAMED: Final = 20


class StatusForm(forms.Form):
    status = forms.ChoiceField(choices=[each for each in AssetStatus.choices if each[0] != AssetStatus.RETIRED])


class CriticalityForm(forms.Form):
    criticality = forms.TypedChoiceField(
        coerce=int, choices=[(n, str(n)) for n in range(1, 6)], initial=3, help_text="1 negligible to 5 essential."
    )


class RetirementForm(forms.Form):
    at = InstantField(label="Since when")
    reason = forms.CharField(max_length=200, help_text="It is kept with each item that comes out.")


@action(description="Change the status of the selected assets", permissions=["change"])
def change_status(model_admin: Any, request: HttpRequest, queryset: QuerySet[Asset]) -> HttpResponse | None:
    return _ask(model_admin, request, queryset, asks=StatusForm, verb="Change the status", do=_write_fields)


@action(description="Change the criticality of the selected assets", permissions=["change"])
def change_criticality(model_admin: Any, request: HttpRequest, queryset: QuerySet[Asset]) -> HttpResponse | None:
    return _ask(model_admin, request, queryset, asks=CriticalityForm, verb="Change the criticality", do=_write_fields)


@action(description="Retire the selected assets", permissions=["change"])
def retire(model_admin: Any, request: HttpRequest, queryset: QuerySet[Asset]) -> HttpResponse | None:
    about = "What stands below them is retired too, items that are installed come out and relations end."
    return _ask(model_admin, request, queryset, asks=RetirementForm, verb="Retire", do=_retire, about=about)


@action(description="Export the selected assets as CSV", permissions=["view"])
def export_selected(model_admin: Any, request: HttpRequest, queryset: QuerySet[Asset]) -> HttpResponse:
    file = io.StringIO()
    chosen = Asset.objects.filter(pk__in=queryset.order_by().values("pk"))
    export_csv(TABLES["assets"], file, source="file", rows=chosen)
    answer = HttpResponse(file.getvalue(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="assets.csv"'
    return answer


def _write_fields(assets: list[Asset], said: dict[str, Any], actor: Any) -> int:
    for asset in assets:
        for name, value in said.items():
            setattr(asset, name, value)
    return len(services.change_assets(assets=assets, actor=actor))


def _retire(assets: list[Asset], said: dict[str, Any], actor: Any) -> int:
    return len(services.retire_assets(assets=assets, at=said["at"], reason=said["reason"], actor=actor))


def _ask(
    model_admin: Any,
    request: HttpRequest,
    queryset: QuerySet[Asset],
    *,
    asks: type[forms.Form],
    verb: str,
    do: Callable[[list[Asset], dict[str, Any], Any], int],
    about: str = "",
) -> HttpResponse | None:
    """The page that asks, and when it has been answered what was asked for."""
    assets = list(queryset.order_by("tag", "id")[: _MOST + 1])
    if len(assets) > _MOST:
        messages.error(request, f"More than {_MOST} assets are selected: choose fewer, or import a file.")
        return None
    form = asks(request.POST if "apply" in request.POST else None)
    if form.is_valid():
        try:
            with as_asked(request, form.cleaned_data.get("reason", "")):
                count = do(assets, form.cleaned_data, request.user)
        except AssetsError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{verb}: {count} assets.")
            return None
    chosen = [(name, value) for name in ("action", "select_across", "index") for value in request.POST.getlist(name)]
    chosen += [(ACTION_CHECKBOX_NAME, value) for value in request.POST.getlist(ACTION_CHECKBOX_NAME)]
    shown: dict[str, Any] = {"rows": assets[:_NAMED], "others": max(0, len(assets) - _NAMED), "about": about}
    shown |= {"hidden": chosen, "back": request.get_full_path()}
    return ask(model_admin, request, form=form, title=f"{verb}: {len(assets)} selected", verb=verb, **shown)
