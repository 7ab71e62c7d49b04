"""Thousands of ids as one parameter of a statement: psycopg and Django look at every element of a list."""

from __future__ import annotations

from collections.abc import Iterable


def integers(values: Iterable[int]) -> str:
    """The text of an array for `%s::int[]` or `%s::bigint[]`."""
    return "{" + ",".join(map(str, values)) + "}"
