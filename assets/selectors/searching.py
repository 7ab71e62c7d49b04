"""Finding rows by any part of what names them, upper and lower case alike, each column by its own index."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Final

from django.db.models import Model, Q, QuerySet

MOST_FOUND: Final = 1_000
"""Rows that are found by one field; who searches for what is everywhere has to say more."""
_LONG = 3
"""Characters from which on an index over trigrams finds a text inside of another."""


def matching(rows: QuerySet[Any], fields: Sequence[str], text: str) -> QuerySet[Any]:
    """Those of the rows that have each word of the text in one of the fields, `asset__tag` and the like among them.

    A text of one or two characters is looked for at the beginning only. Of each field the first `MOST_FOUND` rows by
    id count, so that a word that is everywhere is answered as fast as a rare one.
    """
    *words, longest = sorted(text.split(), key=len) or [""]
    if not longest:
        return rows
    how = "icontains" if len(longest) >= _LONG else "istartswith"
    # A union, because for alternatives in one condition no index is used as soon as they lie in two tables.
    found = []
    for field in fields:
        others = (_anywhere(rows.model, fields, word, beside=field) for word in words)
        having = reduce(QuerySet.filter, others, rows.order_by("pk").filter(**{f"{field}__{how}": longest}))
        found.append(having.values("pk")[:MOST_FOUND])
    return rows.filter(pk__in=reduce(lambda one, other: one.union(other), found))


def _anywhere(model: type[Model], fields: Sequence[str], word: str, *, beside: str) -> Q:
    """One of the fields has the word; asked of rows that have another one in `beside`, and nothing else is joined."""
    return reduce(lambda one, other: one | other, (_with(model, field, word, beside) for field in fields), Q())


def _with(model: type[Model], field: str, word: str, beside: str = "") -> Q:
    relation, _, rest = field.partition("__")
    if not rest or (_single(model, relation) and beside.startswith(f"{relation}__")):
        return Q((f"{field}__icontains", word))  # of the row itself, or of the one that is joined already
    if _single(model, relation):
        # The assets of a name are far fewer than the sensors of such assets.
        target: Any = model._meta.get_field(relation).related_model
        return Q((f"{relation}__in", target._default_manager.order_by().filter(_with(target, rest, word)).values("pk")))
    return Q(pk__in=model._default_manager.order_by().filter(**{f"{field}__icontains": word}).values("pk"))


def _single(model: type[Model], relation: str) -> bool:
    """Whether a row refers to one other row by it, and not many rows to this one."""
    return bool(model._meta.get_field(relation).concrete)
