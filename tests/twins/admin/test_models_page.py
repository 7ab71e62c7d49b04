"""People put another model in force, or are told why not, and decide what must not teach."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from assets.models import AssetType, Design
from twins.models import HealthModel, LearningPlan

LIST = reverse("admin:twins_healthmodel_changelist")


@pytest.fixture
def models(db: None) -> list[HealthModel]:
    design = Design.objects.create(type=AssetType.objects.create(code="seal", name="Seal"), code="SEAL", name="Seal")
    return [
        HealthModel.objects.create(
            design=design, status=status, artefact=status.encode(), sha256=hashlib.sha256(status.encode()).hexdigest(),
            horizon=30, life_unit="d", data_hash="", seed=0, reason=reason,
            trained_at=datetime(2026, 1, day, tzinfo=UTC),
        )
        for day, (status, reason) in enumerate([("retired", ""), ("champion", ""), ("refused", "it diverged")], 1)
    ]  # fmt: skip


def _do(client: Client, action: str, model: HealthModel) -> str:
    answer = client.post(LIST, {"action": action, "_selected_action": [model.pk]}, follow=True)
    return " ".join(str(message) for message in answer.context["messages"])


def _states() -> list[str]:
    return list(HealthModel.objects.order_by("pk").values_list("status", flat=True))


def test_a_retired_model_is_put_in_force_and_gone_back_from(admin_client: Client, models: list[HealthModel]) -> None:
    assert "is in force" in _do(admin_client, "promote", models[0])
    assert _states() == ["champion", "retired", "refused"]
    assert "no earlier model" in _do(admin_client, "roll_back", models[0])
    assert "is in force" in _do(admin_client, "promote", models[1])
    assert "is in force" in _do(admin_client, "roll_back", models[1])
    assert _states() == ["champion", "retired", "refused"]


def test_a_refused_model_stays_refused(admin_client: Client, models: list[HealthModel]) -> None:
    assert "it diverged" in _do(admin_client, "promote", models[2])
    assert _states() == ["retired", "champion", "refused"]


def test_who_may_only_look_cannot_promote(client: Client, models: list[HealthModel]) -> None:
    from django.contrib.auth.models import Permission

    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_healthmodel"))
    client.force_login(user)
    _do(client, "promote", models[0])
    assert _states() == ["retired", "champion", "refused"]


@pytest.mark.parametrize(
    ("field", "value"), [("failure_horizons", "[0]"), ("failure_horizons", "7"), ("ignored_inputs", "[1]")]
)
def test_a_plan_that_training_could_not_use_is_refused(
    admin_client: Client, models: list[HealthModel], field: str, value: str
) -> None:
    typed = {"design": models[0].design_id, "failure_horizons": "[]", "ignored_inputs": "[]", "trials": "0"}
    answer = admin_client.post(reverse("admin:twins_learningplan_add"), typed | {field: value})
    assert answer.status_code == 200
    assert "Give a list" in answer.content.decode()
    assert not LearningPlan.objects.exists()
    admin_client.post(reverse("admin:twins_learningplan_add"), typed | {"failure_horizons": "[7, 20]"})
    assert LearningPlan.objects.get().failure_horizons == [7, 20]
