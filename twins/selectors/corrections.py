"""What was overwritten: how far that is known, and which sensors must be watched again because of it."""

from __future__ import annotations

from django.db import connection


def newest_correction() -> int:
    """The id of the newest correction, 0 for none; taken before readings are scanned, which then hold all up to it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM twins_correction")
        return int(cursor.fetchone()[0])
