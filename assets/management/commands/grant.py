"""`grant ROLE --user NAME [--asset TAG]`: give a role in a subtree or in the whole register; `--take` ends it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management.base import BaseCommand, CommandError

from assets.exceptions import AssetsError
from assets.models import Asset, Grant, Role
from assets.services import give_role, take_role


class Command(BaseCommand):
    help = "Give a user or a group a role in the subtree of an asset, or without one in the whole register."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("role", choices=Role.values)
        who = parser.add_mutually_exclusive_group(required=True)
        who.add_argument("--user", help="name of the user")
        who.add_argument("--group", help="name of the group")
        parser.add_argument("--asset", help="tag of the top of the subtree; without it the whole register")
        parser.add_argument("--site", help="tag of the top of its tree, when trees share tags")
        parser.add_argument("--take", action="store_true", help="end the role instead")

    def handle(self, *, role: str, take: bool, **named: Any) -> None:
        users = get_user_model()
        user = _one(users._default_manager, "user", users.USERNAME_FIELD, named["user"])
        group = _one(Group.objects, "group", "name", named["group"])
        trees = Asset.objects.filter(root__tag=named["site"]) if named["site"] else Asset.objects
        asset = _one(trees, "asset", "tag", named["asset"])
        try:
            if take:
                held = Grant.objects.filter(role=role, user=user, group=group, asset=asset)
                take_role(grant=_one(held, "grant", "role", role))
            else:
                give_role(role=role, user=user, group=group, asset=asset)
        except AssetsError as error:
            raise CommandError(str(error)) from error


def _one(rows: Any, what: str, field: str, name: str | None) -> Any:
    if name is None:
        return None
    found = list(rows.filter(**{field: name})[:2])
    if not found:
        raise CommandError(f"There is no {what} {name!r}.")
    if len(found) > 1:
        raise CommandError(f"Several trees have an {what} {name!r}: name the tree with --site.")
    return found[0]
