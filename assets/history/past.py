"""The register as it was: a query of today, in which every table of the register is replaced by its past.

`as_of(Asset, instant)` is a queryset like any other: filters, joins (`select_related`, `type__code`), orders and counts
run in SQL, over what the register said at that instant. The replacement is a common table expression of the table's own
name, which PostgreSQL looks up first; so it also works for statements that are not Django's (`past_tables`).
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, NoReturn, TypeVar

from django.db import connection
from django.db.models import Model, QuerySet
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLCompiler

from assets.exceptions import InvalidValue
from assets.models.history import Change, version_models

Row = TypeVar("Row", bound=Model)
_LOCK = "hashtextextended('twins_assets.history', 0)"


def as_of(model: type[Row], instant: datetime) -> QuerySet[Row]:
    """The rows of a table of the register as they were known at `instant` (aware), to be read only.

    Exactly what a transaction that began then could read; an instant to come gives what is known now. Rows are not
    cached apart from today's: what a row refers to is of the same instant only where it is joined (`select_related`).
    Raises InvalidValue for an instant without time zone, and for one before history was kept.
    """
    settle(instant)
    rows = model._default_manager.all()
    past: Any = type(f"Past{type(rows).__name__}", (_Past, type(rows)), {})
    query: Any = rows.query.chain(_PastQuery)
    return past(model=model, query=query.at(instant), using=rows.db)


def settle(instant: datetime) -> None:
    """Wait until no change can come any more that was made at `instant` or before; see `as_of` for what it raises."""
    if instant.tzinfo is None:
        raise InvalidValue(f"as of {instant.isoformat()}: no time zone; give an aware instant, for example in UTC.")
    with connection.cursor() as cursor:
        # Held for a moment only: the lock is a turnstile behind those that are committing.
        cursor.execute(f"SELECT pg_advisory_lock_shared({_LOCK}), pg_advisory_unlock_shared({_LOCK})")
        cursor.execute(
            f"SELECT made_at FROM (SELECT * FROM {Change._meta.db_table} ORDER BY id LIMIT 1) first"  # noqa: S608
            " WHERE source = 'baseline' AND made_at > %s",
            [instant],
        )
        if begun := cursor.fetchone():
            raise InvalidValue(f"as of {instant.isoformat()}: history is kept since {begun[0].isoformat()} only.")


def past_tables(statement: str, parameters: Any, instant: datetime) -> tuple[str, tuple[Any, ...]]:
    """The same SELECT, reading the tables of the register as they were at `instant`; call `settle` before."""
    used = [text for table, text in _pasts().items() if table in statement]
    if not used:
        return statement, tuple(parameters)
    return f"WITH {', '.join(used)} ({statement})", (*[instant, instant] * len(used), *parameters)


@cache
def _pasts() -> dict[str, str]:
    """For each table its rows at an instant: versions made by then, that no other made by then came after."""
    changes = Change._meta.db_table
    texts = {}
    for model, versions in version_models().items():
        columns = ", ".join(f'v."{field.column}"' for field in model._meta.local_concrete_fields)
        table = versions._meta.db_table
        # NOT MATERIALIZED: conditions of the query reach the indexes of the versions.
        texts[model._meta.db_table] = f"""
            "{model._meta.db_table}" AS NOT MATERIALIZED (
                SELECT {columns} FROM {table} v JOIN {changes} c ON c.id = v.change_id AND c.made_at <= %s
                WHERE NOT v.gone AND NOT EXISTS (
                    SELECT FROM {table} n JOIN {changes} d ON d.id = n.change_id AND d.made_at <= %s
                    WHERE n.id = v.id AND n.version > v.version))"""  # noqa: S608  (our own names)
    return texts


class _PastCompiler(SQLCompiler):
    query: _PastQuery

    def as_sql(self, *args: Any, **kwargs: Any) -> tuple[str, Any]:
        return past_tables(*super().as_sql(*args, **kwargs), self.query.instant)


class _PastQuery(Query):
    """Compiles to a statement about the past, as a query of its own and inside of another one."""

    instant: datetime

    def at(self, instant: datetime) -> _PastQuery:
        self.instant = instant
        return self

    def get_compiler(self, *args: Any, **kwargs: Any) -> SQLCompiler:
        compiler = super().get_compiler(*args, **kwargs)
        compiler.__class__ = _PastCompiler
        return compiler

    def chain(self, klass: Any = None) -> Any:
        if klass is not None and not issubclass(klass, _PastQuery):
            _refuse()
        return super().chain(klass)


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise TypeError("The past is read only, by one statement: join with select_related, and write through services.")


class _Past:
    """Takes from a queryset what would write, and what would read another instant."""

    create = update = delete = bulk_create = bulk_update = get_or_create = update_or_create = _refuse
    select_for_update = prefetch_related = _refuse
