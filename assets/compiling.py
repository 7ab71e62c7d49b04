"""What Django says about the rows of one table, as text for a statement written by hand that calls the table an alias.

So a rule has one text, the Django one, whoever asks. Nothing may be joined: other tables are asked in subqueries.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connections
from django.db.models import Model, Q
from django.db.models.sql import Query

Compiled = tuple[str, tuple[Any, ...]]
"""Text with placeholders, and its parameters in order."""


def condition_sql(model: type[Model], alias: str, condition: Q, *, using: str = "default") -> Compiled:
    """A condition; 'true' or 'false' where it depends on nothing. Raises ValueError for one that joins."""
    query = model._default_manager.filter(condition).query
    try:
        return _text(query, None, alias, using)
    except FullResultSet:
        return "true", ()
    except EmptyResultSet:
        return "false", ()


def expression_sql(model: type[Model], alias: str, expression: Any, *, using: str = "default") -> Compiled:
    """A value of a row. Raises ValueError for one that joins."""
    query = model._default_manager.annotate(compiled_value=expression).query
    return _text(query, "compiled_value", alias, using)


def _text(query: Query, annotation: str | None, alias: str, using: str) -> Compiled:
    """The annotation of this name, or what the query filters by."""
    query.change_aliases({query.get_initial_alias(): alias})
    if joined := [name for name, used in query.alias_refcount.items() if used and name != alias]:
        raise ValueError(f"{annotation or 'The condition'} joins {', '.join(joined)}: ask other tables in subqueries.")
    connection = connections[using]
    part: Any = query.where if annotation is None else query.annotations[annotation]
    text, parameters = query.get_compiler(connection=connection).compile(part)
    return text, tuple(parameters)
