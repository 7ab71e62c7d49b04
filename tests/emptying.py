"""What a test has committed goes when it ends: the tables that hold something are emptied.

Django's flush truncates every table and makes permissions and roles anew, half a second after each of hundreds of
tests. Here rows are deleted past all triggers; what is not ours stays as long as no test has touched it, and what our
migrations have made comes back.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

# A test that migrates back and forth makes sequences anew.
_PAST_THEM = sql.SQL(
    "SELECT setval(s, greatest(nextval(s), (SELECT max(id) FROM {1}))) FROM pg_get_serial_sequence({0}, 'id') s"
)

State = tuple[int, int | None]


def allow(superuser_url: str) -> None:
    """Let the role of the tests pass by triggers, which an ordinary role may not."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("GRANT SET ON PARAMETER session_replication_role TO twins")


def take_over() -> None:
    """From now on, after each test."""
    from django.db import connection
    from django.test import TransactionTestCase

    flush = TransactionTestCase._fixture_teardown
    kept, made = _not_ours(connection), _ours(connection)

    def empty(case: TransactionTestCase) -> None:
        nonlocal kept, made
        now = _states(connection)
        filled = [table for table, (rows, _) in now.items() if rows and table not in kept]
        if any(now[table] != state for table, state in kept.items()) or not _reset(connection, filled, made):
            flush(case)
            kept, made = _not_ours(connection), _ours(connection)

    TransactionTestCase._fixture_teardown = empty  # type: ignore[method-assign]


def _reset(connection: Any, filled: list[str], made: dict[str, bytes]) -> bool:
    """Whether the role may."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_parameter_privilege('session_replication_role', 'SET')")
        if not cursor.fetchone()[0]:
            return False
        cursor.execute("SET session_replication_role = replica")
        for table in filled:
            cursor.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        for table, rows in made.items():
            with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
                copy.write(rows)
            cursor.execute(_PAST_THEM.format(sql.Literal(table), sql.Identifier(table)))
        cursor.execute("SET session_replication_role = origin")
    return True


def _ours(connection: Any) -> dict[str, bytes]:
    """The rows of our filled tables, such as what planners may."""
    rows = {}
    with connection.cursor() as cursor:
        for table in (table for table, state in _states(connection).items() if state[0] and _is_ours(table)):
            with cursor.copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as copy:
                rows[table] = b"".join(copy)
    return rows


def _is_ours(table: str) -> bool:
    return table.startswith("twins_")


def _not_ours(connection: Any) -> dict[str, State]:
    """The filled tables of others: permissions, content types, groups."""
    return {table: state for table, state in _states(connection).items() if state[0] and not _is_ours(table)}


def _states(connection: Any) -> dict[str, State]:
    """Number of rows and the newest change of each table."""
    question = sql.SQL("SELECT {}, count(*), max(xmin::text::bigint) FROM {}")
    with connection.cursor() as cursor:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        cursor.execute(sql.SQL(" UNION ALL ").join(question.format(t, sql.Identifier(t)) for t in tables))
        return {table: (rows, newest) for table, rows, newest in cursor.fetchall()}
