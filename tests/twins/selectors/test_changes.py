"""A change of health is shared through the hierarchy down to inputs, and the points add up to it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets.models import Asset, AssetType
from assets.services import NewAsset, create_assets
from twins.models import Assessment, HealthRecord, RollUpPolicy
from twins.selectors.changes import health_change

from ..conftest import NOW

MONDAY = NOW - timedelta(days=3)


@pytest.fixture
def line(db: None) -> dict[str, Asset]:
    rows = [
        NewAsset(tag="L3", name="Line 3", level="system"),
        *(NewAsset(tag=f"M{n}", name=f"Motor {n}", level="product", parent="L3") for n in range(2)),
        *(NewAsset(tag=f"B{n}", name=f"Bearing {n}", level="part", parent=f"M{n % 2}") for n in range(4)),
    ]
    return create_assets(rows=rows)


def believe(asset: Asset, before: float | None, after: float, drivers: tuple[dict, dict] = ({}, {})) -> None:
    source = "rollup" if asset.level != "part" else "model"
    told = [[{"input": name, "points": points} for name, points in each.items()] for each in drivers]
    Assessment.objects.create(asset=asset, health=after, coverage=1, source=source, assessed_at=NOW, drivers=told[1])
    if before is not None:
        HealthRecord.objects.create(
            asset=asset, at=MONDAY, hour=MONDAY, health=before, band="good", coverage=1, source=source, drivers=told[0]
        )


def fall(line: dict[str, Asset], tops: tuple[float, float]) -> None:
    believe(line["B0"], 90, 60, ({"vibration": -5}, {"vibration": -27, "heat": -10}))
    believe(line["B1"], 80, 85)
    believe(line["B2"], 95, 95)
    believe(line["B3"], 88, 70)
    believe(line["M0"], 90, 60)
    believe(line["M1"], 80, 70)
    believe(line["L3"], *tops)


def test_the_worst_below_takes_its_points_down_to_its_inputs(line) -> None:
    fall(line, (80, 60))
    found = health_change(line["L3"].pk, since=NOW - timedelta(days=2))
    assert found is not None
    assert (found.before, found.after, found.points) == (80, 60, -20)
    assert sum(one.points for one in found.moved) == pytest.approx(-20)
    # By hand: M0 first gives -20, last gives -10; M1 first gives -10, last gives 0.
    by_asset: dict[str, float] = {}
    for one in found.moved:
        by_asset[one.tag] = by_asset.get(one.tag, 0) + one.points
    assert by_asset["B0"] == pytest.approx(-15)
    assert {one.input: one.points for one in found.moved if one.tag == "B0"} == pytest.approx(
        {"vibration": -11, "heat": -5, "": 1}
    )
    assert found.sentence("Line 3").startswith("Line 3 fell 20 since 2026-05-29 00:00: Bearing 0 vibration -11, ")


def test_a_weighted_mean_shares_by_weight(line) -> None:
    kind = AssetType.objects.create(code="line", name="Line")
    RollUpPolicy.objects.create(type=kind, rule="weighted")
    Asset.objects.filter(tag="L3").update(type=kind)
    fall(line, (85, 65))
    found = health_change(line["L3"].pk, since=NOW)
    assert found is not None
    assert sum(one.points for one in found.moved) == pytest.approx(-20)
    below = [line[tag].pk for tag in ("B1", "B3")]
    assert sum(one.points for one in found.moved if one.asset in below) == pytest.approx(-5)


def test_what_is_new_takes_its_points_and_nothing_known_is_no_answer(line) -> None:
    believe(line["M0"], 90, 90)
    believe(line["M1"], None, 40)
    believe(line["L3"], 90, 40)
    found = health_change(line["L3"].pk, since=NOW)
    assert found is not None
    assert [(one.tag, one.points) for one in found.moved] == [("M1", -50)]
    assert health_change(line["L3"].pk, since=MONDAY - timedelta(days=1)) is None
    assert health_change(line["B0"].pk, since=NOW) is None


def test_statements_do_not_grow_and_what_is_small_is_told_as_the_rest(line) -> None:
    kind = AssetType.objects.create(code="line", name="Line")
    RollUpPolicy.objects.create(type=kind, rule="weighted")
    Asset.objects.filter(tag="L3").update(type=kind)
    more = create_assets(
        rows=[NewAsset(tag=f"X{n}", name=f"Pump {n}", level="part") for n in range(30)], under=line["L3"]
    )
    for number in range(30):
        believe(more[f"X{number}"], 90, 80 - number)
    believe(line["L3"], 90, 90 - (10 + 14.5))
    with CaptureQueriesContext(connection) as queries:
        found = health_change(line["L3"].pk, since=NOW)
    assert found is not None
    assert len(queries) == 4
    assert (len(found.moved), found.moved[-1].tag, found.moved[-1].input) == (10, "L3", "")
    assert sum(one.points for one in found.moved) == pytest.approx(-24.5)
