"""Every page of the admin as people open it: how long the server takes and how many statements."""

from __future__ import annotations

import html
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assets.models import Asset
from assets.services import give_role

_APPS: Final = ("twins_assets", "twins")
_WORDS: Final = ("Part", "U1-4242", "nowhere", "t", "Part temperature")
"""What is found often, once and never, one letter, and two words that are everywhere."""
_TIMES: Final = 3
_SLOW_MS: Final = 150
_ALIKE: Final = 3

Answers = Callable[[], dict[str, Any]]
"""What is posted, made anew each time, because a file is read only once."""


@dataclass(frozen=True)
class Visit:
    """One page: milliseconds, and statements."""

    milliseconds: float
    statements: int


class Visitor:
    """Somebody of the staff with a browser, and a role in the subtree of an asset or in the whole register."""

    def __init__(self, name: str, *, role: str, below: Asset | None = None) -> None:
        user = get_user_model().objects.create_user(name, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=_APPS))
        give_role(role=role, user=user, asset=below)
        self._name = name
        self._client = Client(SERVER_NAME="localhost")
        self._client.force_login(user)

    def visit(self, address: str, posted: Answers | None = None) -> tuple[Visit, str]:
        """Open a page once to warm it up and count, then against the clock; anything but 200 is a fault.

        What seems slow is tried again, because somebody else may have had the processor. Returns the page's text too.
        """
        with CaptureQueriesContext(connection) as asked:
            text = self._open(address, posted)
        statements, taken = len(asked), [self._time(address, posted)]  # later requests empty the log
        while len(taken) < _TIMES and taken[0] > _SLOW_MS:
            taken.append(self._time(address, posted))
        seen = Visit(statistics.median(taken), statements)
        print(f"{seen.milliseconds:7.1f} ms {statements:3d} statements {self._name:8s} {address}", file=sys.stderr)
        return seen, text

    def _time(self, address: str, posted: Answers | None) -> float:
        begun = time.perf_counter()
        self._open(address, posted)
        return (time.perf_counter() - begun) * 1000

    def _open(self, address: str, posted: Answers | None) -> str:
        answer: Any = self._client.get(address) if posted is None else self._client.post(address, posted())
        assert answer.status_code == 200, (self._name, address, answer.status_code)
        return str(answer.content.decode())

    def tour(self, app: str, unit: Asset) -> Iterator[Visit]:
        """All pages of an app: of each table those to which its list leads, and what belongs to no table."""
        yield self.visit(reverse("admin:index"))[0]
        for model, model_admin in admin.site._registry.items():
            if model._meta.app_label == app:
                yield from self._table(model_admin)
                for address in _lookups(model_admin):
                    yield self.visit(address)[0]
        if app == "twins_assets":
            yield from self._assets(unit)

    def _table(self, model_admin: Any) -> Iterator[Visit]:
        """List and searches, each way to sort and to narrow it, its newest and oldest rows, and a row to be added."""
        name = f"{model_admin.opts.app_label}_{model_admin.opts.model_name}"
        index = reverse(f"admin:{name}_changelist")
        seen, text = self.visit(index)
        yield seen
        for link in _links(text):
            yield self.visit(f"{index}{link}")[0]
        for word in _WORDS if model_admin.search_fields else ():
            yield self.visit(f"{index}?{urlencode({'q': word})}")[0]
        rows = re.findall(rf'href="({re.escape(index)}[^"/]+)/change/', text)
        for row in dict.fromkeys([*rows[:1], *rows[-1:]]):
            yield self.visit(f"{row}/change/")[0]
            yield self.visit(f"{row}/history/")[0]
        if f'href="{index}add/' in text:
            yield self.visit(f"{index}add/")[0]
            yield self.visit(f"{index}add/?_popup=1")[0]

    def _assets(self, unit: Asset) -> Iterator[Visit]:
        """The tree, import and replacement, what is done to many, and the pages of assets of every size and age."""
        tree, index = reverse("admin:twins_assets_asset_tree"), reverse("admin:twins_assets_asset_changelist")
        yield from (self.visit(f"{tree}{asked}")[0] for asked in ("", f"?at={unit.pk}", f"?at={unit.pk}&part=1"))
        yield from (self.visit(f"{tree}?{urlencode({'q': word})}")[0] for word in _WORDS)
        yield self.visit(reverse("admin:twins_assets_asset_import"))[0]
        for asset in (unit, *Asset.objects.filter(tag__in=[f"{unit.tag}-1", f"{unit.tag}-2", f"{unit.tag}-4999"])):
            for page in ("change", "history", "replace"):
                yield self.visit(reverse(f"admin:twins_assets_asset_{page}", args=[asset.pk]))[0]
        some = list(Asset.objects.filter(parent=unit).values_list("pk", flat=True))
        for action in ("change_status", "change_criticality", "retire"):
            asked = {"action": action, ACTION_CHECKBOX_NAME: some}
            yield self.visit(index, lambda asked=asked: asked)[0]
            yield self.visit(f"{index}?q={unit.tag}", lambda asked=asked: {**asked, "select_across": "1"})[0]

    def preview(self) -> Visit:
        """What a file of a hundred rows would do."""
        rows = "".join(f"U0-{number},SITE,Part {number} renamed,part\n" for number in range(1, 101))
        content = f"tag,site,name,level\n{rows}".encode()
        address = reverse("admin:twins_assets_asset_import")
        return self.visit(address, lambda: {"file": SimpleUploadedFile("assets.csv", content), "source": "file"})[0]


def _links(text: str) -> list[str]:
    """Where a list leads within itself: sorted, narrowed, on another page; of many that are alike a few."""
    found: dict[str, list[str]] = {}
    for link in dict.fromkeys(html.unescape(each) for each in re.findall(r'href="(\?[^"]*)"', text)):
        found.setdefault(link.partition("=")[0], []).append(link)
    return [link for kind, links in found.items() for link in (links if kind == "?o" else [*links[:_ALIKE], links[-1]])]


def _lookups(model_admin: Any) -> Iterator[str]:
    """What the fields of a form ask while somebody types into them."""
    for owner in (model_admin, *(inline(model_admin.model, admin.site) for inline in model_admin.inlines)):
        for field in owner.autocomplete_fields:
            named = {"app_label": owner.opts.app_label, "model_name": owner.opts.model_name, "field_name": field}
            for word in ("", *_WORDS):
                yield f"{reverse('admin:autocomplete')}?{urlencode({**named, 'term': word})}"
