"""How a page reads and saves: what the user may see, through a service, and a refusal becomes an error of the form.

Django's rights on tables say which pages open; `assets.permissions` says which rows are on them and which can be saved.
A service may refuse after the form was found valid, because only it sees the whole register. Its transaction is then
rolled back and the page is built once more with the refusal as a form error, so nothing typed is lost.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from assets import services
from assets.admin.paging import LongList
from assets.admin.theme import ModelAdmin
from assets.exceptions import AssetsError
from assets.history import Origin, origin, request_id
from assets.models import Asset
from assets.permissions import Action, Rights, rights_of

NO_ROLE: Final = "You have no role in the register yet, so nothing of it is shown: ask an administrator for one."


def rights(request: HttpRequest) -> Rights:
    """What the user of this request may do, read once a request."""
    known: Rights | None = getattr(request, "register_rights", None)
    if known is None:
        known = request.register_rights = rights_of(request.user)  # type: ignore[attr-defined]
    return known


def visible(request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Those of the rows that the user may see."""
    return rows.filter(rights(request).reach(Action.VIEW).of(rows.model))


def may(request: HttpRequest, action: Action, row: Model | None) -> bool:
    """Whether the user may do the action to a row, or to any at all; a page asks this many times."""
    reach = rights(request).reach(action)
    if row is None or reach.everything:
        return bool(reach)
    if isinstance(row, Asset):
        return row in reach
    known: dict[Any, bool] = vars(request).setdefault("register_may", {})
    key = (action, type(row), row.pk)
    if key not in known:
        known[key] = type(row)._default_manager.filter(reach.own(type(row)), pk=row.pk).exists()
    return known[key]


def as_asked(request: HttpRequest, reason: str = "") -> AbstractContextManager[Origin]:
    """What is written inside of it was done by this user, in this request."""
    return origin(source="admin", user=request.user, request=request_id(request.headers), reason=reason)


class RegisterForm(forms.ModelForm):
    """A form that knows what a service has refused."""

    refusal = ""

    def _post_clean(self) -> None:
        # Constraints are left to the services, which say what is wrong and not what the rule is called.
        vars(self.instance)["validate_constraints"] = lambda exclude=None: None
        super()._post_clean()  # type: ignore[misc]
        del vars(self.instance)["validate_constraints"]

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.refusal:
            raise forms.ValidationError(self.refusal)
        return cleaned


class RegisterAdmin(LongList, ModelAdmin):
    """A page of the register."""

    form = RegisterForm
    changed_by = Action.CHANGE
    """What a user must be allowed to do with a row in order to save it."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return visible(request, super().get_queryset(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and bool(rights(request).reach(self.changed_by))

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and may(request, self.changed_by, obj)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        with as_asked(request):
            try:
                return super().changeform_view(request, object_id, form_url, extra_context)
            except AssetsError as error:
                # A form has one row, so its number tells nothing.
                refusal = str(error).removeprefix("Row 0, ").removeprefix("Row 0: ")
                request.register_refusal = refusal  # type: ignore[attr-defined]
                return super().changeform_view(request, object_id, form_url, extra_context)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not rights(request).reach(Action.VIEW):
            messages.warning(request, NO_ROLE)
        with as_asked(request):
            return super().changelist_view(request, extra_context)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        with as_asked(request):
            return super().delete_view(request, object_id, extra_context)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        from assets.admin.past import history_view  # which reads rights from here

        return history_view(self, request, object_id)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"refusal": getattr(request, "register_refusal", "")})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        services.save_record(record=obj, actor=request.user)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        for record in formset.save(commit=False):
            services.save_record(record=record, actor=request.user)
        formset.save_m2m()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Deleting is not a service: what was in the register is retired, so that its history stays readable.
        return False
