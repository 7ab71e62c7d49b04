"""Where a planner begins: a few links above the list of tables, and other apps add theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse


@dataclass(frozen=True)
class StartLink:
    """A page that is offered to whoever has the right on its table."""

    text: str
    view: str
    permission: str


_LINKS: list[StartLink] = []


def offer(text: str, *, view: str, permission: str) -> None:
    """Add a link to the start page; called once, when an app's admin is loaded."""
    _LINKS.append(StartLink(text, view, permission))


def links(request: HttpRequest) -> list[dict[str, Any]]:
    """The links of the start page for a user, in the order in which they were offered."""
    return [
        {"text": link.text, "address": reverse(link.view)} for link in _LINKS if request.user.has_perm(link.permission)
    ]


# A host that has a start page of its own keeps it.
if admin.site.index_template is None:
    admin.site.index_template = "assets/admin/start.html"
offer("Tree of the register", view="admin:twins_assets_asset_tree", permission="twins_assets.view_asset")
offer("Import and export", view="admin:twins_assets_asset_import", permission="twins_assets.view_asset")
