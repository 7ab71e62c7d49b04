"""Lists of any length: what was searched for is found once, and a page is found before its rows are read.

Else the database would join and carry along what each of 400,000 rows refers to, in order to show fifty of them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.core.paginator import Page, Paginator
from django.db.models import Count, QuerySet, Window
from django.db.models.sql.where import WhereNode
from django.http import HttpRequest
from django.utils.functional import cached_property

from assets.permissions import Action
from assets.selectors import FEW, keys_matching


class FarPaginator(Paginator):
    """Pages of a queryset in a total order, in two statements each, found from whichever end is nearer."""

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        end = min(first + self.per_page, self.count)
        rows: Any = self.object_list
        keys = rows.values_list("pk", flat=True)
        if first > self.count // 2:
            keys, first, end = keys.reverse(), self.count - end, self.count - first
        return Page(_only(rows, list(keys[first:end])), number, self)


class PartPaginator(FarPaginator):
    """Pages of what is seen of a table by whoever does not see all: the page that is opened comes with the count.

    Together they are asked for in one statement, because the condition of what is seen may cost as much as all the rest
    of a page; and because what is counted along is found as a whole before it is sorted. Else the database would read
    in the order of the list, and half of the table until it meets the first row that is seen.
    """

    def __init__(self, *given: Any, opened: int, **options: Any) -> None:
        super().__init__(*given, **options)
        self._opened = opened
        self._keys: list[Any] = []

    @cached_property
    def count(self) -> int:
        first = (self._opened - 1) * self.per_page
        rows: Any = self.object_list
        found = list(
            rows.annotate(of_all=Window(Count("*"))).values_list("pk", "of_all")[first : first + self.per_page]
        )
        if not found:
            return super().count
        self._keys = [key for key, _ in found]
        return int(found[0][1])

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        if number != self._opened or not self._keys:
            return super().page(number)
        rows: Any = self.object_list
        return Page(_only(rows, self._keys), number, self)


def _only(rows: QuerySet[Any], keys: list[Any]) -> QuerySet[Any]:
    """The rows of these keys, which have met the conditions of all, some of which cost as much as the list."""
    chosen = rows.all()
    chosen.query.where = WhereNode()
    return chosen.filter(pk__in=keys)


class LongList:
    """Mix into an admin: fifty rows a page, found by any part of what names them."""

    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each of the counts would look at the whole table

    class Media:
        css: ClassVar = {"all": ["assets/register.css"]}

    def get_paginator(self, request: HttpRequest, queryset: Any, per_page: int, *given: Any, **options: Any) -> Any:
        if _sees_all(request) or not queryset.query.where:
            return FarPaginator(queryset, per_page, *given, **options)
        asked = request.GET.get("p") or request.GET.get("page") or ""
        opened = max(1, int(asked)) if asked.isdecimal() and len(asked) < 10 else 1
        return PartPaginator(queryset, per_page, *given, opened=opened, **options)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        fields = self.get_search_fields(request)  # type: ignore[attr-defined]
        if not fields or not search_term.strip():
            return queryset, False
        # Searched once, though the list counts what was found and then reads a page of it.
        few = 0 if _sees_all(request) else FEW
        return _only(queryset, keys_matching(queryset, fields, search_term, few=few)), False


def _sees_all(request: HttpRequest) -> bool:
    from assets.admin.saving import rights  # which mixes these in

    return rights(request).reach(Action.VIEW).everything
