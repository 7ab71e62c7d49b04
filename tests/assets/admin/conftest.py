"""Who looks at the pages: a planner of the whole register, and Ada, whose roles a test gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from django.test import Client

if TYPE_CHECKING:  # pytest may read this file before Django is set up
    from django.contrib.auth.models import User


@pytest.fixture
def planner(client: Client, db: None) -> Client:
    from django.contrib.auth.models import Group, User

    from assets.groups import PLANNERS

    user = User.objects.create_user("planner", is_staff=True)
    user.groups.add(Group.objects.get(name=PLANNERS))
    client.force_login(user)
    return client


@pytest.fixture
def ada(client: Client, db: None) -> User:
    """Staff with every right on tables, signed in; which rows is said by roles alone."""
    from django.contrib.auth.models import Permission, User

    user = User.objects.create_user("ada", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label__in=("twins_assets", "twins")))
    client.force_login(user)
    return user
