"""A request with an idempotency key is carried out once: its repeat gets the first answer, whatever was lost between.

The key is taken in the transaction of what is done, so both are there or neither; two who come at the same time with
one key wait for each other. A refusal keeps nothing, so the same key may be tried again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import orjson
from django.db import connection, transaction

from twins.exceptions import ConflictingKey
from twins.services.ingestion import check_names

KEPT = 30
"""Days for which a repeat is recognised."""


def once(*, sender: str, key: str | None, asked: Any, act: Callable[[], Any]) -> tuple[Any, bool]:
    """What `act` returns, which JSON can say, and whether it is an earlier answer to the same.

    Raises ReadingsError for a key that cannot be kept, ConflictingKey for one that was used for something else.
    """
    with transaction.atomic():
        if key is None:
            return act(), False
        check_names(sender, key)
        fingerprint = hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest()
        taken = _take(sender, key, fingerprint)
        if taken is None:
            return _first_answer(sender, key, fingerprint), True
        answer = act()
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE twins_keptanswer SET answer = %s WHERE id = %s", [orjson.dumps(answer).decode(), taken]
            )
        return answer, False


def _take(sender: str, key: str, fingerprint: str) -> int | None:
    """The id of the row that holds the key now, None when it was taken; waits for whoever is about to take it."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM twins_keptanswer WHERE answered_at < now() - make_interval(days => %s)", [KEPT])
        cursor.execute(
            "INSERT INTO twins_keptanswer (sender, key, fingerprint) VALUES (%s, %s, %s) "
            "ON CONFLICT (sender, key) DO NOTHING RETURNING id",
            [sender, key, fingerprint],
        )
        row = cursor.fetchone()
    return row[0] if row else None


def _first_answer(sender: str, key: str, fingerprint: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT fingerprint, answer::text FROM twins_keptanswer WHERE sender = %s AND key = %s", [sender, key]
        )
        known, answer = cursor.fetchone()
    if known != fingerprint:
        raise ConflictingKey(f"The key {key!r} was used for something else: send this under a new key.")
    return orjson.loads(answer)
