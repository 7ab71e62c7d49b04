"""`create_token NAME --scope read`: make an API token and show it once; `--revoke` ends it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from twins.exceptions import TokenError
from twins.models.access import Scope
from twins.services.tokens import create_token, revoke_token


class Command(BaseCommand):
    help = "Make an API token and print it once on standard output; only its digest is stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what will use the token; unique")
        parser.add_argument(
            "--scope", action="append", choices=Scope.values, default=[], help="may be given repeatedly"
        )
        parser.add_argument("--user", help="name of the user whose rights it carries; without it those of its scopes")
        parser.add_argument("--revoke", action="store_true", help="end the token of this name instead")

    def handle(self, *, name: str, scope: list[str], user: str | None, revoke: bool, **_: Any) -> None:
        try:
            if revoke:
                revoke_token(name=name)
                self.stderr.write(f"The token {name!r} is revoked.")
                return
            token, plaintext = create_token(name=name, scopes=scope, user=self._user(user))
        except TokenError as error:
            raise CommandError(str(error)) from error
        self.stderr.write(f"Token {token.name!r} for {', '.join(token.scopes)}. It is shown this once:")
        self.stdout.write(plaintext)

    def _user(self, name: str | None) -> Any:
        if name is None:
            return None
        model = get_user_model()
        found = model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()
        if found is None:
            raise CommandError(f"There is no user {name!r}.")
        return found
