"""Thousands of values as one parameter of a statement: psycopg and Django look at every element of a list."""

from __future__ import annotations

from collections.abc import Iterable


def integers(values: Iterable[int]) -> str:
    """The text of an array for `%s::int[]` or `%s::bigint[]`."""
    return _array(map(str, values))


def floats(values: Iterable[float]) -> str:
    """The text of an array for `%s::float8[]`, in which each number is told from every other."""
    return _array(map(repr, values))


def words(values: Iterable[str]) -> str:
    """The text of an array for `%s::text[]` of words of letters, digits and underscores."""
    return _array(values)


def _array(texts: Iterable[str]) -> str:
    return "{" + ",".join(texts) + "}"
