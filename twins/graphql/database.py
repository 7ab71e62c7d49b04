"""How resolvers read: in the thread of the connection, and no statement longer than QUERY_SECONDS.

On a connection that belongs to a thread of ours the bound is one of the session. Elsewhere it travels with each
statement (`SET LOCAL`, good for the implicit transaction of one message), so that it costs no round trip, needs no
transaction, and leaves nothing behind on a connection that a pool lends to somebody else.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, ParamSpec, TypeVar

import psycopg
from asgiref.sync import sync_to_async
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, connections, transaction

from twins.conf import settings
from twins.exceptions import QueryTooSlow
from twins.http.alone import owns_connections
from twins.selectors.binding import Value, as_sent, binding_cursor, bound_rows
from twins.selectors.spent import statements_counted

_NAMED = re.compile(r"%%|%\((\w+)\)s")
_PLAIN = frozenset({str, float, datetime})
Given = ParamSpec("Given")
Found = TypeVar("Found")


def from_database(read: Callable[Given, Found]) -> Callable[Given, Awaitable[Found]]:
    """The read to be awaited; raises QueryTooSlow besides what the read raises."""
    return sync_to_async(bounded(read))


def in_transaction(change: Callable[Given, Found]) -> Callable[Given, Awaitable[Found]]:
    """The change to be awaited, in one transaction that bounds each of its statements; raises QueryTooSlow besides."""
    return sync_to_async(_translated(_in_transaction, change))


def bounded(read: Callable[Given, Found]) -> Callable[Given, Found]:
    """The read with the bound; raises QueryTooSlow besides what the read raises."""
    return _translated(_bounded, read)


def _translated(run: Callable[..., Found], read: Callable[Given, Found]) -> Callable[Given, Found]:
    def reading(*args: Given.args, **kwargs: Given.kwargs) -> Found:
        try:
            with statements_counted():
                return run(read, *args, **kwargs)
        except OperationalError as error:
            if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                raise
            seconds = settings().QUERY_SECONDS
            raise QueryTooSlow(f"The database did not answer in {seconds} s: ask for fewer rows or fields.") from error

    return reading


def _bounded(read: Callable[..., Found], *args: Any, **kwargs: Any) -> Found:
    if owns_connections():
        _bound_session()
        return read(*args, **kwargs)
    limit = _limit("SET LOCAL")

    def prefixed(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if many or not isinstance(context["cursor"].cursor, psycopg.ClientCursor):
            return execute(sql, params, many, context)
        result = execute(f"{limit}; {sql}", params, many, context)
        context["cursor"].nextset()
        return result

    if not connection.settings_dict["OPTIONS"].get("server_side_binding"):
        with connection.execute_wrapper(prefixed):
            return read(*args, **kwargs)
    # Parameters that the server binds go with one statement only.
    return _in_transaction(read, *args, **kwargs)


def _bound_session() -> None:
    """Bound every statement of a connection that is lent to nobody else, once for as long as it is kept."""
    wrapper: Any = connections[DEFAULT_DB_ALIAS]
    wrapper.close_if_health_check_failed()
    wrapper.ensure_connection()
    line, limit = wrapper.connection, _limit("SET")
    if getattr(_thread, "bound", None) != (line, limit):
        with wrapper.wrap_database_errors:
            line.execute(limit)
        # What is set in a transaction goes with it, should it be rolled back.
        _thread.bound = None if wrapper.in_atomic_block else (line, limit)


_thread = threading.local()


def _in_transaction(change: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_limit("SET LOCAL"))
        return change(*args, **kwargs)


class Statement:
    """The statement of a plan with what one run brings; its parameters have names.

    On a connection that is kept the server binds them, and what is `prepared` it plans once.
    """

    def __init__(self, text: str, parameters: Mapping[str, Any], *, prepared: bool) -> None:
        self._text, self._parameters, self._prepared = text, parameters, prepared

    def rows(self) -> list[tuple[Any, ...]]:
        """What it finds, as texts."""
        owns = owns_connections()
        if owns and self._bound is not None:
            return bound_rows(*self._bound)
        with binding_cursor(prepared=self._prepared) if owns else connection.cursor() as cursor:
            cursor.execute(self._text, self._parameters)
            return list(cursor.fetchall())

    @cached_property
    def _bound(self) -> tuple[str, Sequence[Value], Sequence[bytes | None]] | None:
        """With places in order, and the values as they are and as they travel, where texts say all of them."""
        if not self._prepared:
            return None
        text, names = _positional(self._text)
        values = [self._parameters[name] for name in names]
        return (text, values, as_sent(values)) if all(map(_is_plain, values)) else None


@lru_cache(maxsize=256)
def _positional(statement: str) -> tuple[str, tuple[str, ...]]:
    """The statement with a %s for each parameter, and the names of those in order."""
    names: list[str] = []

    def place(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%%"
        names.append(found[1])
        return "%s"

    return _NAMED.sub(place, statement), tuple(names)


def _is_plain(value: Any) -> bool:
    """Whether a text says the value, and PostgreSQL knows from the statement what it is."""
    return value is None or type(value) in _PLAIN or (type(value) is int and -(2**63) <= value < 2**63)


def _limit(how: str) -> str:
    return f"{how} statement_timeout = {int(settings().QUERY_SECONDS * 1000)}"
