"""What is installed at an asset is replaced in one step: by a spare that is chosen, or a new item by its number."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from assets import services
from assets.admin.asking import InstantField, ask
from assets.admin.saving import as_asked, may, visible
from assets.exceptions import AssetsError, InvalidValue
from assets.models import Asset, Design, Installation, Item
from assets.permissions import Action
from assets.selectors import current_installations
from assets.services import NewInstallation


class ReplacementForm(forms.Form):
    """Which item comes in, when and why."""

    item = forms.ModelChoiceField(
        Item.objects.none(), required=False, label="Item from stock", help_text="Search by serial number."
    )
    serial_number = forms.CharField(
        max_length=100,
        required=False,
        label="or the serial number of a new item",
        help_text="It is made to the design of the position, else of the item that is there now.",
    )
    reason = forms.CharField(max_length=200, help_text="Why what is there now comes out.")
    at = InstantField(label="When")

    def __init__(self, *arguments: Any, spares: Any, site: Any, there: Item | None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        field: Any = self.fields["item"]
        field.queryset = spares
        field.widget = AutocompleteSelect(Installation._meta.get_field("item"), site, choices=field.widget.choices)
        self.there = there
        if there is None:
            del self.fields["reason"]

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        if bool(said.get("item")) == bool(said.get("serial_number")) and not self.errors.get("item"):
            raise forms.ValidationError("Choose an item from stock or give the serial number of a new one.")
        if self.there is not None and said.get("item") == self.there:
            raise forms.ValidationError(f"{self.there} is what is there now: choose another item.")
        return said


def replace_view(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
    """Ask for the item, and put it in; what the services refuse is an error of the form."""
    asset = model_admin.get_object(request, object_id)
    if asset is None:
        return model_admin._get_obj_does_not_exist_redirect(request, model_admin.opts, object_id)
    if not may_replace(request, asset):
        raise PermissionDenied
    now = current_installations([asset.pk]).get(asset.pk)
    back = reverse("admin:twins_assets_asset_change", args=[asset.pk])
    spares = visible(request, Item.objects.filter(retired_at=None))
    there = now.item if now else None
    form = ReplacementForm(request.POST or None, spares=spares, site=model_admin.admin_site, there=there)
    if request.method == "POST" and form.is_valid():
        try:
            with as_asked(request, form.cleaned_data.get("reason", "")):
                made = _replace(asset, now, form.cleaned_data, request.user)
        except AssetsError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{made.item} is installed at {asset}.")
            return HttpResponseRedirect(back)
    title = f"Replace {now.item} at {asset}" if now else f"Install an item at {asset}"
    return ask(model_admin, request, form=form, title=title, verb="Replace" if now else "Install", back=back)


def may_replace(request: HttpRequest, asset: Asset) -> bool:
    """Whether the user may record installations there."""
    return bool(request.user.has_perm("twins_assets.add_installation")) and may(request, Action.RECORD, asset)


def _replace(asset: Asset, now: Installation | None, said: dict[str, Any], actor: Any) -> Installation:
    """One transaction: a new item that cannot be installed is not made either."""
    with transaction.atomic():
        design = asset.design or (now.item.design if now else None)
        item = said["item"] or _new_item(design, said["serial_number"], actor)
        if now is None:
            wish = NewInstallation(asset=asset, item=item, start=said["at"])
            return services.install_items(installations=[wish], actor=actor)[0]
        return services.replace_item(asset=asset, item=item, at=said["at"], reason=said["reason"], actor=actor)


def _new_item(design: Design | None, serial_number: str, actor: Any) -> Item:
    if design is None:
        raise InvalidValue("design: nobody says to which design the new item is made: add it among the items first.")
    return services.create_items(items=[Item(design=design, serial_number=serial_number)], actor=actor)[0]
