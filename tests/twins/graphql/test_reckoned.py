"""What is reckoned of twins is answered by fields, is the same over both transports, and is bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from assets.models import Asset, AssetType, Design, Item, MaintenanceEvent
from assets.services import NewAsset, NewInstallation, create_assets, create_items, install_items, record_events
from twins.models import Assessment, HealthRecord, HealthWarning

DAY = timedelta(days=1)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def seal(transactional_db: None) -> Any:
    """A seal that failed and was replaced twice, was warned of, and is believed to be worse than yesterday."""
    now = timezone.now()
    kind = AssetType.objects.create(code="sealing", name="Seal")
    design = Design.objects.create(type=kind, code="S", name="Face seal")
    rows = [NewAsset(tag="SITE", name="Site", level="system")]
    rows += [NewAsset(tag=f"S{n}", name=f"Seal {n}", level="part", parent="SITE") for n in range(25)]
    assets = create_assets(rows=rows)
    place = assets["S0"]
    items = create_items(items=[Item(design=design, serial_number=str(n)) for n in range(3)])
    starts = [now - 300 * DAY, now - 200 * DAY, now - 120 * DAY]
    ends = [*starts[1:], None]
    install_items(installations=[
        NewInstallation(asset=place, item=item, start=start, end=end, removal_reason="failure" if end else "")
        for item, start, end in zip(items, starts, ends, strict=True)
    ])  # fmt: skip
    record_events(events=[MaintenanceEvent(asset=place, item=items[n], kind="failure", mode="leak",
                                           started_at=starts[n + 1]) for n in range(2)])  # fmt: skip
    said = {"asset": place, "source": "model", "threshold": 0.5, "horizon_days": 20.0, "peak": 0.8}
    HealthWarning.objects.create(
        **said, item=items[0], probability=0.6, raised_at=starts[1] - 9 * DAY, last_at=starts[1], cleared_at=starts[1],
        verdict="right", failed_at=starts[1],
    )  # fmt: skip
    HealthWarning.objects.create(**said, item=items[2], probability=0.7, raised_at=now, last_at=now)
    HealthRecord.objects.create(
        asset=place, at=now - DAY, hour=now - DAY, health=90, band="good", coverage=1, source="blend",
        drivers=[{"input": "leak", "points": -10}],
    )  # fmt: skip
    Assessment.objects.create(
        asset=place, item=items[2], source="blend", health=60, coverage=1, assessed_at=now,
        drivers=[{"input": "leak", "points": -40}],
        sources=[{"source": "ageing", "weight": 0.25, "health": 75.0, "reason": "its age"}],
    )  # fmt: skip
    return assets, now


ASKED = """query ($since: DateTime!) { twin(tag: "S0") {
  warning { probability peak horizonDays }
  health { source sources { source weight health reason } }
  trackRecord { right false open missed medianLeadDays sentence }
  healthChange(since: $since) { before after moved { tag input points } sentence }
  reliability { design { name } unit lives repaired mean { value failures low high } medianLife
    modes { mode mean { failures } } comparisons { known } sentences weibull { shape b10 } }
} }"""


@pytest.mark.parametrize("splice", [False, True])
def test_all_of_it_is_answered(ask: Any, seal: Any, splice: bool) -> None:
    _, now = seal
    twin = ask(ASKED, since=(now - DAY / 2).isoformat(), splice=splice)["twin"]
    assert twin["warning"] == {"probability": 0.7, "peak": 0.8, "horizonDays": 20}
    assert twin["health"]["source"] == "BLEND"
    assert twin["health"]["sources"] == [{"source": "ageing", "weight": 0.25, "health": 75, "reason": "its age"}]
    record = twin["trackRecord"]
    assert (record["right"], record["false"], record["open"], record["medianLeadDays"]) == (1, 0, 1, 9)
    change = twin["healthChange"]
    assert (change["before"], change["after"]) == (90, 60)
    assert change["moved"] == [{"tag": "S0", "input": "leak", "points": -30}]
    assert change["sentence"].endswith(": Seal 0 leak -30")
    [told] = twin["reliability"]
    assert (told["design"], told["unit"], told["lives"], told["repaired"]) == ({"name": "Face seal"}, "d", 3, False)
    assert told["mean"]["failures"] == 2
    assert told["mean"]["value"] == pytest.approx(150, rel=1e-3)
    assert told["modes"] == [{"mode": "leak", "mean": {"failures": 2}}]
    assert told["sentences"] == ["2 failures are too few to compare builds (5 are needed)."]
    assert told["weibull"]["shape"] > 1


def test_where_nothing_is_known_the_answer_is_empty(ask: Any, seal: Any) -> None:
    _, now = seal
    twin = ask(ASKED.replace("S0", "S1"), since=now.isoformat())["twin"]
    assert twin == {"warning": None, "health": None, "trackRecord": None, "healthChange": None, "reliability": []}


def test_it_is_asked_of_few_twins_at_once(ask: Any, seal: Any) -> None:
    answer = ask("""{ system(tag: "SITE") { parts(first: 25) { nodes { reliability { lives } } } } }""")
    assert "ask at most 20" in answer.errors[0]
    assert ask('{ system(tag: "SITE") { reliability { lives } } }')["system"]["reliability"] == [{"lives": 3}]


def test_the_history_of_health_is_the_newest_of_a_window_in_order_of_time(ask: Any, plant: dict[str, Asset]) -> None:
    for hour, score in enumerate((90.0, 60.0, 30.0, 80.0)):
        HealthRecord.objects.create(
            asset=plant["GT1-B1"], at=NOW - timedelta(hours=5 - hour), health=score, band="good", coverage=0.5,
            source="model", drivers=[{"input": "T1", "points": score - 100}], probability=0.25, horizon_days=30,
        )  # fmt: skip
    HealthRecord.objects.create(
        asset=plant["GT1-B2"], at=NOW - timedelta(hours=1), health=10, band="poor", coverage=1, source="ageing"
    )
    query = """{ product: twin(tag: "GT1") { children { nodes { tag health {
        all: history(last: "P1D") { thinned records { score } }
        some: history(last: "PT270M", points: 2) { thinned records {
            at score band coverage source drivers { input points } probability horizonDays cameTrue } }
        early: history(from: "2026-03-01T00:00:00Z", to: "2026-03-01T08:00:00Z") { records { score } } } } } } }"""
    first, second, _ = ask(query)["product"]["children"]["nodes"]
    assert first["health"]["all"] == {"thinned": False, "records": [{"score": each} for each in (90, 60, 30, 80)]}
    assert [each["score"] for each in first["health"]["some"]["records"]] == [30, 80]
    assert first["health"]["some"]["thinned"] is True
    assert first["health"]["some"]["records"][0] == {
        "at": "2026-03-01T09:00:00.000000Z", "score": 30, "band": "GOOD", "coverage": 0.5, "source": "MODEL",
        "drivers": [{"input": "T1", "points": -70}], "probability": 0.25, "horizonDays": 30, "cameTrue": None,
    }  # fmt: skip
    assert first["health"]["early"] == {"records": [{"score": 90}]}
    assert second["health"]["all"] == {"thinned": False, "records": [{"score": 10}]}
