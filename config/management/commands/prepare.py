"""Brings database and first accounts to where `up` needs them; prints what a newcomer must see once, as JSON."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils.crypto import get_random_string

from assets.groups import PLANNERS
from twins.exceptions import TokenError
from twins.models.access import Scope
from twins.services.tokens import create_token

PLANNER = "planner"


class Command(BaseCommand):
    help = "Migrate, check, and make the first account (what `up` does before it serves)"

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        call_command("check", databases=["default"], fail_level="ERROR", stdout=sys.stderr)
        self.stdout.write(json.dumps({"planner": PLANNER, **make_first_account(), "warnings": _warnings()}))


@transaction.atomic
def make_first_account() -> dict[str, str]:
    """The planner with a random password and a token, when there is no account yet; else nothing."""
    if User.objects.exists():
        return {}
    password = get_random_string(16)
    planner = User.objects.create_superuser(PLANNER, password=password)
    planner.groups.add(Group.objects.get_or_create(name=PLANNERS)[0])
    found: dict[str, str] = {"password": password}
    with suppress(TokenError):  # left from accounts that were deleted
        found["token"] = create_token(name="first steps", scopes=Scope.values, user=planner)[1]
    return found


def _warnings() -> list[str]:
    """What works less on this machine, a sentence each."""
    if sys.platform != "darwin":
        return []
    try:
        import xgboost  # noqa: F401
    except Exception:
        return ["Predictions are off: XGBoost needs OpenMP here (brew install libomp); everything else works."]
    return []
