"""The register as a tree that is opened where one looks: a hundred children a page, and a search over all of it.

Works without scripts, each branch being a link to a page of its own; the script beside it fetches the same rows and
puts them below their parent.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from assets.admin.saving import rights, visible
from assets.models import Asset
from assets.permissions import Action
from assets.querysets import AssetQuerySet
from assets.selectors import Node, ancestors, counted, matching, tree_page

PAGE = 100
SEARCHED = ["tag", "name", "installations__item__serial_number", "external_references__key"]
SEARCH_HELP = (
    "Any part of a tag, a name, the serial number of an item that is or was there, or an external key; "
    "of very many the first 1,000."
)


def tree_view(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """The tops of the register, or what stands below `at`; with `q` what is found."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    at = _asset(request, "at")
    context = _found(request) if request.GET.get("q", "").strip() else _level(request, at)
    if "part" in request.GET:
        return TemplateResponse(request, "assets/admin/tree_rows.html", context)
    shared = {**model_admin.admin_site.each_context(request), "opts": model_admin.model._meta, "at": at}
    words = {"title": str(at) if at else "Tree of the register", "search_help": SEARCH_HELP}
    return TemplateResponse(
        request, "assets/admin/tree.html", {**shared, **words, **context, "above": _above(request, at)}
    )


def tops(request: HttpRequest) -> AssetQuerySet:
    """Where the part of the register begins that the user may see."""
    reach = rights(request).reach(Action.VIEW)
    if reach.everything:
        return Asset.objects.roots()
    # Of two grants, one below the other, only the upper one is a top.
    granted = Asset.objects.filter(pk__in=reach.tops)
    inner = [asset.pk for asset in granted if len(set(asset.path).intersection(reach.tops)) > 1]
    return granted.exclude(pk__in=inner)


def _level(request: HttpRequest, at: Asset | None) -> dict[str, Any]:
    rows = Asset.objects.filter(parent=at) if at else tops(request)
    after = _asset(request, "after")
    shown, more = tree_page(rows, after=(after.tag, after.pk) if after else None, limit=PAGE)
    nodes = counted(shown)
    context: dict[str, Any] = {"nodes": nodes, "more": shown[-1] if more else None, "parent": at}
    if at is None and after is None and len(nodes) == 1 and nodes[0].children:
        # A register of one site is opened at once: nothing else could be clicked on.
        context["opened"] = _level(request, nodes[0].asset)
    return context


def _found(request: HttpRequest) -> dict[str, Any]:
    text = request.GET["q"]
    rows = matching(visible(request, Asset.objects.all()), SEARCHED, text)
    after = _asset(request, "after")
    shown, more = tree_page(rows, after=(after.tag, after.pk) if after else None, limit=PAGE)
    reach, places = rights(request).reach(Action.VIEW), ancestors(asset.pk for asset in shown)
    for asset in shown:
        vars(asset)["place"] = " › ".join(above.name for above in places[asset.pk] if above in reach)
    return {"nodes": [Node(asset, 0, 0) for asset in shown], "more": shown[-1] if more else None, "q": text}


def _above(request: HttpRequest, at: Asset | None) -> list[Asset]:
    reach = rights(request).reach(Action.VIEW)
    return [asset for asset in ancestors([at.pk])[at.pk] if asset in reach] if at else []


def _asset(request: HttpRequest, name: str) -> Asset | None:
    """The visible asset whose id stands in a parameter, if it is given."""
    given = request.GET.get(name)
    if not given:
        return None
    found = visible(request, Asset.objects.filter(pk=given)).first() if given.isdecimal() and len(given) < 19 else None
    if found is None:
        raise Http404(f"There is no asset {given[:20]!r} that you may see: go back to the tree.")
    return found
