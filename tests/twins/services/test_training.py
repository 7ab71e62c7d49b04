"""Models are learned from what the register and the lake hold, put in force, kept, or refused."""

from __future__ import annotations

import hashlib
import sys
from datetime import timedelta

import pytest

from twins.exceptions import PredictionUnavailable
from twins.models import HealthModel, ModelStatus
from twins.services.training import train_design, train_designs


def test_a_trained_model_is_kept_with_its_proof(seals) -> None:
    result = train_design(design=seals.design, now=seals.now)
    model = HealthModel.objects.get()
    assert result.model == model
    assert model.status == ModelStatus.CHAMPION
    assert model.inputs == ["leak", "temperature", "../load"]
    assert (model.horizon, model.life_unit, model.seed) == (30.0, "d", 0)
    assert model.metrics["failures"] == 8
    assert model.metrics["lives"] == 16
    assert model.metrics["rmse"] < 0.6 * model.metrics["rmse_of_a_constant"]
    assert model.sha256 == hashlib.sha256(bytes(model.artefact)).hexdigest()
    assert sorted(model.versions) == ["numpy", "python", "xgboost"]


def test_a_second_training_gives_the_same_bytes_and_takes_the_place(seals) -> None:
    first = train_design(design=seals.design, now=seals.now).model
    second = train_design(design=seals.design, now=seals.now).model
    assert first is not None and second is not None
    assert (second.sha256, second.data_hash) == (first.sha256, first.data_hash)
    assert list(HealthModel.objects.order_by("pk").values_list("status", flat=True)) == ["retired", "champion"]


def test_a_worse_challenger_leaves_the_champion_in_force(seals) -> None:
    train_design(design=seals.design, now=seals.now)
    champion = HealthModel.objects.get()
    champion.metrics["rmse"] /= 3
    champion.save()
    result = train_design(design=seals.design, now=seals.now + timedelta(minutes=1))
    assert result.model is not None
    assert result.model.status == ModelStatus.REFUSED
    assert "the champion stays" in result.reason
    champion.refresh_from_db()
    assert champion.status == ModelStatus.CHAMPION


def test_too_few_failures_are_an_answer_and_write_nothing(plants) -> None:
    plant = plants(failures=4)
    result = train_design(design=plant.design, now=plant.now)
    assert result.model is None
    assert "4 recorded failures" in result.reason
    assert list(train_designs(now=plant.now)) == []
    assert not HealthModel.objects.exists()


def test_what_happened_later_is_not_known(seals) -> None:
    result = train_design(design=seals.design, now=seals.now - timedelta(days=55))
    assert result.model is None
    assert "0 recorded failures" in result.reason


def test_without_xgboost_training_says_what_to_do(seals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(PredictionUnavailable, match="everything but prediction runs without it"):
        train_design(design=seals.design, now=seals.now)
    assert not HealthModel.objects.exists()
