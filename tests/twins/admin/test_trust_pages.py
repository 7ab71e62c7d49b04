"""Planners set policies on pages that refuse nonsense, and read how long things live and how often warnings held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from assets.models import AssetType, Design, Item, MaintenanceEvent
from assets.services import NewAsset, NewInstallation, create_assets, create_items, install_items, record_events
from twins.models import Assessment, Finding, HealthPolicy, HealthWarning, RollUpPolicy

NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture
def boss(client: Client, db: None) -> Client:
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def design(db: None) -> Design:
    kind = AssetType.objects.create(code="bearing", name="Rolling bearing")
    return Design.objects.create(type=kind, code="B", name="Bearing 6316")


def post(boss: Client, design: Design, contributors: str) -> str:
    values = {"design": design.pk, "contributors": contributors, "duty": 1, "location": 1, "reliability": 1,
              "warning_threshold": 0.4}  # fmt: skip
    return boss.post(reverse("admin:twins_healthpolicy_add"), values).content.decode()


def test_contributors_are_set_on_a_page_that_refuses_nonsense(boss: Client, design: Design) -> None:
    page = post(boss, design, '[{"input": "vibration", "best": 1, "worst": 1}]')
    assert "entry 1 is best and worst at 1" in page
    assert not HealthPolicy.objects.exists()
    post(boss, design, '[{"input": "vibration", "best": 1, "worst": 7}]')
    assert HealthPolicy.objects.get().contributors == [{"input": "vibration", "best": 1, "worst": 7}]


def test_a_roll_up_rule_needs_its_number(boss: Client, design: Design) -> None:
    address = reverse("admin:twins_rolluppolicy_add")
    boss.post(address, {"type": design.type_id, "rule": "k_of_n", "needed": ""})
    assert not RollUpPolicy.objects.exists()
    boss.post(address, {"type": design.type_id, "rule": "k_of_n", "needed": 2})
    assert RollUpPolicy.objects.get().needed == 2


def test_the_reliability_of_a_design_is_read(boss: Client, design: Design) -> None:
    rows = [NewAsset(tag=f"B{n}", name="Bearing", level="part") for n in range(30)]
    places = create_assets(rows=rows)
    items = create_items(
        items=[Item(design=design, serial_number=str(n), build={"cutter": "C7" if n < 12 else "C6"}) for n in range(30)]
    )
    wishes, failures = [], []
    for number, item in enumerate(items):
        start = NOW - timedelta(days=300)
        end = start + timedelta(days=100 + 3 * number if number < 12 else 200 + 2 * number)
        wishes.append(
            NewInstallation(asset=places[f"B{number}"], item=item, start=start, end=end, removal_reason="failure")
        )
        failures.append(
            MaintenanceEvent(asset=places[f"B{number}"], item=item, kind="failure", mode="wear", started_at=end)
        )
    install_items(installations=wishes)
    record_events(events=failures)
    page = boss.get(reverse("admin:twins_designreliability_change", args=[design.pk])).content.decode()
    assert "MTTF (replaced)" in page
    assert "Bearing 6316 with cutter C6 live" in page
    assert "12 of 12" in page
    assert "wear" in page
    assert boss.get(reverse("admin:twins_designreliability_changelist")).status_code == 200


def test_a_design_that_was_never_installed_says_so(boss: Client, design: Design) -> None:
    page = boss.get(reverse("admin:twins_designreliability_change", args=[design.pk])).content.decode()
    assert "Nothing of this design was ever installed." in page


def test_warnings_and_findings_are_listed_and_shown_with_the_health(boss: Client, design: Design) -> None:
    place = create_assets(rows=[NewAsset(tag="B", name="Bearing", level="part")])["B"]
    item = create_items(items=[Item(design=design, serial_number="1")])[0]
    install_items(installations=[NewInstallation(asset=place, item=item, start=NOW - timedelta(days=300))])
    said = {"asset": place, "item": item, "source": "model", "threshold": 0.5, "horizon_days": 20.0, "peak": 0.8}
    HealthWarning.objects.create(
        **said, probability=0.6, raised_at=NOW - timedelta(days=99), last_at=NOW - timedelta(days=99),
        cleared_at=NOW - timedelta(days=98), verdict="right", failed_at=NOW - timedelta(days=90),
    )  # fmt: skip
    HealthWarning.objects.create(**said, probability=0.7, raised_at=NOW, last_at=NOW)
    Finding.objects.create(asset=place, kind="pattern", started_at=NOW, value=3.5, score=2)
    Assessment.objects.create(
        asset=place, item=item, source="blend", health=40, coverage=1, assessed_at=NOW,
        sources=[{"source": "ageing", "weight": 1.0, "health": 40.0, "reason": "its age"}],
    )  # fmt: skip
    for name in ("healthwarning", "finding"):
        assert place.tag in boss.get(reverse(f"admin:twins_{name}_changelist")).content.decode()
    page = boss.get(reverse("admin:twins_assessment_change", args=[place.pk])).content.decode()
    assert "up to 80 % within 20 d" in page
    assert "Of the only such warning 1 was right, median lead 9 days." in page
    assert "its age" in page
    assert "unusual" in page
