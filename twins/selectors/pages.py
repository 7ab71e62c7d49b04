"""A bounded page of a list, and the pages of many owners in one statement: each owner's is looked up by itself.

Rows that belong to an owner say so with OWNER. Every row that is found carries `page_key`, its place in the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import BigIntegerField, F, Model, Q, QuerySet
from django.db.models.expressions import RawSQL

Row = TypeVar("Row", bound=Model)

Key = tuple[Any, int]
"""Where a row stands in an order: the ordering value and the id that makes the order total."""

OWNER = RawSQL("owner.id", (), output_field=BigIntegerField())
"""The owner whose page is looked up."""


@dataclass(frozen=True)
class Page:
    """The first `first` rows after `after`; selectors fetch one row more, which says whether there is a next page."""

    first: int
    after: Key | None = None


@dataclass(frozen=True)
class Sort:
    """An order: by a field or an expression that is never null; ties are broken by id, in the same direction."""

    value: Any
    descending: bool = False

    @property
    def expression(self) -> Any:
        return F(self.value) if isinstance(self.value, str) else self.value


def page_of(rows: QuerySet[Row], sort: Sort, page: Page) -> list[Row]:
    """One page of the rows: one row more than it holds."""
    return list(_page(rows, sort, page))


def pages_of(owners: Sequence[int], rows: QuerySet[Row], sort: Sort, page: Page) -> dict[int, list[Row]]:
    """The page of each owner that has any."""
    try:
        text, parameters = _page(rows, sort, page).query.sql_with_params()
    except EmptyResultSet:
        return {}
    step = "DESC" if sort.descending else "ASC"
    found = rows.model._default_manager.raw(
        f"SELECT owner.id AS page_owner, page.* FROM unnest(%s::bigint[]) owner(id) CROSS JOIN LATERAL ({text}) page "  # noqa: S608  (Django's text)
        f"ORDER BY owner.id, page.page_key {step}, page.id {step}",
        [list(owners), *parameters],
    )
    pages: dict[int, list[Row]] = {}
    for row in found:
        pages.setdefault(row.page_owner, []).append(row)  # type: ignore[attr-defined]
    return pages


def counts_of(owners: Sequence[int], rows: QuerySet[Any]) -> dict[int, int]:
    """How many rows each owner has."""
    try:
        text, parameters = rows.order_by().values("pk").query.sql_with_params()
    except EmptyResultSet:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT owner.id, count(*) FROM unnest(%s::bigint[]) owner(id) "  # noqa: S608  (Django's text)
            f"CROSS JOIN LATERAL ({text}) page GROUP BY owner.id",
            [list(owners), *parameters],
        )
        return dict(cursor.fetchall())


def _page(rows: QuerySet[Row], sort: Sort, page: Page) -> QuerySet[Row]:
    step, sign = ("lt", "-") if sort.descending else ("gt", "")
    rows = cast("QuerySet[Row]", rows.annotate(page_key=sort.expression))
    if page.after is not None:
        value, pk = page.after
        behind = Q(**{f"page_key__{step}": value}) | Q(**{"page_key": value, f"id__{step}": pk})
        rows = rows.filter(behind)
    return rows.order_by(f"{sign}page_key", f"{sign}id")[: page.first + 1]
