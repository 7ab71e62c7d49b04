"""Models are learned from what the register and the lake hold, put in force, kept, or refused."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from assets.models import Design, Item
from assets.services import create_items, replace_item
from twins import ml
from twins.exceptions import ModelRefused, PredictionUnavailable
from twins.models import Assessment, HealthModel, LearningPlan, ModelStatus
from twins.selectors.health import stale_units
from twins.selectors.labels import labels_of
from twins.services import training
from twins.services.assessment import assess_assets
from twins.services.promotion import promote_model, roll_back
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


@pytest.mark.parametrize(("rate", "in_force"), [(2.5, True), (50.0, False)])
def test_a_model_that_diverges_never_becomes_champion(seals, rate, in_force, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a rate above two every tree overshoots further than the one before, at fifty beyond all numbers."""
    champions = [train_design(design=seals.design, now=seals.now).model] if in_force else []
    monkeypatch.setattr(ml, "train", partial(ml.train, trees=replace(ml.DEFAULT, rate=rate)))
    result = train_design(design=seals.design, now=seals.now + timedelta(minutes=1))
    assert result.model is not None
    assert result.model.status == ModelStatus.REFUSED
    assert "not clearly smaller than that of a constant" in result.reason
    with pytest.raises(ModelRefused):
        promote_model(model=result.model)
    assert list(HealthModel.objects.filter(status=ModelStatus.CHAMPION)) == champions


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


def test_a_leak_is_refused_by_name_and_nothing_is_put_in_force(seals, accept) -> None:
    """A sensor that counts the days to the order which each failure made."""
    from assets.models import Sensor
    from assets.services import create_sensors

    lives = labels_of([seals.design], now=seals.now)[seals.design.pk].lives
    sensors = create_sensors(
        sensors=[Sensor(asset=seals.part(number), name="days to order", quantity="time") for number in range(8)]
    )
    rows = []
    for sensor in sensors:
        for label in lives:
            if label.installation.asset_id == sensor.asset_id and label.outcome == "failed":
                days = (label.segment.end - label.segment.start).days
                rows += [(sensor.pk, label.segment.end - timedelta(days=left), left) for left in range(1, days)]
    accept(rows)
    result = train_design(design=seals.design, now=seals.now)
    assert "days to order" in result.reason
    model = HealthModel.objects.get()
    assert (model.status, model.inputs, model.artefact) == (ModelStatus.REFUSED, ["days to order"], None)

    LearningPlan.objects.create(design=seals.design, ignored_inputs=["days to order"], failure_horizons=[5, 20])
    model = train_design(design=seals.design, now=seals.now).model
    assert model is not None and model.status == ModelStatus.CHAMPION
    assert model.inputs == ["leak", "temperature", "../load"]


def test_a_design_with_few_failures_is_learned_from_its_family(seals) -> None:
    """A new revision of the seal has no failure yet; the type's failures speak for it."""
    newer = Design.objects.create(type=seals.design.type, code="SEAL", revision="B", name="Seal", planning_horizon=30.0)
    item = create_items(items=[Item(design=newer, serial_number="new")])[0]
    replace_item(asset=seals.part(7), item=item, at=seals.now - timedelta(days=5), reason="planned")
    done = {result.design.revision: result.model for result in train_designs(now=seals.now)}
    assert done["A"] is not None and done["B"] is not None
    assert (done["A"].scope, done["B"].scope) == ("", "seal")
    assert done["B"].metrics["failures"] == 8
    assess_assets(assets=[seals.part(7).pk], now=seals.now)
    assert Assessment.objects.get(asset=seals.part(7)).model == done["B"]


def test_what_failed_since_decides_between_champion_and_challenger(seals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_FEWEST_LATER", 2)
    ends = sorted(label.segment.end for label in labels_of([seals.design], now=seals.now)[seals.design.pk].lives)
    early = train_design(design=seals.design, now=ends[4] + timedelta(hours=1)).model
    assert early is not None and early.status == ModelStatus.CHAMPION
    result = train_design(design=seals.design, now=seals.now)
    early.refresh_from_db()
    assert early.later["failures"] == sum(early.trained_at < end < seals.now for end in ends) >= 2
    assert sorted(early.later["psi"]) == ["leak", "temperature"]
    assert result.model is not None
    better = result.model.status == ModelStatus.CHAMPION
    assert better or "failures since the champion" in result.reason
    assert (early.status == ModelStatus.RETIRED) == better


def test_a_model_is_brought_back_and_a_refused_one_is_not(seals) -> None:
    first = train_design(design=seals.design, now=seals.now).model
    second = train_design(design=seals.design, now=seals.now + timedelta(minutes=1)).model
    assess_assets(assets=seals.parts, now=seals.now + timedelta(minutes=2))
    assert first is not None and second is not None
    assert roll_back(design=seals.design) == first
    states = dict(HealthModel.objects.values_list("pk", "status"))
    assert states == {first.pk: "champion", second.pk: "retired"}
    # What the other model said is no longer what is believed.
    assert stale_units(now=seals.now + timedelta(minutes=3), limit=100) == seals.parts
    with pytest.raises(ModelRefused, match="no earlier model"):
        roll_back(design=seals.design)
    HealthModel.objects.filter(pk=second.pk).update(artefact=b"another")
    with pytest.raises(ModelRefused, match="SHA-256"):
        promote_model(model=second)
    HealthModel.objects.filter(pk=second.pk).update(status="refused", reason="it diverged")
    with pytest.raises(ModelRefused, match="it diverged"):
        promote_model(model=second)
    assert HealthModel.objects.get(status="champion") == first
