"""Databases that a test makes beside the suite's own."""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg import sql


def drop_database(admin: psycopg.Connection[Any], name: str) -> None:
    """With whoever is in it; autovacuum, which an ordinary role may not end, leaves by itself."""
    statement = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
    for _ in range(50):
        try:
            admin.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            time.sleep(0.2)
        else:
            return
    admin.execute(statement)
