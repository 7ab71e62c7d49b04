"""Every page of the register's admin as a planner opens it: how long the server takes and how many statements."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assets.groups import PLANNERS
from assets.models import Asset
from assets.services import give_role

_TIMES = 3


@dataclass(frozen=True)
class Visit:
    """One page: median milliseconds, and statements."""

    address: str
    milliseconds: float
    statements: int


def planner() -> Client:
    """A browser in which a planner of the whole register, who may also import, is signed in."""
    user = get_user_model().objects.create_user("desk", is_staff=True)
    user.groups.add(Group.objects.get(name=PLANNERS))
    give_role(role="integrator", user=user)
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def visit(client: Client, address: str) -> Visit:
    """Open a page once to warm it up and count, then a few times against the clock; anything but 200 is a fault."""
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(address)
    statements = len(asked)  # later requests empty the log
    assert answer.status_code == 200, (address, answer.status_code)
    taken = []
    for _ in range(_TIMES):
        begun = time.perf_counter()
        client.get(address)
        taken.append(time.perf_counter() - begun)
    seen = Visit(address, statistics.median(taken) * 1000, statements)
    print(f"{seen.milliseconds:7.1f} ms {seen.statements:3d} statements {address}", file=sys.stderr)
    return seen


def addresses() -> Iterator[str]:
    """Lists, searches, pages and histories of all tables, and what belongs to no table."""
    yield reverse("admin:index")
    for model in admin.site._registry:
        if model._meta.app_label != "twins_assets":
            continue
        name = f"admin:twins_assets_{model._meta.model_name}"
        index = reverse(f"{name}_changelist")
        # A word that is found often, one that is found once, and one that is nowhere.
        yield from (index, f"{index}?q=Part", f"{index}?q=U0-4242", f"{index}?q=nowhere", f"{index}?q=t")
        if (row := model._default_manager.order_by("pk").last()) is not None:
            yield reverse(f"{name}_change", args=[row.pk])
            yield reverse(f"{name}_history", args=[row.pk])
    tree = reverse("admin:twins_assets_asset_tree")
    unit = Asset.objects.get(tag="U0")
    yield from (f"{tree}?at={unit.pk}", f"{tree}?at={unit.parent_id}", f"{tree}?at={unit.pk}&part=1")
    yield from (f"{tree}?q=U0-4242", f"{tree}?q=Part", f"{tree}?q=nowhere")
    yield reverse("admin:twins_assets_asset_import")
    yield reverse("admin:twins_assets_asset_replace", args=[unit.pk])
    yield reverse("admin:twins_assets_asset_add")
    yield reverse("admin:twins_assets_asset_change", args=[unit.pk])
    yield reverse("admin:twins_assets_asset_change", args=[unit.parent_id])
