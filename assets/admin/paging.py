"""Lists of any length: what was searched for is found once, and a page is found before its rows are read.

Else the database would join and carry along what each of 400,000 rows refers to, in order to show fifty of them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.db.models.sql.where import WhereNode
from django.http import HttpRequest

from assets.selectors import matching


class FarPaginator(Paginator):
    """Pages of a queryset in a total order, in two statements each, found from whichever end is nearer."""

    def page(self, number: int | str) -> Page[Any]:
        number = self.validate_number(number)
        first = (number - 1) * self.per_page
        end = min(first + self.per_page, self.count)
        rows: Any = self.object_list
        if first > self.count // 2:
            keys = rows.reverse().values_list("pk", flat=True)[self.count - end : self.count - first]
        else:
            keys = rows.values_list("pk", flat=True)[first:end]
        chosen = rows.all()
        chosen.query.where = WhereNode()  # the keys have met the conditions, some of which cost as much as the list
        return Page(chosen.filter(pk__in=list(keys)), number, self)


class LongList:
    """Mix into an admin: fifty rows a page, found by any part of what names them."""

    paginator: Any = FarPaginator
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # each of the counts would look at the whole table

    class Media:
        css: ClassVar = {"all": ["assets/register.css"]}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found = matching(queryset, self.get_search_fields(request), search_term)  # type: ignore[attr-defined]
        if found is queryset:
            return queryset, False
        # Searched once, though the list counts what was found and then reads a page of it.
        return queryset.filter(pk__in=list(found.order_by().values_list("pk", flat=True))), False
