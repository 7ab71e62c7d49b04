"""A statement with its values beside it finds the same, and fails the same, in one call of libpq as by a cursor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from twins.selectors import binding
from twins.selectors.binding import bound_rows

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 5, 1, 12, 0, 0, 1, tzinfo=UTC)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that went by one call of libpq."""
    made: list[str] = []
    plain = binding._asked

    def counted(line: Any, statement: str, values: Any) -> Any:
        made.append(statement)
        return plain(line, statement, values)

    monkeypatch.setattr(binding, "_asked", counted)
    return made


@pytest.fixture
def table() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bound (name text PRIMARY KEY, size int, body bytea, at timestamptz)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE bound")


INSERT = "INSERT INTO bound VALUES (%s::text, %s::int, %b::bytea, %s::timestamptz) RETURNING name, size, at::text"
READ = "SELECT encode(body, 'hex'), size, name, 7::bigint FROM bound WHERE size IS NOT DISTINCT FROM %s::int"
WAYS: list[Callable[[], AbstractContextManager[Any]]] = [nullcontext, transaction.atomic]


@pytest.mark.parametrize(("way", "at_once"), list(zip(WAYS, (3, 0), strict=True)), ids=["alone", "in a transaction"])
def test_numbers_texts_bytes_times_and_nothing_go_and_come(
    table: None, calls: list[str], way: Any, at_once: int
) -> None:
    with way():
        assert bound_rows(INSERT, ["Öl", -5, b"\x00\xff", NOON]) == [("Öl", -5, "2026-05-01 12:00:00.000001+00")]
        assert bound_rows(INSERT, ["", None, b"", None]) == [("", None, None)]
        found = bound_rows(READ, [-5])
    assert found == [("00ff", -5, "Öl", 7)]
    assert len(calls) == at_once


@pytest.mark.parametrize("way", WAYS, ids=["alone", "in a transaction"])
def test_an_error_is_djangos_and_changes_nothing(table: None, way: Any) -> None:
    bound_rows(INSERT, ["a", 1, b"", NOON])
    with pytest.raises(IntegrityError, match="bound_pkey"), way():
        bound_rows(INSERT, ["a", 2, b"", NOON])
    with pytest.raises(DataError, match="NUL"), way():
        bound_rows(INSERT, ["a\x00b", 2, b"", NOON])
    with pytest.raises(DataError, match="out of range"), way():
        bound_rows(INSERT, ["b", 2**40, b"", NOON])
    assert bound_rows("SELECT name, size FROM bound", []) == [("a", 1)]


def test_a_statement_that_the_server_forgot_is_prepared_again(table: None, calls: list[str]) -> None:
    for number in range(3):
        bound_rows(INSERT, [f"n{number}", number, b"", NOON])
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")
    assert bound_rows("SELECT count(*) FROM bound", []) == [(3,)]
    assert len(calls) == 4


def test_a_connection_keeps_the_statements_that_are_asked_for(table: None, calls: list[str]) -> None:
    kept = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'twins!_%%' ESCAPE %s"
    for number in range(2 * binding._MOST_PREPARED):
        assert bound_rows(f"SELECT '{number}%%', %s::int", [number]) == [(f"{number}%", number)]
        assert bound_rows(kept, ["!"])[0][0] <= binding._MOST_PREPARED
    assert bound_rows(kept, ["!"]) == [(binding._MOST_PREPARED,)]
    assert bound_rows("SELECT '0%%', %s::int", [7]) == [("0%", 7)]


def test_a_connection_that_was_ended_is_an_operational_error_and_the_next_one_works(table: None) -> None:
    bound_rows(INSERT, ["a", 1, b"", NOON])
    [(pid,)] = bound_rows("SELECT pg_backend_pid()", [])
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    other.close()

    with pytest.raises(OperationalError):
        bound_rows(INSERT, ["b", 1, b"", NOON])
    assert connection.errors_occurred
    connection.close()
    assert bound_rows(INSERT, ["b", 1, b"", NOON]) == [("b", 1, "2026-05-01 12:00:00.000001+00")]


def test_who_listens_in_hears_it_and_a_pooler_is_asked_nothing_by_name(
    table: None, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with CaptureQueriesContext(connection) as heard:
        bound_rows(INSERT, ["a", 1, b"", NOON])
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    bound_rows(INSERT, ["b", 1, b"", NOON])

    assert [query["sql"].startswith("INSERT INTO bound") for query in heard] == [True]
    assert calls == []
