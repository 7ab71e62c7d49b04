"""API tokens: made once, shown once, known afterwards only by their digest."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from twins.exceptions import TokenError
from twins.models.access import ApiToken, Scope

PREFIX = "twins_"
"""Start of every token, so that scanners of leaked secrets can know it."""

_LENGTH = len(PREFIX) + 43  # 256 bits in base64url


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
