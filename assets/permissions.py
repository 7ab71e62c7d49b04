"""Who may keep the register: the group of maintenance planners, made with its rights when the tables are.

Rights are given once for each table. What an administrator changes afterwards stays, unless every right on a table is
taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.db import router

PLANNERS = "Planners"


def let_planners_keep(sender: AppConfig, *, using: str, **_: Any) -> None:
    """Planners see, add and change the rows of an app; connect it to `post_migrate` of that app."""
    _grant(sender, using, ("view", "add", "change"))


def let_planners_view(sender: AppConfig, *, using: str, **_: Any) -> None:
    """Planners see the rows of an app; connect it to `post_migrate` of that app."""
    _grant(sender, using, ("view",))


def _grant(sender: AppConfig, using: str, verbs: Sequence[str]) -> None:
    if not apps.is_installed("django.contrib.auth"):
        return
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group, Permission

    if not router.allow_migrate_model(using, Group):
        return
    # The host may list the apps before django.contrib.auth, whose own handler would then come too late.
    create_permissions(sender, verbosity=0, using=using)
    group, _ = Group.objects.using(using).get_or_create(name=PLANNERS)
    codenames = [f"{verb}_{model._meta.model_name}" for verb in verbs for model in sender.get_models()]
    missing = Permission.objects.using(using).filter(content_type__app_label=sender.label, codename__in=codenames)
    held = group.permissions.values("content_type")
    group.permissions.add(*missing.exclude(content_type__in=held))
