"""The embedded engines: durable, private, and back after a kill."""

import pytest
from django.db import connection


@pytest.mark.django_db
def test_the_database_is_utf8_and_durable() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_encoding'), current_setting('fsync'), lower('Ä')")
        assert cursor.fetchone() == ("UTF8", "on", "ä")
