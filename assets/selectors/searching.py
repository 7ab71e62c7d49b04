"""Finding rows by any part of what names them, upper and lower case alike, each column by its own index.

`matching` is a condition, for a statement that goes on with it. `keys_matching` asks by itself, and so may look first:
an ordered, bounded search through an index is a guess of the database about how soon it meets rows that both have the
words and are seen. Where few are seen of many that have them it reads half the table in vain.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Final

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Model, Q, QuerySet, Value

MOST_FOUND: Final = 1_000
"""Rows that are found by one field; who searches for what is everywhere has to say more."""
FEW: Final = 100_000
"""So many rows are looked at one by one (some 200 ms) rather than guessed about."""
_LONG = 3
"""Characters from which on an index over trigrams finds a text inside of another."""


def matching(rows: QuerySet[Any], fields: Sequence[str], text: str) -> QuerySet[Any]:
    """Those of the rows that have each word of the text in one of the fields, `asset__tag` and the like among them.

    A text of one or two characters is looked for at the beginning only. Of each field the first `MOST_FOUND` rows by
    id count, so that a word that is everywhere is answered as fast as a rare one.
    """
    *words, longest = _words(text)
    if not longest:
        return rows
    # A union, because for alternatives in one condition no index is used as soon as they lie in two tables.
    found = []
    for field in fields:
        others = (_anywhere(rows.model, fields, word, beside=field) for word in words)
        having = reduce(QuerySet.filter, others, rows.order_by("pk").filter(_has(field, longest)))
        found.append(having.values("pk")[:MOST_FOUND])
    return rows.filter(pk__in=reduce(lambda one, other: one.union(other), found))


def keys_matching(rows: QuerySet[Any], fields: Sequence[str], text: str, *, few: int = 0) -> list[Any]:
    """The ids of the rows that `matching` finds, in no order, in one statement; with `few` in up to four.

    `few`: the rows are a part of a table, lying anywhere in it. First those with a rare word are looked at; when no
    word is rare, the part, if it has at most so many rows. All other searches are left to the indexes.
    """
    if few and all(_single(rows.model, field.partition("__")[0]) for field in fields):
        rare = _rare(rows.model, fields, text)
        if rare is not None:
            return _looked_through(rows.filter(pk__in=rare), fields, text)
        # The whole table first, which is counted at once, while what is seen of it may not be.
        if any(each.order_by()[: few + 1].count() <= few for each in (rows.model._default_manager.all(), rows)):
            return _looked_through(rows, fields, text)
    return list(matching(rows, fields, text).order_by().values_list("pk", flat=True))


def _rare(model: type[Model], fields: Sequence[str], text: str) -> set[Any] | None:
    """All rows of the table that have the longest word in one of the fields; None if one of them finds too many."""
    longest = _words(text)[-1]
    having = (model._default_manager.order_by().filter(_has(field, longest)) for field in fields)
    found = [
        each.annotate(by=Value(number)).values_list("by", "pk")[: MOST_FOUND + 1] for number, each in enumerate(having)
    ]
    keys: list[set[Any]] = [set() for _ in fields]
    for number, key in found[0].union(*found[1:], all=True):
        keys[number].add(key)
    return None if any(len(each) > MOST_FOUND for each in keys) else set().union(*keys)


def _looked_through(rows: QuerySet[Any], fields: Sequence[str], text: str) -> list[Any]:
    """As `matching`, reading each of the rows once: what an aggregate counts in moves no plan."""
    *words, longest = _words(text)
    others = (reduce(Q.__or__, (Q((f"{field}__icontains", word)) for field in fields)) for word in words)
    beside = reduce(Q.__and__, others, Q())
    counted = {
        f"found_{number}": ArrayAgg("pk", filter=_has(field, longest) & beside, order_by="pk", default=[])
        for number, field in enumerate(fields)
    }
    found = rows.aggregate(**counted)
    return list({key for keys in found.values() for key in keys[:MOST_FOUND]})


def _words(text: str) -> list[str]:
    """The longest, by which an index finds most, last."""
    return sorted(text.split(), key=len) or [""]


def _has(field: str, word: str) -> Q:
    return Q((f"{field}__icontains" if len(word) >= _LONG else f"{field}__istartswith", word))


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
