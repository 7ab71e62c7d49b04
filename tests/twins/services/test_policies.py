"""Contributors and roll-up policies in force: blends tell their weights, and a sensor that dies costs coverage."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

import numpy as np
import pytest

from assets.models import Asset, AssetType
from twins import events, ml
from twins.exceptions import PolicyError
from twins.models import Assessment, Finding, HealthPolicy, HealthRecord, RollUpPolicy
from twins.selectors.health import latest_health, stale_units
from twins.selectors.policies import rollup_policies_of
from twins.services import traces
from twins.services.assessment import assess_assets
from twins.services.compaction import compact_hot_tail
from twins.services.policies import check_policy
from twins.services.training import train_design

HALF_DAY = timedelta(hours=12)


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_listeners", defaultdict(list))
    traces._entries.clear()


@pytest.fixture
def plant(plants):
    return plants(failures=0)


def leak(design, **more) -> HealthPolicy:
    entry = {"input": "leak", "best": 0, "worst": 100}
    return HealthPolicy.objects.create(design=design, contributors=[entry], **more)


def of(plant, place: int) -> Assessment:
    return latest_health([plant.part(place).pk])[plant.part(place).pk]


def test_contributors_blend_with_age_and_remaining_life_follows(plant, accept) -> None:
    assess_assets(assets=plant.parts, now=plant.now)
    before = of(plant, 0)
    leak(plant.design)
    now = plant.now + HALF_DAY
    accept([(plant.keys["S0", "leak"], now, 90.0)])
    assess_assets(assets=plant.parts, now=now)
    row = of(plant, 0)
    curve = ml.AgeingCurve(60.0)
    aged = curve.health(100.5)
    assert (row.source, row.coverage) == ("blend", 1.0)
    assert row.health == pytest.approx((5 * aged + 10 * 10.0) / 15)
    assert [(one["source"], one["weight"]) for one in row.sources] == [("ageing", 0.3333), ("contributors", 0.6667)]
    assert {one["input"]: one["points"] for one in row.drivers} == pytest.approx(
        {"leak": -60.0, "age": (aged - 100) / 3}, abs=0.01
    )
    assert row.health < before.health
    assert row.rul_p50 < before.rul_p50
    assert row.rul_p50 == pytest.approx(min(curve.from_health(row.health).life_left(100.5, 0.5), 30))


def test_contributors_speak_alone_where_nothing_else_does(plants, accept) -> None:
    plant = plants(failures=0, expected_life=None)
    leak(plant.design)
    accept([(plant.keys[f"S{n}", "leak"], plant.now, 25.0) for n in range(8)], source="other")
    compact_hot_tail()
    assert stale_units(now=plant.now, limit=100) == plant.parts
    assess_assets(assets=plant.parts, now=plant.now)
    row = of(plant, 0)
    assert (row.source, row.health, row.coverage, row.rul_p50, row.rul_unit) == ("contributors", 75.0, 1.0, None, "")
    assert row.drivers == [{"input": "leak", "points": -25.0}]
    assert stale_units(now=plant.now, limit=100) == []
    accept([(plant.keys["S3", "leak"], plant.now + HALF_DAY / 24, 30.0)])
    compact_hot_tail()
    assert stale_units(now=plant.now + HALF_DAY / 24, limit=100) == [plant.part(3).pk]


def test_duty_and_place_and_make_change_the_ageing(plant) -> None:
    HealthPolicy.objects.create(design=plant.design, duty=1.5, location=1.2, reliability=0.8)
    assess_assets(assets=plant.parts, now=plant.now)
    known = ml.ageing.Modifiers(duty=1.5, location=1.2, reliability=0.8)
    row = of(plant, 0)
    assert (row.source, row.sources) == ("ageing", [])
    assert row.health == pytest.approx(ml.AgeingCurve(60.0, known).health(100.0))


def test_a_sensor_that_dies_lowers_the_coverage_and_not_the_health(plant, accept) -> None:
    leak(plant.design)
    assess_assets(assets=plant.parts, now=plant.now)
    alive = of(plant, 0)
    later = plant.now + 4 * HALF_DAY
    accept([(plant.keys["S0", "temperature"], later, 60.0), (plant.keys["T0", "load"], later, 50.0)])
    assess_assets(assets=plant.parts, now=later)
    dead = of(plant, 0)
    assert alive.coverage == 1.0
    assert dead.coverage == pytest.approx(1 / 3)
    # What is left of the difference is two days of age.
    aged = ml.AgeingCurve(60.0)
    assert dead.health - alive.health == pytest.approx((aged.health(102.0) - aged.health(100.0)) / 3, abs=1e-9)


def test_a_sensor_that_dies_under_a_model_lowers_the_coverage_and_not_the_health(seals, accept) -> None:
    assert train_design(design=seals.design, now=seals.now).model is not None
    assess_assets(assets=seals.parts, now=seals.now)
    before = latest_health(seals.parts)
    # Two days on with all sensors, but without the temperature of one seal; values that stand still are not believed.
    rng = np.random.default_rng(2)
    for step in range(1, 5):
        now = seals.now + step * HALF_DAY
        rows = []
        for place in range(8):
            load = (50.0, 100.0)[step % 2]
            rows += [
                (seals.keys[f"T{place}", "load"], now, load),
                (seals.keys[f"S{place}", "leak"], now, 2 + rng.random()),
            ]
            if place:
                rows.append((seals.keys[f"S{place}", "temperature"], now, 40 + 0.2 * load + rng.random()))
        accept(rows)
    assess_assets(assets=seals.parts, now=now)
    after = latest_health(seals.parts)
    dead = seals.part(0).pk
    assert before[dead].coverage == 1.0
    assert after[dead].coverage == pytest.approx(2 / 3)
    assert all(after[pk].coverage == 1.0 for pk in seals.parts if pk != dead)
    moved = {pk: after[pk].health - before[pk].health for pk in seals.parts}
    assert abs(moved[dead]) <= max(abs(change) for pk, change in moved.items() if pk != dead) + 5


def test_a_sensor_that_stands_still_lowers_the_coverage(plant, accept) -> None:
    leak(plant.design)
    assess_assets(assets=plant.parts, now=plant.now)
    sound = of(plant, 0)
    Finding.objects.create(
        sensor_id=plant.keys["S0", "leak"],
        asset=plant.part(0),
        kind="flat_line",
        started_at=plant.now,
        value=1,
        score=40,
    )
    assess_assets(assets=plant.parts, now=plant.now)
    row = of(plant, 0)
    assert (sound.coverage, row.coverage) == (1.0, pytest.approx(2 / 3))
    assert row.health == sound.health


def test_a_bad_reading_is_not_believed_and_the_last_good_one_is(plant, readings_of) -> None:
    import pyarrow as pa

    from twins.services.ingestion import accept_readings

    leak(plant.design)
    assess_assets(assets=plant.parts, now=plant.now)
    before = of(plant, 0)
    bad = readings_of([(plant.keys["S0", "leak"], plant.now + HALF_DAY, 99.0)])
    bad = bad.set_column(3, "quality", pa.array([-(2**31)], pa.int32()))
    accept_readings(readings=bad, source="x", now=plant.now + HALF_DAY)
    assess_assets(assets=plant.parts, now=plant.now + HALF_DAY)
    assert of(plant, 0).health == pytest.approx(before.health, abs=0.1)


@pytest.mark.parametrize(
    ("rule", "needed", "place"), [("worst", None, 0), ("k_of_n", 7, 1), ("k_of_n", 1, 7), ("weighted", None, None)]
)
def test_a_system_is_as_healthy_as_its_policy_says(
    plant, accept, rule: str, needed: int | None, place: int | None
) -> None:
    kind = AssetType.objects.create(code="plant", name="Plant")
    sub = AssetType.objects.create(code="pumping", name="Pumping plant", parent=kind)
    Asset.objects.filter(tag="P").update(type=sub)
    Asset.objects.filter(tag="T0").update(criticality=5)
    RollUpPolicy.objects.create(type=kind, rule=rule, needed=needed)
    leak(plant.design)
    accept([(plant.keys[f"S{n}", "leak"], plant.now + HALF_DAY, 90.0 - 10 * n) for n in range(8)])
    assess_assets(assets=plant.parts, now=plant.now + HALF_DAY)
    top = latest_health([plant.assets["P"].pk])[plant.assets["P"].pk]
    healths = [of(plant, n).health for n in range(8)]
    if place is None:
        expected = (5 * healths[0] + 3 * sum(healths[1:])) / 26
    else:
        expected = healths[place]
        assert top.worst_asset_id == plant.part(place).pk
    assert top.health == pytest.approx(expected)
    assert HealthRecord.objects.get(asset=plant.assets["P"]).health == top.health


def test_the_nearest_type_decides(plant) -> None:
    kind = AssetType.objects.create(code="plant", name="Plant")
    sub = AssetType.objects.create(code="pumping", name="Pumping plant", parent=kind)
    Asset.objects.filter(tag="P").update(type=sub)
    RollUpPolicy.objects.create(type=kind, rule="worst")
    RollUpPolicy.objects.create(type=sub, rule="weighted")
    ids = [plant.assets[tag].pk for tag in ("P", "T0")]
    assert {asset: policy.rule for asset, policy in rollup_policies_of(ids).items()} == {ids[0]: "weighted"}


def test_a_policy_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(PolicyError, match="entry 1 names no input"):
        check_policy(policy=HealthPolicy(contributors=[{"best": 1, "worst": 2}]))
