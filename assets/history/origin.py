"""Where a change comes from: said once at a door, carried by the context of the call, told to the database by services.

A door (an admin page, a GraphQL request, a command, a task) says `with origin(source="admin", user=request.user):`.
The value lives in a context variable, so it follows `await` and `sync_to_async` and is never another request's.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.db import connection

_PLAUSIBLE = re.compile(r"[\w.:=+/-]{1,64}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Who is behind a change, through which door, in which request and why."""

    source: str = "service"
    user_id: Any = None
    actor: str = ""
    request: str = ""
    reason: str = ""


_NOBODY = Origin()
_current: ContextVar[Origin] = ContextVar("twins_assets_origin", default=_NOBODY)
_announced: ContextVar[bool] = ContextVar("twins_assets_announced", default=False)


@contextmanager
def origin(
    *, source: str = "", user: Any = None, actor: str = "", request: str = "", reason: str = ""
) -> Iterator[Origin]:
    """What the services called inside of it tell the history; what is left out stays as an outer one said it."""
    said = {"source": source[:32], "actor": actor[:200], "request": request[:64], "reason": reason[:500]}
    given = {name: value.replace("\x00", "") for name, value in said.items() if value}
    token = _current.set(replace(_by(_current.get(), user), **given))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


def request_id(headers: Mapping[str, str]) -> str:
    """The id a proxy gave to the request, if it is one, else a new one."""
    given = headers.get("X-Request-ID", "")
    return given if _PLAUSIBLE.fullmatch(given) else uuid.uuid4().hex


@contextmanager
def announced(actor: Any) -> Iterator[None]:
    """Tell the running transaction its origin, once for a service and those it calls; `actor` is the user behind it."""
    if _announced.get():
        yield
        return
    token = _announced.set(True)
    try:
        _announce(_by(_current.get(), actor))
        yield
    finally:
        _announced.reset(token)


def _by(known: Origin, user: Any) -> Origin:
    if user is None or getattr(user, "pk", None) is None:
        return known
    name = known.actor if known.user_id == user.pk and known.actor else user.get_username()
    return replace(known, user_id=user.pk, actor=name[:200])


def _announce(known: Origin) -> None:
    said = {name: value for name, value in asdict(known).items() if value not in (None, "")}
    text = json.dumps(said, sort_keys=True, default=str)
    with connection.cursor() as cursor:
        # The same origin goes on in the same change of a transaction, another one begins another.
        cursor.execute(
            """SELECT set_config('twins_assets.change', CASE WHEN current_setting('twins_assets.origin', true) = %s
                      THEN coalesce(current_setting('twins_assets.change', true), '') ELSE '' END, true),
                      set_config('twins_assets.origin', %s, true)""",
            [text, text],
        )
