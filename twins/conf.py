"""The settings: one dict `TWINS` in the host's settings, read into a frozen dataclass, unknown keys refused."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from twins.exceptions import ConfigurationError

_ORIGIN = re.compile(r"https?://(\*\.)?[\w.-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?")


@dataclass(frozen=True, kw_only=True)
class TwinsSettings:
    """What two users may disagree about."""

    REDIS_URL: str
    """Address of Redis or Valkey for live updates; nothing is kept there that PostgreSQL does not have."""
    LAKE: Path | str
    """Directory of the Parquet lake, or its place in an object store (s3://bucket/prefix); web server and workers must
    see the same one."""
    ROLLUP_DAYS: int | None = None
    """Days for which the minutes of readings that retention removed are kept; None: for ever."""
    KEY_PREFIX: str = "twins"
    """Start of every Redis key and channel, so that two installations can share one Redis."""
    INGEST_MAX_BYTES: int = 8 * 1024 * 1024
    """Largest body of one ingest request, in bytes."""
    INGEST_MAX_WAITING: int = 1024 * 1024 * 1024
    """Bytes that may wait for compaction; beyond, senders are asked to come again later."""
    INGEST_MAX_DELAY: int = 3600
    """Seconds that readings may wait for compaction; beyond, senders are asked to come again later."""
    QUERY_MAX_BYTES: int = 256 * 1024
    """Largest body of one GraphQL request, in bytes."""
    QUERY_SECONDS: float = 10
    """Longest that one SQL statement of a query may take, in seconds."""
    QUERY_RATE: float = 100
    """Queries a second of one token or user; ten seconds' worth may come at once."""
    ANSWER_MAX_BYTES: int = 32 * 1024 * 1024
    """Largest answer to one query, in bytes."""
    DOCUMENTS: str = "any"
    """"persisted": who may not read the schema executes persisted documents only. "any": what the limits allow."""
    ORIGINS: tuple[str, ...] = ()
    """Other origins whose scripts may use the API from a browser, as in CSRF_TRUSTED_ORIGINS; HTTP and WebSocket."""


def read_settings(values: Any) -> TwinsSettings:
    """Check a `TWINS` dict and freeze it; raises ConfigurationError with a sentence that says what to do."""
    if not isinstance(values, dict):
        raise ConfigurationError("The setting TWINS is missing: add TWINS = {'REDIS_URL': ..., 'LAKE': ...}.")
    known = {field.name: field for field in dataclasses.fields(TwinsSettings)}
    if unknown := sorted(set(values) - set(known)):
        raise ConfigurationError(
            f"TWINS has the unknown key {unknown[0]!r}: remove it or use one of {', '.join(sorted(known))}."
        )
    if not values.get("REDIS_URL"):
        raise ConfigurationError(
            "TWINS['REDIS_URL'] is missing: set it to the address of Redis or Valkey, redis://host:6379/0."
        )
    if not values.get("LAKE"):
        raise ConfigurationError("TWINS['LAKE'] is missing: set it to a directory that web server and workers share.")
    for name in ("INGEST_MAX_BYTES", "QUERY_MAX_BYTES", "QUERY_SECONDS", "QUERY_RATE", "ANSWER_MAX_BYTES"):
        value = values.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ConfigurationError(f"TWINS[{name!r}] is {value!r}: set it to a number above 0.")
    if values.get("DOCUMENTS", "any") not in ("any", "persisted"):
        raise ConfigurationError(f"TWINS['DOCUMENTS'] is {values['DOCUMENTS']!r}: set it to 'any' or 'persisted'.")
    origins = values.get("ORIGINS", ())
    for origin in [origins] if isinstance(origins, str) else origins:
        if isinstance(origins, str) or not _ORIGIN.fullmatch(str(origin)):
            raise ConfigurationError(
                f"TWINS['ORIGINS'] has {origin!r}: list origins such as 'https://app.example' or 'https://*.example'."
            )
    place = values["LAKE"]
    values = {**values, "ORIGINS": tuple(origins)}
    return TwinsSettings(**{**values, "LAKE": place if "://" in str(place) else Path(place)})


@cache
def settings() -> TwinsSettings:
    """The settings in force."""
    return read_settings(getattr(django_settings, "TWINS", None))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "TWINS":
        settings.cache_clear()


# Django's test tools change settings while the process runs.
setting_changed.connect(_forget)
