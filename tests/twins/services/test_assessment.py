"""Every part with an item has a health; it follows the newest reading, item and model, and rolls up."""

from __future__ import annotations

import sys
from collections import defaultdict
from datetime import timedelta

import pytest
from django.test.utils import CaptureQueriesContext

from assets.models import Item
from assets.services import create_items, replace_item
from twins import events, ml
from twins.models import Assessment, HealthModel
from twins.selectors.health import inputs_of, latest_health, stale_units
from twins.services import traces
from twins.services.assessment import assess_assets, assess_stale
from twins.services.compaction import compact_hot_tail
from twins.services.training import train_design

HALF_DAY = timedelta(hours=12)


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_listeners", defaultdict(list))
    traces._entries.clear()


def _trained(seals) -> HealthModel:
    model = train_design(design=seals.design, now=seals.now).model
    assert model is not None
    return model


def test_parts_are_assessed_by_the_model_and_the_rest_is_as_healthy_as_its_worst(seals) -> None:
    model = _trained(seals)
    told = []
    events.listen("assessed", told.append)
    written = assess_assets(assets=seals.parts, now=seals.now)

    assert written == sorted(asset.pk for asset in seals.assets.values())
    assert told == [{"assets": written}]
    found = latest_health(written)
    for part in seals.parts:
        row = found[part]
        assert (row.source, row.model_id, row.rul_unit, row.coverage) == ("model", model.pk, "d", 1.0)
        assert row.rul_p10 <= row.rul_p50 <= row.rul_p90 <= 30
        assert row.data_time == seals.now
        assert row.data_batch is not None
        assert len(row.failure_probabilities) == 3
        assert {driver["input"] for driver in row.drivers} <= {"leak", "temperature", "age"}
    worst = min((found[part] for part in seals.parts), key=lambda row: row.health)
    top = found[seals.assets["P"].pk]
    assert (top.source, top.health, top.worst_asset_id) == ("rollup", worst.health, worst.asset_id)
    assert found[seals.assets["T3"].pk].health == found[seals.part(3).pk].health


def test_a_worn_seal_is_less_healthy_than_a_fresh_one(seals) -> None:
    _trained(seals)
    assess_assets(assets=seals.parts, now=seals.now)
    worn = latest_health(seals.parts)
    fresh = [replace_item(asset=seals.part(7), item=_item(seals), at=seals.now - timedelta(days=30), reason="planned")]
    assess_assets(assets=seals.parts, now=seals.now)
    again = latest_health([seals.part(7).pk])[seals.part(7).pk]
    assert again.item_id == fresh[0].item_id != worn[again.asset_id].item_id


def _item(seals) -> Item:
    return create_items(items=[Item(design=seals.design, serial_number="new")])[0]


def test_without_failures_the_ageing_curve_speaks(plants) -> None:
    plant = plants(failures=0)
    assess_assets(assets=plant.parts, now=plant.now)
    row = Assessment.objects.get(asset=plant.part(0))
    curve = ml.AgeingCurve(60.0)
    assert (row.source, row.model, row.coverage) == ("ageing", None, 1.0)
    assert row.health == pytest.approx(curve.health(100.0))
    assert row.rul_p50 == pytest.approx(curve.life_left(100.0, 0.5))
    assert row.drivers == [{"input": "age", "points": round(curve.health(100.0) - 100, 2)}]


def test_nothing_is_invented_where_no_life_is_expected(plants) -> None:
    plant = plants(failures=0, expected_life=None)
    assert assess_assets(assets=plant.parts, now=plant.now) == []
    assert stale_units(now=plant.now, limit=100) == []
    assert not Assessment.objects.exists()


def test_only_what_is_newer_makes_an_assessment_stale(seals, accept) -> None:
    compact_hot_tail()
    assert stale_units(now=seals.now, limit=100) == seals.parts
    _trained(seals)
    assert len(assess_stale(now=seals.now)) == len(seals.assets)
    assert assess_stale(now=seals.now) == []

    later = seals.now + timedelta(minutes=30)
    accept([(seals.keys["S2", "leak"], later, 30.0)])
    compact_hot_tail()
    assert stale_units(now=later, limit=100) == [seals.part(2).pk]
    before = latest_health([seals.part(2).pk])[seals.part(2).pk]
    written = assess_stale(now=later)
    assert written == sorted([seals.assets["P"].pk, seals.assets["T2"].pk, seals.part(2).pk])
    after = latest_health([seals.part(2).pk])[seals.part(2).pk]
    assert after.data_time == later > before.data_time
    assert after.health != before.health
    assert stale_units(now=later, limit=100) == []
    assert stale_units(now=later + timedelta(hours=1), limit=3) != []


def test_a_hot_reading_is_assessed_before_it_is_compacted_and_once(seals, accept) -> None:
    """Neither a reading of the part nor a setting above it waits, and a late reading makes nothing go in circles."""
    compact_hot_tail()
    _trained(seals)
    assess_stale(now=seals.now)
    later = seals.now + timedelta(minutes=30)
    accept([(seals.keys["S2", "leak"], later, 30.0)])
    accept([(seals.keys["T5", "load"], later, 50.0)])
    accept([(seals.keys["S6", "leak"], seals.now - timedelta(days=30), 2.0)])
    assert stale_units(now=later, limit=100) == [seals.part(number).pk for number in (2, 5, 6)]
    assess_stale(now=later)
    assert Assessment.objects.get(asset=seals.part(2)).data_time == later
    assert stale_units(now=later, limit=100) == []
    compact_hot_tail()
    # Only now it is known that the late one overwrote another.
    assert stale_units(now=later, limit=100) == [seals.part(6).pk]
    assess_stale(now=later)
    assert stale_units(now=later, limit=100) == []


def test_however_many_readings_come_the_newest_state_is_assessed_once(seals, accept) -> None:
    """Readings that come faster than they are assessed leave no queue behind."""
    _trained(seals)
    assess_stale(now=seals.now)
    for step in range(1, 6):
        accept([(seals.keys["S2", "leak"], seals.now + step * timedelta(minutes=1), 20.0 + step)])
    now = seals.now + timedelta(minutes=6)
    assert stale_units(now=now, limit=100) == [seals.part(2).pk]
    assert seals.part(2).pk in assess_stale(now=now)
    assert Assessment.objects.get(asset=seals.part(2)).data_time == seals.now + timedelta(minutes=5)
    assert assess_stale(now=now) == []


def test_going_on_and_starting_afresh_assess_alike(seals, accept) -> None:
    _trained(seals)
    assess_assets(assets=seals.parts, now=seals.now)
    later = seals.now + 3 * HALF_DAY
    for step in range(1, 4):
        now = seals.now + step * HALF_DAY
        accept([(seals.keys["S2", "leak"], now, 2.0 + step), (seals.keys["S2", "temperature"], now, 60.0)])
        assess_assets(assets=seals.parts, now=now)
    warm = latest_health(seals.parts)
    traces._entries.clear()
    assess_assets(assets=seals.parts, now=later)
    cold = latest_health(seals.parts)
    for part in seals.parts:
        assert warm[part].health == pytest.approx(cold[part].health, abs=1e-6)
        assert warm[part].rul_p50 == pytest.approx(cold[part].rul_p50, abs=1e-6)
        assert (warm[part].data_time, warm[part].coverage) == (cold[part].data_time, cold[part].coverage)


def test_a_new_item_begins_a_new_life(seals, accept) -> None:
    _trained(seals)
    now = seals.now + HALF_DAY
    replace_item(asset=seals.part(7), item=_item(seals), at=seals.now, reason="failure")
    assert stale_units(now=now, limit=100)[0] == seals.part(0).pk
    accept([(seals.keys["S7", "leak"], now, 2.0), (seals.keys["S7", "temperature"], now, 55.0)])
    assess_assets(assets=seals.parts, now=now)
    row = latest_health([seals.part(7).pk])[seals.part(7).pk]
    assert row.item.serial_number == "new"
    assert row.data_time == now


def test_a_tampered_model_costs_a_warning_and_the_ageing_curve_speaks(seals, caplog) -> None:
    model = _trained(seals)
    HealthModel.objects.filter(pk=model.pk).update(artefact=bytes(model.artefact)[:-1])
    assess_assets(assets=seals.parts, now=seals.now)
    assert set(Assessment.objects.filter(asset__in=seals.parts).values_list("source", flat=True)) == {"ageing"}
    assert "SHA-256" in caplog.text


def test_without_xgboost_only_prediction_is_missing(seals, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    _trained(seals)
    ml.boosting._load.cache_clear()
    monkeypatch.setitem(sys.modules, "xgboost", None)
    assess_assets(assets=seals.parts, now=seals.now)
    assert set(Assessment.objects.filter(asset__in=seals.parts).values_list("source", flat=True)) == {"ageing"}
    assert "everything but prediction runs without it" in caplog.text


def test_an_older_state_never_replaces_a_newer(seals) -> None:
    assess_assets(assets=seals.parts, now=seals.now)
    before = latest_health(seals.parts)
    assert assess_assets(assets=seals.parts, now=seals.now - timedelta(days=1)) == []
    assert {pk: row.assessed_at for pk, row in latest_health(seals.parts).items()} == {
        pk: row.assessed_at for pk, row in before.items()
    }


def test_inputs_are_named_by_their_way_from_the_asset(seals) -> None:
    from django.db import connection

    with CaptureQueriesContext(connection) as queries:
        found = inputs_of([seals.part(0).pk, seals.assets["T1"].pk])
    assert len(queries) == 1
    assert [known.input.name for known in found[seals.part(0).pk]] == ["../load", "leak", "temperature"]
    assert [known.input.name for known in found[seals.assets["T1"].pk]] == ["load", "Seal/leak", "Seal/temperature"]
    assert [known.depth for known in found[seals.assets["T1"].pk]] == [0, 1, 1]


def test_statements_do_not_grow_with_the_number_of_parts(seals) -> None:
    from django.db import connection

    _trained(seals)
    counts = []
    for parts in (seals.parts[:2], seals.parts):
        traces._entries.clear()
        with CaptureQueriesContext(connection) as queries:
            assess_assets(assets=parts, now=seals.now)
        counts.append(len(queries))
    assert counts[1] <= counts[0]
