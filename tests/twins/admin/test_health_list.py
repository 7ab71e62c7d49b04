"""Planners see the worst part first, in a constant number of statements, and can change nothing there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assets.groups import PLANNERS
from assets.models import Asset, AssetType, Design, Item, MaintenanceEvent, Sensor
from assets.services import (
    NewAsset,
    NewInstallation,
    create_assets,
    create_items,
    create_sensors,
    install_items,
    record_events,
)
from twins.admin import words
from twins.models import ApiToken, Assessment, HealthModel, LatestReading
from twins.services.tokens import create_token

NOW = datetime(2026, 1, 31, tzinfo=UTC)
LIST = "admin:twins_assessment_changelist"


@pytest.fixture
def planner(client: Client, db: None) -> Client:
    user = User.objects.create_user("planner", is_staff=True)
    user.groups.add(Group.objects.get(name=PLANNERS))
    client.force_login(user)
    return client


@pytest.fixture
def model(db: None) -> HealthModel:
    bearing = AssetType.objects.create(code="bearing", name="Rolling bearing")
    design = Design.objects.create(type=bearing, code="B", name="Bearing 6316")
    return HealthModel.objects.create(
        design=design, status="champion", sha256="0" * 64, horizon=365, life_unit="d", data_hash="0" * 64, seed=0,
        trained_at=NOW, artefact=b"UBJ" * 1000,
    )  # fmt: skip


@pytest.fixture
def assess(model: HealthModel) -> Callable[..., Assessment]:
    def make(asset: Asset, health: float, **more: Any) -> Assessment:
        fields: dict[str, Any] = {
            "source": "model", "model": model, "coverage": 0.98, "rul_unit": "d", "rul_p10": 30.0, "rul_p50": 40.0,
            "rul_p90": 55.5, "failure_probabilities": [
                {"horizon": 90, "probability": 0.9}, {"horizon": 30, "probability": 0.12},
            ],
            "drivers": [{"input": "VIB", "points": -31.4}, {"input": "TEMP", "points": -2.0}],
            "data_time": NOW, "assessed_at": NOW, **more,
        }  # fmt: skip
        return Assessment.objects.create(asset=asset, health=health, **fields)

    return make


@pytest.fixture
def plant(db: None) -> dict[str, Asset]:
    rows = [
        NewAsset(tag="P", name="Kraftwerk Süd", level="system"),
        NewAsset(tag="G", name="Generator", level="product", parent="P"),
        *(NewAsset(tag=f"B{number}", name=f"Bearing {number}", level="part", parent="G") for number in range(4)),
    ]
    return create_assets(rows=rows)


def shown(client: Client, **asked: str) -> list[str]:
    return [row.asset.tag for row in client.get(reverse(LIST), asked).context["cl"].result_list]


def test_the_worst_part_comes_first(
    planner: Client, plant: dict[str, Asset], assess: Callable[..., Assessment]
) -> None:
    for tag, health in {"P": 1, "G": 2, "B0": 50, "B1": 7, "B2": 99, "B3": 7}.items():
        assess(plant[tag], health, source="model" if tag.startswith("B") else "rollup")
    assert shown(planner) == ["B1", "B3", "B0", "B2"]
    assert shown(planner, level="all") == ["P", "G", "B1", "B3", "B0", "B2"]
    assert shown(planner, level="product") == ["G"]
    assert shown(planner, level="system") == ["P"]
    assert shown(planner, o="-3") == ["B2", "B0", "B1", "B3"]
    assert shown(planner, q="bearing 2") == ["B2"]
    assert shown(planner, q="B2 bearing") == ["B2"]
    assert shown(planner, level="all", source__exact="rollup") == ["P", "G"]


def test_a_row_says_how_bad_how_sure_and_why(
    planner: Client, plant: dict[str, Asset], assess: Callable[..., Assessment]
) -> None:
    assess(plant["B0"], 41.6)
    text = planner.get(reverse(LIST)).content.decode()
    for expected in (
        "Kraftwerk Süd › Generator", 'value="41.6"', "12 % in 30 d", "40 d (30 to 55.5)", "98 %", "VIB -31",
    ):  # fmt: skip
        assert expected in text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"beyond_horizon": True, "rul_p50": 400.0}, "more than 365 d"),
        ({"rul_p10": None, "rul_p90": None}, "40 d<"),
        ({"rul_p50": None}, ">-<"),
        ({"failure_probabilities": [{"horizon": 30, "probability": 0.999}]}, "&gt; 99 % in 30 d"),
        ({"failure_probabilities": [{"horizon": 30, "probability": 0.001}]}, "&lt; 1 % in 30 d"),
        ({"failure_probabilities": [], "drivers": [], "data_time": None, "model": None}, "no data"),
    ],
)
def test_what_is_not_known_is_said_so(
    planner: Client, plant: dict[str, Asset], assess: Callable[..., Assessment], more: dict[str, Any], words: str
) -> None:
    row = assess(plant["B0"], 50, **more)
    assert words in planner.get(reverse(LIST)).content.decode()
    assert planner.get(reverse("admin:twins_assessment_change", args=[row.pk])).status_code == 200


def _statements(planner: Client, assess: Callable[..., Assessment], count: int) -> int:
    rows = [NewAsset(tag="S", name="s", level="system")]
    rows += [NewAsset(tag=f"X{number}", name="x", level="part", parent="S") for number in range(count)]
    for number, asset in enumerate(list(create_assets(rows=rows).values())[1:]):
        assess(asset, number % 100)
    with CaptureQueriesContext(connection) as captured:
        assert planner.get(reverse(LIST)).status_code == 200
    assert not any("artefact" in query["sql"] for query in captured.captured_queries)
    return len(captured)


def test_the_list_takes_the_same_few_statements_for_any_number_of_assets(
    planner: Client, assess: Callable[..., Assessment]
) -> None:
    few, many = _statements(planner, assess, 60), _statements(planner, assess, 200)  # more than a page each
    assert few == many
    assert many <= 15


def test_the_page_takes_the_same_few_statements_for_any_number_of_children(
    planner: Client, assess: Callable[..., Assessment]
) -> None:
    def statements(count: int) -> int:
        rows = [NewAsset(tag="S", name="s", level="system")]
        rows += [NewAsset(tag=f"X{number}", name="x", level="part", parent="S") for number in range(count)]
        top, *parts = create_assets(rows=rows).values()
        for part in parts:
            assess(part, 50)
        create_sensors(sensors=[Sensor(asset=part, name="VIB", quantity="vibration") for part in parts])
        row = assess(top, 50, source="ageing", worst_asset=parts[0])
        with CaptureQueriesContext(connection) as captured:
            assert planner.get(reverse("admin:twins_assessment_change", args=[row.pk])).status_code == 200
        return len(captured)

    few, many = statements(3), statements(100)
    assert few == many
    assert many <= 15


def test_the_page_shows_the_evidence(
    planner: Client, plant: dict[str, Asset], model: HealthModel, assess: Callable[..., Assessment]
) -> None:
    asset = plant["B0"]
    items = create_items(items=[Item(design=model.design, serial_number=f"SN-{number}") for number in range(2)])
    start = NOW - timedelta(days=20)
    install_items(
        installations=[
            NewInstallation(asset=asset, item=items[0], start=start, end=NOW, removal_reason="spalling"),
            NewInstallation(asset=asset, item=items[1], start=NOW),
        ]
    )
    record_events(events=[MaintenanceEvent(asset=asset, item=items[0], kind="failure", mode="wear", started_at=NOW)])
    sensors = create_sensors(
        sensors=[
            Sensor(asset=asset, name="VIB", quantity="vibration velocity", unit="mm/s"),
            Sensor(asset=asset, name="NEVER", quantity="temperature", unit="Cel"),
            Sensor(asset=plant["P"], name="LOAD", quantity="power", unit="MW", role="setting"),
            Sensor(asset=plant["P"], name="PRESSURE", quantity="pressure", unit="bar"),
        ]
    )
    for sensor in (sensors[0], sensors[2]):
        LatestReading.objects.create(sensor=sensor, time=NOW, value=12.34, quality=0, batch=1)
    row = assess(asset, 20, item=items[1])
    text = planner.get(reverse("admin:twins_assessment_change", args=[row.pk])).content.decode()
    for expected in (
        reverse("admin:twins_assets_asset_change", args=[asset.pk]), "B0 Bearing 0: 20", "SN-1", "spalling", "wear",
        "-31.4", "90 %", "12.3 mm/s", "12.3 MW", "../../LOAD", "no reading",
    ):  # fmt: skip
        assert expected in text
    assert "PRESSURE" not in text


def test_a_roll_up_names_the_part_it_comes_from(
    planner: Client, plant: dict[str, Asset], assess: Callable[..., Assessment]
) -> None:
    assess(plant["B2"], 20)
    assess(plant["B3"], 60)
    row = assess(plant["G"], 20, source="rollup", model=None, worst_asset=plant["B2"])
    text = planner.get(reverse("admin:twins_assessment_change", args=[row.pk])).content.decode()
    worst, better = (f'href="{reverse("admin:twins_assessment_change", args=[plant[tag].pk])}"' for tag in ("B2", "B3"))
    # Once as the part it comes from, and both among what it consists of, the worst first.
    assert (text.count(worst), text.count(better)) == (2, 1)
    assert text.index(worst) < text.index(better)


def test_units_are_written_as_people_write_them() -> None:
    assert [words.amount(12.34, code) for code in ("{cycle}", "Cel", "1", "mm/s")] == [
        "12.3 cycle", "12.3 °C", "12.3", "12.3 mm/s",
    ]  # fmt: skip
    assert [words.quality(status) for status in (0, 1, -1)] == ["good", "uncertain", "bad"]
    drivers = [{"input": "age", "points": points} for points in (-0.3, 0.4, -0.6, 12.0)]
    assert [words.driver(entry) for entry in drivers] == ["-", "-", "age -1", "age +12"]
    assert [words.number(value) for value in (0.01234, 9.996, 99.96, 12345.6)] == ["0.0123", "10", "100", "12,346"]


def test_who_is_not_staff_is_sent_to_the_login(client: Client, db: None) -> None:
    response = client.get(reverse(LIST))
    assert response.status_code == 302
    assert response.url.startswith(reverse("admin:login"))


def test_staff_without_rights_sees_nothing(client: Client, db: None) -> None:
    client.force_login(User.objects.create_user("visitor", is_staff=True))
    assert client.get(reverse(LIST)).status_code == 403


def test_health_is_read_only_even_for_a_superuser(
    client: Client, plant: dict[str, Asset], assess: Callable[..., Assessment]
) -> None:
    client.force_login(User.objects.create_superuser("root"))
    row = assess(plant["B0"], 50)
    change, delete = (reverse(f"admin:twins_assessment_{verb}", args=[row.pk]) for verb in ("change", "delete"))
    assert client.post(change, {"health": "99"}).status_code == 403
    assert client.post(delete, {"post": "yes"}).status_code == 403
    assert Assessment.objects.get().health == 50


@pytest.mark.parametrize("name", ["healthmodel", "batch", "correction", "apitoken"])
def test_the_other_lists_open(planner: Client, model: HealthModel, name: str) -> None:
    create_token(name="erp", scopes=["read"])
    assert planner.get(reverse(f"admin:twins_{name}_changelist"), {"q": "x"}).status_code == 200


def test_a_model_is_shown_without_its_bytes(planner: Client, model: HealthModel) -> None:
    page = reverse("admin:twins_healthmodel_change", args=[model.pk])
    with CaptureQueriesContext(connection) as captured:
        assert planner.get(page).status_code == 200
    assert not any("artefact" in query["sql"] for query in captured.captured_queries)


def test_tokens_are_revoked_by_who_may_and_their_digest_is_never_shown(planner: Client, db: None) -> None:
    token, _ = create_token(name="erp", scopes=["read"])
    ask = {"action": "revoke", "_selected_action": [token.pk]}
    listing = reverse("admin:twins_apitoken_changelist")
    planner.post(listing, ask)
    token.refresh_from_db()
    assert token.revoked_at is None
    page = planner.get(reverse("admin:twins_apitoken_change", args=[token.pk]))
    assert token.digest not in page.content.decode()
    planner.force_login(User.objects.create_superuser("root"))
    planner.post(listing, ask)
    assert ApiToken.objects.get().revoked_at is not None


def test_planners_read_the_twins_and_keep_the_register(db: None) -> None:
    rights = Group.objects.get(name=PLANNERS).permissions.values_list("content_type__app_label", "codename")
    verbs: dict[str, set[str]] = {}
    for label, codename in rights:
        verbs.setdefault(label, set()).add(codename.split("_")[0])
    assert verbs == {"twins_assets": {"view", "add", "change"}, "twins": {"view"}}


def test_a_right_taken_from_planners_stays_taken(db: None) -> None:
    from django.core.management import call_command

    group = Group.objects.get(name=PLANNERS)
    group.permissions.remove(*group.permissions.filter(codename="change_asset"))
    call_command("migrate", verbosity=0)
    assert not group.permissions.filter(codename="change_asset").exists()
    assert group.permissions.filter(codename="view_asset").exists()


PLAIN = """
import sys
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                    "django.contrib.messages", "django.contrib.sessions", "assets", "twins"],
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "nowhere"}},
    TWINS={"REDIS_URL": "redis://127.0.0.1:1/0", "LAKE": "/nowhere"}, USE_TZ=True,
)
import django
django.setup()
from django.contrib import admin
from twins.admin import words
from twins.models import Assessment
assert issubclass(type(admin.site._registry[Assessment]), admin.ModelAdmin)
assert not [name for name in sys.modules if name.split(".")[0] == "unfold"]
"""


def test_the_theme_is_not_imported_where_it_is_not_installed() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run([sys.executable, "-c", PLAIN], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
