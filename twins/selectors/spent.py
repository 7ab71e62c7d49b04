"""What reading takes, counted for whoever asks: statements of PostgreSQL and scans of the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.db import connection


@dataclass
class Spent:
    """Grows while it is counted."""

    statements: int = 0
    scans: int = 0


_counting: ContextVar[Spent | None] = ContextVar("spent", default=None)


@contextmanager
def counted(spent: Spent) -> Iterator[Spent]:
    """Count what is read inside, also by threads that were started with this context."""
    token = _counting.set(spent)
    try:
        yield spent
    finally:
        _counting.reset(token)


def statements_counted() -> AbstractContextManager[None]:
    """Count the statements of this thread's connection inside, where somebody asks."""
    return nullcontext() if _counting.get() is None else connection.execute_wrapper(_count)


def _count(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
    if spent := _counting.get():
        spent.statements += 1
    return execute(sql, params, many, context)


def scanned() -> None:
    """One more scan of the lake."""
    if spent := _counting.get():
        spent.scans += 1
