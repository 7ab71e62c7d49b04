"""Statements whose parameters travel beside them, so that PostgreSQL plans each once a connection.

Django's own cursors write them into the statement, which is planned each time, and a body in twice as many hexadecimal
digits.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Generator, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, Format, TransactionStatus

Value = int | float | str | bytes | datetime | None
Rows = list[tuple[Any, ...]]
Calls = Generator[tuple[Any, ...], Any, Rows]
"""Calls of libpq, their names and arguments, each of which is answered with its result; in the end the rows."""
_WHOLE_NUMBERS = frozenset({20, 21, 23})
"""Types of PostgreSQL, by their numbers in its catalogue."""
_FORGOTTEN = b"26000"
"""SQLSTATE of a prepared statement that does not exist: a pooler, or psycopg itself, has let go of it."""
_HOLDER = re.compile("%[sb%]")
_MOST_PREPARED = 100
"""Statements that a connection keeps; PostgreSQL holds the plan of each."""


class _Unprepared(psycopg.Cursor[Any]):
    """For a statement whose plan depends on the values of its parameters."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        return super().execute(query, params, prepare=False)


def binding_cursor(*, prepared: bool = True, binary: bool = False) -> Any:
    """A cursor of the connection in force.

    `prepared`: a statement that comes again is not planned again; `binary`: what is found comes without being written
    as text, which is worth it for bytes.
    """
    wrapper = _connected()
    line = wrapper.connection
    if not _is_pooled(wrapper):
        line.prepare_threshold = 1
    cursor = psycopg.Cursor(line) if prepared else _Unprepared(line)
    cursor.format = Format.BINARY if binary else Format.TEXT
    return wrapper._prepare_cursor(cursor)


def _connected() -> Any:
    wrapper: Any = connections[DEFAULT_DB_ALIAS]
    wrapper.close_if_health_check_failed()
    wrapper.ensure_connection()
    return wrapper


def _is_pooled(wrapper: Any) -> bool:
    """By this setting Django learns of a pooler that hands connections on, and with them not what was planned."""
    return bool(wrapper.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"))


def bound_rows(statement: str, values: Sequence[Value], sent: Sequence[bytes | None] | None = None) -> Rows:
    """The rows, of whole numbers and texts, that a statement finds with values for its %s and, of bytes, its %b.

    One that is a transaction by itself, with nobody listening in, is one call of libpq: to go through the cursors of
    Django and psycopg with many values takes as long as the database does. `sent` is what `as_sent` made of the values.
    """
    wrapper = _connected()
    line = wrapper.connection
    alone = wrapper.get_autocommit() and line.pgconn.transaction_status == TransactionStatus.IDLE
    if not alone or _is_pooled(wrapper) or wrapper.execute_wrappers or wrapper.queries_logged:
        with binding_cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())
    with wrapper.wrap_database_errors:
        return _asked(line, statement, as_sent(values) if sent is None else sent)


def _asked(line: Any, statement: str, values: Sequence[bytes | None]) -> Rows:
    calls, result = calls_of(line, statement, values), None
    try:
        while True:
            name, *given = calls.send(result)
            result = getattr(line.pgconn, name)(*given)
    except StopIteration as end:
        return end.value


_prepared: WeakKeyDictionary[Any, OrderedDict[str, bytes]] = WeakKeyDictionary()
"""Names of prepared statements, by connection; what was not asked for longest goes first."""
_numbers = count()


def calls_of(line: Any, statement: str, values: Sequence[bytes | None]) -> Calls:
    """What is asked of libpq for the rows of a statement, by a thread that blocks or by whoever waits otherwise.

    Raises the errors that a cursor of psycopg raises.
    """
    text, formats = _numbered(statement)
    names = _prepared.setdefault(line, OrderedDict())
    name = names.get(statement)
    if name is not None:
        names.move_to_end(statement)
        result = yield "exec_prepared", name, values, formats
        if result.status == ExecStatus.TUPLES_OK or result.error_field(DiagnosticField.SQLSTATE) != _FORGOTTEN:
            return _rows(_checked(line, result))
    name = name or b"twins_%d" % next(_numbers)
    _checked(line, (yield "prepare", name, text))
    names[statement] = name
    if len(names) > _MOST_PREPARED:
        yield "exec_", b"DEALLOCATE " + names.popitem(last=False)[1]
    return _rows(_checked(line, (yield "exec_prepared", name, values, formats)))


@lru_cache(maxsize=256)
def _numbered(statement: str) -> tuple[bytes, list[Format]]:
    """The statement as PostgreSQL reads it, and whether each of its values is text or bytes."""
    formats: list[Format] = []

    def number(holder: re.Match[str]) -> str:
        if holder[0] == "%%":
            return "%"
        formats.append(Format.BINARY if holder[0] == "%b" else Format.TEXT)
        return f"${len(formats)}"

    return _HOLDER.sub(number, statement).encode(), formats


def as_sent(values: Sequence[Value]) -> Sequence[bytes | None]:
    """The values as they travel; raises psycopg.DataError for what PostgreSQL cannot keep."""
    # Most are whole numbers, for which a call would take longer than to write them.
    return [
        value if value is None or type(value) is bytes else b"%d" % value if type(value) is int else _sent(value)
        for value in values
    ]


def _sent(value: Value) -> bytes:
    text = value.isoformat() if isinstance(value, datetime) else str(value)
    if "\x00" in text:
        raise psycopg.DataError("PostgreSQL keeps no text with a NUL character.")
    return text.encode()


def _checked(line: Any, result: Any) -> Any:
    if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return result
    if line.pgconn.status == ConnStatus.BAD:
        raise psycopg.OperationalError(result.get_error_message())
    raise error_from_result(result, line.info.encoding)


def _rows(result: Any) -> Rows:
    reads = [int if result.ftype(column) in _WHOLE_NUMBERS else bytes.decode for column in range(result.nfields)]
    value = result.get_value
    return [
        tuple([None if (found := value(row, column)) is None else read(found) for column, read in enumerate(reads)])
        for row in range(result.ntuples)
    ]
