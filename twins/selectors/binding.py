"""Cursors whose parameters travel beside the statement, which PostgreSQL then plans once a connection.

Django's own kind writes them into the statement, which is planned each time, and a body in twice as many hexadecimal
digits.
"""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.pq import Format


class _Unprepared(psycopg.Cursor[Any]):
    """For a statement whose plan depends on the values of its parameters."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        return super().execute(query, params, prepare=False)


def binding_cursor(*, prepared: bool = True, binary: bool = False) -> Any:
    """A cursor of the connection in force.

    `prepared`: a statement that comes again is not planned again; `binary`: what is found comes without being written
    as text, which is worth it for bytes.
    """
    wrapper: Any = connections[DEFAULT_DB_ALIAS]
    wrapper.close_if_health_check_failed()
    wrapper.ensure_connection()
    line = wrapper.connection
    # By this setting Django learns of a pooler that hands connections on, and with them not what was planned.
    if not wrapper.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        line.prepare_threshold = 1
    cursor = psycopg.Cursor(line) if prepared else _Unprepared(line)
    cursor.format = Format.BINARY if binary else Format.TEXT
    return wrapper._prepare_cursor(cursor)
