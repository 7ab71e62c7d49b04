"""Pages that ask one thing before something is done: the question, a form, one button and a way back."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from assets.admin.theme import SplitDateTime


class InstantField(forms.SplitDateTimeField):
    """An instant, now unless something else is said."""

    def __init__(self, **options: Any) -> None:
        super().__init__(widget=SplitDateTime, initial=lambda: timezone.now().replace(microsecond=0), **options)


def ask(
    model_admin: Any,
    request: HttpRequest,
    *,
    form: forms.Form | None,
    title: str,
    verb: str,
    back: str,
    template: str = "assets/admin/ask.html",
    **more: Any,
) -> HttpResponse:
    """The page with its form, filled in as far as it was."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media + form.media if form else "",  # widgets rely on the scripts of every form
        **{"form": form, "title": title, "verb": verb, "back": back, **more},
    }
    return TemplateResponse(request, template, context)
