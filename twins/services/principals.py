"""Who asks: a user or an API token, what it may do, and which assets it may see.

`visible_assets` is the one place of row permission: every root, every loader and every compiled plan takes its
predicate from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from django.db.models import Q

from twins.exceptions import AccessDenied
from twins.models.access import Scope

if TYPE_CHECKING:
    from twins.models.access import ApiToken


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Whoever is behind a request. `user` is the host's user model, `token` is None in a browser session."""

    user: Any = None
    token: ApiToken | None = None
    scopes: frozenset[str] = frozenset()

    @classmethod
    def of_user(cls, user: Any) -> Self:
        """A user of a browser session: the active may read, staff may do everything else as well."""
        if not (user and user.is_authenticated and user.is_active):
            return cls()
        # A host's user model need not know staff.
        staff = getattr(user, "is_staff", False)
        return cls(user=user, scopes=frozenset(Scope.values if staff else [Scope.READ.value]))

    @classmethod
    def of_token(cls, token: ApiToken) -> Self:
        """The scopes of a token; none when the user whose rights it carries is no longer active."""
        if token.user is not None and not token.user.is_active:
            return cls()
        return cls(user=token.user, token=token, scopes=frozenset(token.scopes))

    @property
    def is_anonymous(self) -> bool:
        """Nobody is known: the transport answers 401."""
        return self.user is None and self.token is None

    def may(self, scope: str) -> bool:
        """Whether the scope is granted."""
        return str(scope) in self.scopes


def visible_assets(principal: Principal) -> Q:
    """The predicate on Asset of everything the principal may read; raises AccessDenied without the scope read."""
    if not principal.may(Scope.READ):
        raise AccessDenied("Reading twins needs the scope 'read': sign in, or use a token that was created with it.")
    return Q()
