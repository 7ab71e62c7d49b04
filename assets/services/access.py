"""Who may do what where is itself part of the register: given and taken by whoever administers that part of it."""

from __future__ import annotations

from typing import Any

from assets.exceptions import InvalidValue
from assets.models import Asset, Grant
from assets.permissions import Action, require
from assets.services._checks import check_fields
from assets.services._locks import hold_rows
from assets.services._rules import all_or_nothing


def give_role(
    *, role: str, user: Any = None, group: Any = None, asset: Asset | None = None, actor: Any = None
) -> Grant:
    """Give a role to a user or a group in the subtree of `asset` (None: the whole register); returns the grant.

    Raises AlreadyExists when it is held there already, InvalidValue for a role that does not exist or for both or
    neither of user and group, NotAllowed when `actor` does not administer that part.
    """
    if (user is None) == (group is None):
        raise InvalidValue("A role is given either to a user or to a group: name one of them.")
    grant = Grant(role=role, user=user, group=group, asset=asset)
    with all_or_nothing(actor):
        check_fields([grant])
        require(actor, Action.ADMINISTER, [grant.asset_id])
        grant.save()
    return grant


def take_role(*, grant: Grant, actor: Any = None) -> None:
    """End a grant; raises NotAllowed when `actor` does not administer where it holds."""
    with all_or_nothing(actor):
        hold_rows(Grant, [grant.pk])
        require(actor, Action.ADMINISTER, Grant.objects.filter(pk=grant.pk).values_list("asset_id", flat=True))
        Grant.objects.filter(pk=grant.pk).delete()
