"""API tokens: made once, shown once, known afterwards only by their digest."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Generic, TypeVar

from django.contrib.auth import get_user_model
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connection, connections, transaction
from django.utils import timezone

from twins.exceptions import TokenError
from twins.models.access import ApiToken, Scope

PREFIX = "twins_"
"""Start of every token, so that scanners of leaked secrets can know it."""

REMEMBERED = 5.0
"""Seconds that a token is remembered for those who ask again whether it stands."""

Found = TypeVar("Found")
_LENGTH = len(PREFIX) + 43  # 256 bits in base64url
_MOST_REMEMBERED = 10_000


def create_token(*, name: str, scopes: Iterable[str], user: Any = None) -> tuple[ApiToken, str]:
    """A new token and its plain text, which is kept nowhere; raises TokenError for a scope or name that cannot be."""
    wanted = list(dict.fromkeys(str(scope) for scope in scopes))
    if unknown := sorted(set(wanted) - set(Scope.values)):
        raise TokenError(f"The scope {unknown[0]!r} does not exist: use {', '.join(Scope.values)}.")
    if not wanted:
        raise TokenError(f"A token needs a scope: name at least one of {', '.join(Scope.values)}.")
    if not name.strip() or len(name) > 100:
        raise TokenError("The name of a token has 1 to 100 characters: say what will use it.")
    plaintext = PREFIX + secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            token = ApiToken.objects.create(name=name, digest=_digest(plaintext), scopes=wanted, user=user)
    except IntegrityError as error:
        raise TokenError(f"A token named {name!r} exists: choose another name.") from error
    return token, plaintext


def authenticate_token(*, plaintext: str) -> ApiToken | None:
    """The token with this plain text, or None when there is none, it was revoked or its user was deactivated."""
    if len(plaintext) != _LENGTH or not plaintext.startswith(PREFIX):
        return None
    # Looked up by digest: how long the index search takes says nothing about the token.
    found = ApiToken.objects.select_related("user").filter(digest=_digest(plaintext), revoked_at__isnull=True).first()
    return found if found and (found.user is None or found.user.is_active) else None


class Memory(Generic[Found]):
    """What was looked up by the plain text of a token, in one database, so many seconds ago at most."""

    def __init__(
        self, look_up: Callable[[str], Found | None], seconds: float, keeps: Callable[[Found], bool] = bool
    ) -> None:
        self._look_up, self._seconds, self._keeps = look_up, seconds, keeps
        self._found: OrderedDict[tuple[str, str], tuple[float, Found]] = OrderedDict()

    def get(self, plaintext: str) -> Found | None:
        name, now = (str(connections.settings[DEFAULT_DB_ALIAS]["NAME"]), _digest(plaintext)), time.monotonic()
        until, found = self._found.get(name, (0.0, None))
        if now > until:
            found = self._look_up(plaintext)
            if found is not None and self._keeps(found):
                self._found[name] = now + self._seconds, found
            while len(self._found) > _MOST_REMEMBERED:
                self._found.popitem(last=False)
        return found

    def forget(self) -> None:
        self._found = OrderedDict()


def standing(token: ApiToken, *, with_user: bool = True) -> tuple[str, tuple[Any, ...]]:
    """A SELECT, with its parameters, that finds a row as long as the token is what it was when it was looked up.

    `with_user`: and its user is active, which may have been asked already.
    """
    return _standing(with_user), (token.pk, token.name, ",".join(token.scopes), token.user_id)


@cache
def _standing(with_user: bool) -> str:
    if not with_user:
        return _STANDING
    users = get_user_model()._meta
    table, key = (connection.ops.quote_name(str(name)) for name in (users.db_table, users.pk.column))
    # A host's user model may have it as an attribute instead of a column.
    active = " AND owner.is_active" if any(field.column == "is_active" for field in users.fields) else ""
    return _STANDING + _ACTIVE.format(table=table, key=key, active=active)


_STANDING = """
SELECT token.id FROM twins_apitoken token WHERE token.id = %s AND token.revoked_at IS NULL AND token.name = %s
AND array_to_string(token.scopes, ',') = %s AND token.user_id IS NOT DISTINCT FROM %s
"""
_ACTIVE = "AND (token.user_id IS NULL OR EXISTS (SELECT FROM {table} owner WHERE owner.{key} = token.user_id{active}))"


def still_stands(token: ApiToken) -> bool:
    """Whether the token is what it was when it was looked up."""
    with connection.cursor() as cursor:
        cursor.execute(*standing(token))
        return cursor.fetchone() is not None


def revoke_token(*, name: str) -> ApiToken:
    """End a token now; revoking twice keeps the first time. Raises TokenError when there is no such token."""
    with transaction.atomic():
        token = ApiToken.objects.select_for_update(of=("self",)).filter(name=name).first()
        if token is None:
            raise TokenError(f"There is no token named {name!r}.")
        if token.revoked_at is None:
            token.revoked_at = timezone.now()
            token.save(update_fields=["revoked_at"])
    return token


def _digest(plaintext: str) -> str:
    return hashlib.sha256(plaintext.encode()).hexdigest()
