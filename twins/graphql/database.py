"""How resolvers read: in the thread of the connection, and no statement longer than QUERY_SECONDS.

The bound travels with each statement (`SET LOCAL`, good for the implicit transaction of one message), so that it costs
no round trip, needs no transaction, and leaves nothing behind on a connection that a pool lends to somebody else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import psycopg
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection, transaction

from twins.conf import settings
from twins.exceptions import QueryTooSlow
from twins.selectors.spent import statements_counted

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
    limit = _limit()

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


def _in_transaction(change: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_limit())
        return change(*args, **kwargs)


@contextmanager
def statement_cursor(*, prepared: bool) -> Iterator[Any]:
    """A cursor for a statement of a plan with named parameters."""
    with connection.cursor() as cursor:
        yield cursor


def _limit() -> str:
    return f"SET LOCAL statement_timeout = {int(settings().QUERY_SECONDS * 1000)}"
