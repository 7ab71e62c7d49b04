"""Who asks: a user or an API token, what it may do, and which assets it may see.

Scopes say what kind of request is answered, the rights of `assets.permissions` on which rows. A token carries the
rights of its user; one without a user has no grants, and its scopes alone decide. `visible_assets` is where every root,
every loader and every compiled plan takes its predicate from. Whoever only sends readings has no rows to be shown, so
rights are looked up (`with_rights`) where something is read or changed and not with every request.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple, Self

from django.db.models import Q

from assets.compiling import Compiled
from assets.permissions import NO_RIGHTS, Action, Rights, rights_of, standing_rights
from twins.exceptions import AccessDenied
from twins.models.access import ApiToken, Scope
from twins.models.health import PLACED
from twins.services.tokens import REMEMBERED, Memory, authenticate_token, standing

_MOST_TOPS = 8


class Places(NamedTuple):
    """The few subtrees that somebody sees: their tops, side by side, all of them so many steps from the root."""

    depth: int
    tops: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Whoever is behind a request. `user` is the host's user model, `token` is None in a browser session."""

    user: Any = None
    token: ApiToken | None = None
    scopes: frozenset[str] = frozenset()
    rights: Rights = NO_RIGHTS
    proof: Compiled | None = field(default=None, compare=False)
    """Of one that is remembered: the condition, for the statement that reads for it, that it is still so."""

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

    def with_rights(self) -> Self:
        """The same principal with its rights as they are now, in one statement."""
        alone = self.user is None and self.token is not None
        return replace(self, rights=Rights.all() if alone else rights_of(self.user))

    def _with_proof(self) -> Self:
        assert self.token is not None
        rights = standing_rights(self.user, self.rights)
        if rights is None:
            return self
        token, given = standing(self.token, with_user=False)  # whose rights are asked for besides
        return replace(self, proof=(f"EXISTS ({token}) AND {rights[0]}", (*given, *rights[1])))


def token_principal(plaintext: str) -> Principal | None:
    """Whoever a token stands for, None for one that is not known or stands no more."""
    token = authenticate_token(plaintext=plaintext)
    return None if token is None else Principal.of_token(token)


_senders = Memory(token_principal, seconds=REMEMBERED)


def remembered_sender(plaintext: str) -> Principal | None:
    """The same as it was REMEMBERED seconds ago at most.

    The token may have been revoked meanwhile: whoever goes by it puts `standing` into the statement that acts for it.
    """
    return _senders.get(plaintext)


def forget_senders() -> None:
    """Look every token up again."""
    _senders.forget()


def _reader(plaintext: str) -> Principal | None:
    found = token_principal(plaintext)
    return None if found is None or found.is_anonymous else found.with_rights()._with_proof()


# Long, because what is proven each time needs no end.
_readers = Memory(_reader, seconds=3600, keeps=lambda principal: principal.proof is not None)


def remembered_reader(plaintext: str) -> Principal | None:
    """The same with its rights: as they were when it was looked up, where it has a `proof`, else as they are.

    Whoever goes by it puts the proof into each statement that reads for it.
    """
    return _readers.get(plaintext)


def forget_readers() -> None:
    """Look every token and its rights up again."""
    _readers.forget()


def visible_assets(principal: Principal) -> Q:
    """The predicate on Asset of everything the principal may read; raises AccessDenied without the scope read."""
    if not principal.may(Scope.READ):
        raise AccessDenied("Reading twins needs the scope 'read': sign in, or use a token that was created with it.")
    return _visible_assets(principal.rights)


@lru_cache(maxsize=1024)
def _visible_assets(rights: Rights) -> Q:
    return rights.reach(Action.VIEW).assets()


def places(principal: Principal) -> Places | None:
    """Where all that the principal sees lies, if that is near the root, in few places, and proven by each statement."""
    return None if principal.proof is None else _places(principal.rights)


@lru_cache(maxsize=1024)
def _places(rights: Rights) -> Places | None:
    paths = rights.reach(Action.VIEW).outermost()
    depths = {len(path) for path in paths}
    if len(depths) != 1 or len(paths) > _MOST_TOPS or max(depths) > PLACED:
        return None
    return Places(depths.pop(), tuple(path[-1] for path in paths))
