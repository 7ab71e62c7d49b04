"""What hangs on a row already, as a table to be read above the form that adds to it.

Django would make a form of each of these rows, which costs a hundred times what its text costs and is refused by the
thousand. None is changed there: each has a page of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final

from django.contrib.admin.options import InlineModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from assets.admin.saving import visible
from assets.admin.tables import table
from assets.admin.theme import StackedInline, TabularInline

_SHOWN: Final = 20


@dataclass(frozen=True)
class Standing:
    """The first rows, and where all of them are listed when there are more."""

    table: SafeString | str
    all: str = ""


class StandingInline(InlineModelAdmin):
    """New rows are filled in; those that stand are read, the first cell leading to their page."""

    template = "assets/admin/standing.html"
    extra = 0
    can_delete = False
    owner: ClassVar[str] = "asset"
    first: ClassVar[tuple[str, ...]] = ("-id",)
    joined: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[tuple[str, ...]] = ()

    def cells(self, row: Any) -> list[object]:
        """What the table says of a row, by column."""
        raise NotImplementedError

    def standing(self, request: HttpRequest, owner: Any) -> Standing:
        """The first rows of `owner` that the user may see, in one statement."""
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}"
        found = visible(request, self.model._default_manager.filter(**{self.owner: owner.pk}))
        rows = list(found.select_related(*self.joined).order_by(*self.first, "-id")[: _SHOWN + 1])
        shown = table(self.columns, [_linked(f"{name}_change", row, self.cells(row)) for row in rows[:_SHOWN]])
        everything = f"{reverse(f'{name}_changelist')}?{self.owner}__id__exact={owner.pk}"
        return Standing(shown, everything if len(rows) > _SHOWN else "")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).none()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class TabularStanding(StandingInline, TabularInline):
    """New rows side by side."""

    theme_template = TabularInline.template


class StackedStanding(StandingInline, StackedInline):
    """New rows with their fields one above the other, where there are too many for one line."""

    theme_template = StackedInline.template


class StandingRows:
    """Mix into the admin of a row with such inlines: their tables are read once its page is made."""

    def get_inline_formsets(self, request: HttpRequest, formsets: Any, inlines: Any, obj: Any = None) -> Any:
        shown = super().get_inline_formsets(request, formsets, inlines, obj)  # type: ignore[misc]
        for each in shown:
            each.standing = each.opts.standing(request, obj) if obj is not None and obj.pk else None
        return shown


def _linked(view: str, row: Any, cells: list[object]) -> list[object]:
    first = format_html('<a href="{}">{}</a>', reverse(view, args=[row.pk]), cells[0])
    return [first, *cells[1:]]
