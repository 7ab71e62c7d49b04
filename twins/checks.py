"""What must be so before the twins start: said as Django checks, each a sentence with what to do.

The checks without a connection run with every command; those that ask the database run with `migrate` and
`check --database`, as Django's own do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections

from twins.conf import read_settings
from twins.exceptions import ConfigurationError

# name of the PostgreSQL setting, values that keep the promise, why
_DURABILITY = {
    "server_encoding": (("UTF8",), "names and units are Unicode: create the database with ENCODING 'UTF8'"),
    "fsync": (("on",), "an acknowledged reading must survive a power cut: set fsync = on in postgresql.conf"),
    "synchronous_commit": (
        ("on", "local", "remote_write", "remote_apply"),
        "an acknowledged reading must survive a crash: set synchronous_commit = on for this database and user",
    ),
}


@register(Tags.compatibility)
def check_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """The TWINS dict is complete and known, the database is PostgreSQL."""
    return [*_settings_errors(), *_engine_errors()]


@register(Tags.database)
def check_database(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """The database keeps what it acknowledges and knows every character."""
    return [error for alias in databases or () if _is_postgres(alias) for error in _durability_errors(alias)]


def _settings_errors() -> list[CheckMessage]:
    try:
        read_settings(getattr(django_settings, "TWINS", None))
    except ConfigurationError as error:
        return [Error(str(error), id="twins.E001")]
    return []


def _engine_errors() -> list[CheckMessage]:
    if _is_postgres("default"):
        return []
    return [
        Error(
            "The default database is not PostgreSQL: set its ENGINE to 'django.db.backends.postgresql' "
            "(PostgreSQL 15 to 18).",
            id="twins.E002",
        )
    ]


def _is_postgres(alias: str) -> bool:
    return connections[alias].vendor == "postgresql"


def _durability_errors(alias: str) -> list[CheckMessage]:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(_DURABILITY)])
        found = dict(cursor.fetchall())
    return [
        Error(f"The database {alias!r} has {name} = {found[name]}; {reason}.", id="twins.E003")
        for name, (good, reason) in _DURABILITY.items()
        if found[name] not in good
    ]
