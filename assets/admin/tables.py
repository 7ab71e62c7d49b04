"""Small tables on a page: rows that are read there and not filled in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.template.loader import render_to_string
from django.utils.safestring import SafeString


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> SafeString | str:
    """A small table, or a dash where there is nothing."""
    cells = list(rows)
    return render_to_string("assets/admin/table.html", {"columns": columns, "rows": cells}) if cells else "-"
