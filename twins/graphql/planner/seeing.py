"""Row permission in a statement: the predicate on every table of a plan, and the few places where all of it lies.

Every asset of a plan, and with it all that hangs on it, is one that may be seen. Where all that is seen lies below a
few assets near the root, a list at the root is read place by place, each in its order, instead of going through what
lies elsewhere; the predicate stays the judge of each row.
"""

from __future__ import annotations

from typing import Any

from assets.models import Asset
from twins.graphql.planner import mapping as m
from twins.graphql.planner.selected import Selected, order_of, page_size
from twins.graphql.planner.text import Binding, Sql, written


def key_of(model: Any) -> str:
    """The column of a table that names an asset which must be seen; what hangs on one is seen with it."""
    return "id" if model is Asset else ""


def seen_of(key: str, it: str) -> Sql:
    """The condition on a row by this column."""
    if not key:
        return []
    if key == "id":
        return [lambda binding: f" and {binding.seen(it)}" if binding.visible else ""]
    table, asset = Asset._meta.db_table, f"{it}s"

    def condition(binding: Binding) -> str:
        if not binding.visible:
            return ""
        return f" and exists (select from {table} {asset} where {asset}.id = {it}.{key} and {binding.seen(asset)})"

    return [condition]


def in_place(path: str, it: str, seen: Sql) -> Sql:
    """The condition `seen` on an asset that stands at `path`, and that it stands in the place that is looked at."""

    def condition(binding: Binding) -> str:
        if binding.places is None:
            return written(seen, binding)
        # PostgreSQL takes two conditions to be independent and would expect a small part of a small part, so it is not
        # told what kind of condition the predicate is.
        depth, tops = binding.places
        place = tops[0] if len(tops) == 1 else "place.id"
        return f" and {path}[{depth}] = {place} and coalesce({binding.seen(it)}, false)"

    return [condition]


def place_by_place(selected: Selected, pages: m.Pages, page: Sql, *, extra: int) -> Sql:
    """The page, or where there are several places the first rows of the pages of each; `extra` rows more are shown."""
    size = page_size(selected, extra)

    def each(binding: Binding) -> str:
        if binding.places is None or len(binding.places.tops) == 1:
            return ""
        tops = ", ".join(map(str, binding.places.tops))
        return f"(select r.* from unnest(array[{tops}]::bigint[]) place(id) cross join lateral "  # noqa: S608

    def first(binding: Binding) -> str:
        if binding.places is None or len(binding.places.tops) == 1:
            return ""
        step = order_of(selected, pages, binding).step
        return f" r order by r.page_key {step}, r.id {step} limit {size(binding)})"

    return [each, *page, first]
