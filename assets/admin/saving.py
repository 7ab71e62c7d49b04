"""How a page saves: through a service, and a refusal becomes an error of the form.

A service may refuse after the form was found valid, because only it sees the whole register. Its transaction is then
rolled back and the page is built once more with the refusal as a form error, so nothing typed is lost.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse

from assets import services
from assets.admin.theme import ModelAdmin
from assets.exceptions import AssetsError


class RegisterForm(forms.ModelForm):
    """A form that knows what a service has refused."""

    refusal = ""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if self.refusal:
            raise forms.ValidationError(self.refusal)
        return cleaned


class RegisterAdmin(ModelAdmin):
    """A page of the register."""

    form = RegisterForm
    list_per_page = 50
    show_full_result_count = False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except AssetsError as error:
            request.register_refusal = str(error)  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"refusal": getattr(request, "register_refusal", "")})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        services.save_record(record=obj)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        for record in formset.save(commit=False):
            services.save_record(record=record)
        formset.save_m2m()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Deleting is not a service: what was in the register is retired, so that its history stays readable.
        return False
