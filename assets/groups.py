"""Who may keep the register: the group of maintenance planners, made with its rights when the tables are.

Django's rights on tables say which pages of the admin one may open, and are given once for each table; a grant of the
role planner says which rows, and is given when the group is made. What an administrator changes afterwards stays,
unless every right on a table is taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed
from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission
from django.db import router

from assets.models import Role

PLANNERS = "Planners"


def let_planners_keep(sender: AppConfig, *, using: str, apps: Apps = installed, **_: Any) -> None:
    """Planners see, add and change the rows of an app; connect it to `post_migrate` of that app."""
    _let(sender, using, apps, ("view", "add", "change"))


def let_planners_view(sender: AppConfig, *, using: str, apps: Apps = installed, **_: Any) -> None:
    """Planners see the rows of an app; connect it to `post_migrate` of that app."""
    _let(sender, using, apps, ("view",))


def _let(sender: AppConfig, using: str, migrated: Apps, verbs: Sequence[str]) -> None:
    if not router.allow_migrate_model(using, Group):
        return
    # The host may list the apps before django.contrib.auth, whose own handler would then come too late.
    create_permissions(sender, verbosity=0, using=using)
    group, made = Group.objects.using(using).get_or_create(name=PLANNERS)
    # Somebody may have migrated to a state without grants only.
    if made and "grant" in migrated.all_models["twins_assets"]:
        migrated.get_model("twins_assets", "Grant").objects.using(using).create(group_id=group.pk, role=Role.PLANNER)
    codenames = [f"{verb}_{model._meta.model_name}" for verb in verbs for model in sender.get_models()]
    missing = Permission.objects.using(using).filter(content_type__app_label=sender.label, codename__in=codenames)
    held = group.permissions.values("content_type")
    group.permissions.add(*missing.exclude(content_type__in=held))
