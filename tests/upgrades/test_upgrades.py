"""Data made by any earlier commit migrates without loss: rows, rights, history from then on, and the files of the lake.

Each folder beside this file holds what an earlier commit wrote: `data.json` (the migrations it had, its rows as
PostgreSQL says them in JSON) and its lake. A migration that changes the schema in a way these rows do not show brings a
folder of its own, written by the commit before it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from psycopg.conninfo import make_conninfo

from tests.databases import drop_database

ROOT = Path(__file__).resolve().parents[2]
MADE = sorted(folder for folder in Path(__file__).parent.iterdir() if (folder / "data.json").exists())
GONE = {("twins_assets_design", "failure_modes")}
"""Columns whose content has another place now; each has a test of its own below."""

Rows = dict[str, list[dict[str, Any]]]


@contextmanager
def database() -> Iterator[str]:
    """Address of a new, empty database."""
    server, name = os.environ["DATABASE_URL"], f"upgrade_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        try:
            yield make_conninfo(server, dbname=name)
        finally:
            drop_database(admin, name)


def rows_of(address: str, tables: list[str] | None = None) -> Rows:
    """Every row of our tables, as PostgreSQL says it in JSON."""
    with psycopg.connect(address) as session:
        session.execute("SET TIME ZONE 'UTC'")
        found = session.execute(
            "SELECT tablename FROM pg_tables WHERE tablename LIKE 'twins\\_%' ORDER BY 1"
        ).fetchall()
        return {
            name: [row for (row,) in session.execute(f'SELECT to_jsonb(t) FROM "{name}" t')]
            for name in (tables or [name for (name,) in found])
        }


def lost(before: Rows, after: Rows) -> list[Any]:
    """What was there before and is not any more, or is something else."""
    missing: list[Any] = []
    for table, rows in before.items():
        columns = set(after[table][0]) if after[table] else set()
        missing += [(table, name) for name in (set(rows[0]) if rows else set()) - columns if (table, name) not in GONE]
        kept = [{name: row[name] for name in set(rows[0]) & columns} for row in after[table]] if rows else []
        missing += [
            (table, row) for row in ({n: v for n, v in r.items() if n in columns} for r in rows) if row not in kept
        ]
    return missing


@pytest.fixture(scope="module", params=MADE, ids=lambda folder: folder.name)
def made(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[dict[str, Any]]:
    """The rows an earlier commit wrote, in a database that has been migrated since and is the default one here."""
    told: dict[str, Any] = json.loads((request.param / "data.json").read_text())
    usual = connection.settings_dict["NAME"]
    with django_db_blocker.unblock(), database() as address:
        connection.close()
        connection.settings_dict["NAME"] = psycopg.conninfo.conninfo_to_dict(address)["dbname"]
        try:
            call_command("migrate", "auth", verbosity=0)
            for app, state in told["state"].items():
                call_command("migrate", app, state, verbosity=0)
            _load(told)
            call_command("migrate", verbosity=0)
            yield {**told, "folder": request.param, "address": address}
        finally:
            connection.close()
            connection.settings_dict["NAME"] = usual


def _load(told: dict[str, Any]) -> None:
    from django.contrib.auth.models import Group, Permission
    from django.db import transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        for table, rows in told["tables"].items():
            insert = f'INSERT INTO "{table}" SELECT * FROM jsonb_populate_recordset(NULL::"{table}", %s)'
            cursor.execute(f"{insert} ON CONFLICT DO NOTHING", [json.dumps(rows)])
            if rows and "id" in rows[0]:
                sequence = f"pg_get_serial_sequence('\"{table}\"', 'id')"
                cursor.execute(f'SELECT setval({sequence}, max(id)) FROM "{table}"')
    for group, app, codename in told["rights"]:
        right = Permission.objects.get(content_type__app_label=app, codename=codename)
        Group.objects.get(name=group).permissions.add(right)


def test_no_row_and_no_value_is_lost(made: dict[str, Any]) -> None:
    assert sum(map(len, made["tables"].values())) > 20
    assert lost(made["tables"], rows_of(made["address"], list(made["tables"]))) == []


def test_an_assessment_stands_where_its_asset_stands(made: dict[str, Any]) -> None:
    from twins.models import Assessment

    rows = list(Assessment.objects.select_related("asset"))
    assert len(rows) == len(made["tables"]["twins_assessment"]) > 0
    assert [row.path for row in rows] == [row.asset.path for row in rows]
    assert all(row.path[-1] == row.asset_id for row in rows)


def test_failure_modes_of_designs_are_failure_codes(made: dict[str, Any]) -> None:
    from assets.models import FailureCode

    designs = made["tables"]["twins_assets_design"]
    said = {(row["id"], mode) for row in designs for mode in row.get("failure_modes", ())}
    assert set(FailureCode.objects.filter(kind="mode").values_list("design_id", "code")) >= said
    assert said


def test_whoever_had_access_has_it_still(made: dict[str, Any]) -> None:
    from django.contrib.auth.models import Group, User

    from assets.permissions import EVERYWHERE, Action, rights_of

    for user in User.objects.all():
        assert rights_of(user).reach(Action.VIEW) == EVERYWHERE, user
        assert bool(rights_of(user).reach(Action.CHANGE)) == (user.is_staff or user.is_superuser), user
    roles = dict(Group.objects.values_list("name", "register_grants__role"))
    assert roles == {"Planners": "planner", "Night shift": "viewer"}


def test_history_begins_with_what_stood(made: dict[str, Any]) -> None:
    from assets.history import as_of, changes_of
    from assets.models import Asset, Change, version_models

    begun = Change.objects.earliest("id").made_at
    assert begun is not None
    for model in version_models():
        assert list(as_of(model, begun).order_by("pk").values()) == list(model._default_manager.order_by("pk").values())
    asset = Asset.objects.get(tag="DE")
    assert [each.kind for each in changes_of(Asset, [asset.pk])[asset.pk]] == ["kept"]


def test_the_lake_reads_as_it_did(made: dict[str, Any], settings: Any, tmp_path: Path) -> None:
    from twins.models import LakeFile
    from twins.selectors.readings import scan_readings

    shutil.copytree(made["folder"] / "lake", tmp_path / "lake", dirs_exist_ok=True)
    settings.TWINS = {**settings.TWINS, "LAKE": tmp_path / "lake"}
    for file in LakeFile.objects.filter(state="live"):
        assert hashlib.sha256((tmp_path / "lake" / file.path).read_bytes()).hexdigest() == file.sha256
    day = datetime(2026, 1, 1, tzinfo=UTC)
    sensors = [row["id"] for row in made["tables"]["twins_assets_sensor"]]
    table = scan_readings(sensors=sensors, start=day, end=day + timedelta(days=30))
    assert sorted(table["value"].to_pylist()) == [1.25, 2.25, 2.5, 2.5, 2.5, 3.25, 3.5, 4.25, 4.5, 5.25, 6.25, 10.0]


WRITE = """
import django
django.setup()
from django.core.management import call_command
call_command("prepare")
from datetime import UTC, datetime
from django.contrib.auth.models import User
from assets.models import AssetType, Design, Item, Sensor
from assets.services import NewAsset, NewInstallation, create_assets, create_items, create_sensors, install_items
kind = AssetType.objects.create(code="bearing", name="Bearing")
design = Design.objects.create(type=kind, code="B", name="Bearing")
rows = [NewAsset(tag="P", name="plant", level="system"), NewAsset(tag="B", name="bearing", level="part", parent="P")]
made = create_assets(rows=rows)
create_sensors(sensors=[Sensor(asset=made["B"], name="T", quantity="temperature", unit="Cel")])
[item] = create_items(items=[Item(design=design, serial_number="1")])
install_items(installations=[NewInstallation(asset=made["B"], item=item, start=datetime(2026, 1, 1, tzinfo=UTC))])
User.objects.create_user("reader")
"""


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _earlier() -> list[str]:
    """The commits before each of the last two that brought a migration; none where history cannot tell."""
    try:
        if _git("rev-parse", "--is-shallow-repository") != "false":
            return []
        brought = _git("log", "--diff-filter=A", "--format=%H", "-4", "--", "assets/migrations", "twins/migrations")
        parents = [_git("rev-parse", "--verify", "--quiet", f"{commit}^") for commit in brought.split()]
    except (OSError, subprocess.CalledProcessError):
        return []
    return [parents[0], parents[-1]] if len(parents) > 1 else parents


@pytest.mark.full
def test_what_an_earlier_commit_prepared_is_prepared_by_today_s(tmp_path: Path) -> None:
    earlier = _earlier()
    if not earlier:
        pytest.skip("no history of commits here: a shallow clone or no clone at all")
    for commit in earlier:
        place = tmp_path / commit[:12]
        _git("worktree", "add", "--detach", str(place), commit)
        try:
            with database() as address:
                environment = {
                    **os.environ,
                    "DATABASE_URL": address,
                    "TWINS_DATA": str(tmp_path / "data"),
                    "TWINS_NO_VENV": "1",
                    "DJANGO_SETTINGS_MODULE": "config.settings",
                }

                def run(folder: Path, *words: str, environment: Any = environment) -> None:
                    command = [sys.executable, *words]
                    done = subprocess.run(
                        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
                    )
                    assert done.returncode == 0, done.stderr

                run(place, "-c", WRITE)
                before = rows_of(address)
                run(ROOT, "manage.py", "prepare")
                after = rows_of(address)
                assert before["twins_assets_asset"]
                assert lost(before, after) == []
        finally:
            _git("worktree", "remove", "--force", str(place))
