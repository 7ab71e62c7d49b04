"""Start-up checks: a database that would lose or garble what it acknowledged is refused by a sentence."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.db import connection

pytestmark = pytest.mark.django_db


def _found() -> list[str]:
    return [error.msg for error in run_checks(databases=["default"]) if (error.id or "").startswith("twins.")]


def test_the_database_of_the_tests_passes() -> None:
    assert _found() == []


def test_a_session_that_does_not_wait_for_the_disk_is_refused() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
    assert _found() == [
        "The database 'default' has synchronous_commit = off; an acknowledged reading must survive a crash: set "
        "synchronous_commit = on for this database and user."
    ]
