"""What was believed is kept, warnings are given and cleared, and the truth judges them when it arrives."""

from __future__ import annotations

from datetime import timedelta

import pytest

from assets.models import Item, MaintenanceEvent
from assets.services import create_items, record_events, replace_item
from twins.models import Assessment, HealthPolicy, HealthRecord, HealthWarning
from twins.selectors.ledger import health_before, standing_warnings, track_records
from twins.services.ledger import judge_ledger, keep_record, prune_ledger

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def plant(plants):
    return plants(failures=0)


@pytest.fixture
def say(plant):
    """Believe a health and a probability within 10 days of the item at a place, at an instant."""

    def believe(place: int, at, probability: float, health: float = 80.0) -> None:
        part = plant.part(place)
        row = Assessment(
            asset_id=part.pk, item=Item.objects.get(installations__asset=part, installations__period__contains=at),
            source="model", health=health, coverage=1.0, rul_unit="d", assessed_at=at,
            failure_probabilities=[{"horizon": 10.0, "probability": probability}],
            drivers=[{"input": "leak", "points": health - 100}],
        )  # fmt: skip
        keep_record(rows=[row], now=at, days_per_unit={part.pk: 1.0})

    return believe


def fail(plant, place: int, at) -> None:
    record_events(events=[MaintenanceEvent(asset=plant.part(place), kind="failure", started_at=at)])


def verdicts() -> list[tuple[str, bool]]:
    rows = HealthWarning.objects.order_by("raised_at", "asset_id")
    return [(row.verdict, row.cleared_at is None) for row in rows]


def test_history_has_one_record_an_hour_and_every_change_of_band(plant, say) -> None:
    start = plant.now
    for minutes, health in [(0, 90), (10, 80), (20, 60), (30, 75), (70, 74), (130, 10)]:
        say(0, start + timedelta(minutes=minutes), 0.1, health)
    rows = HealthRecord.objects.filter(asset=plant.part(0)).order_by("id")
    told = sorted((row.hour is not None, row.at - start, row.health, row.band) for row in rows)
    minutes = timedelta(minutes=1)
    assert told == [
        (False, 20 * minutes, 60, "fair"), (False, 30 * minutes, 75, "good"), (False, 130 * minutes, 10, "poor"),
        (True, 30 * minutes, 75, "good"), (True, 70 * minutes, 74, "good"), (True, 130 * minutes, 10, "poor"),
    ]  # fmt: skip
    before = health_before([plant.part(0).pk], at=start + 25 * minutes)
    assert before[plant.part(0).pk].health == 60
    assert health_before([plant.part(0).pk], at=start - HOUR) == {}


def test_a_warning_stands_from_its_crossing_until_it_clears(plant, say) -> None:
    for hours, probability in enumerate([0.3, 0.55, 0.45, 0.8, 0.39, 0.2, 0.6]):
        say(1, plant.now + hours * HOUR, probability)
    rows = list(HealthWarning.objects.order_by("raised_at"))
    assert [(row.probability, row.peak) for row in rows] == [(0.55, 0.8), (0.6, 0.6)]
    assert [row.raised_at - plant.now for row in rows] == [HOUR, 6 * HOUR]
    assert rows[0].cleared_at == plant.now + 4 * HOUR
    assert standing_warnings([plant.part(1).pk]) == {plant.part(1).pk: rows[1]}


def test_the_threshold_is_the_design_s(plant, say) -> None:
    HealthPolicy.objects.create(design=plant.design, warning_threshold=0.2)
    say(0, plant.now, 0.3)
    assert HealthWarning.objects.get().threshold == 0.2


def test_a_failure_within_the_horizon_makes_it_right_and_is_its_lead(plant, say) -> None:
    say(0, plant.now, 0.7)
    fail(plant, 0, plant.now + 9 * DAY)
    assert judge_ledger(now=plant.now + 9 * DAY) == 1
    row = HealthWarning.objects.get()
    assert (row.verdict, row.failed_at) == ("right", plant.now + 9 * DAY)
    assert judge_ledger(now=plant.now + 10 * DAY) == 0


def test_without_a_failure_it_is_false_and_a_late_record_corrects_that(plant, say) -> None:
    say(0, plant.now, 0.7)
    say(0, plant.now + DAY, 0.1)
    assert judge_ledger(now=plant.now + 9 * DAY) == 0
    assert judge_ledger(now=plant.now + 11 * DAY) == 1
    assert verdicts() == [("false", False)]
    fail(plant, 0, plant.now + 5 * DAY)
    assert judge_ledger(now=plant.now + 12 * DAY) == 1
    assert verdicts() == [("right", False)]


def test_a_removal_before_anybody_could_know_makes_it_void(plant, say) -> None:
    say(0, plant.now, 0.7)
    new = create_items(items=[Item(design=plant.design, serial_number="new")])[0]
    replace_item(asset=plant.part(0), item=new, at=plant.now + 3 * DAY, reason="planned")
    judge_ledger(now=plant.now + 4 * DAY)
    assert verdicts() == [("void", True)]
    say(0, plant.now + 4 * DAY, 0.6)
    assert verdicts() == [("void", False), ("open", True)]
    record = HealthRecord.objects.get(asset=plant.part(0), at=plant.now)
    assert (record.came_true, record.horizon_days) == (None, None)


def test_probabilities_are_scored_when_the_truth_is_known(plant, say) -> None:
    for place, probability in enumerate([0.9, 0.4, 0.2, 0.1]):
        say(place, plant.now, probability)
    fail(plant, 0, plant.now + 2 * DAY)
    judge_ledger(now=plant.now + 3 * DAY)
    assert HealthRecord.objects.exclude(came_true=None).count() == 1
    fail(plant, 1, plant.now + 12 * DAY)
    judge_ledger(now=plant.now + 13 * DAY)
    found = track_records([plant.design.pk])[plant.design.pk, plant.assets["P"].pk]
    assert found.calibration is not None
    assert found.calibration.brier == pytest.approx((0.1**2 + 0.4**2 + 0.2**2 + 0.1**2) / 4)
    assert found.calibration.brier_of_a_constant == pytest.approx(0.25 * 0.75)


def test_a_planner_reads_how_the_last_warnings_turned_out(plant, say) -> None:
    for place in range(5):
        say(place, plant.now, 0.7)
    say(5, plant.now, 0.1)
    for place, days in [(0, 4), (1, 9), (2, 6), (5, 6)]:
        fail(plant, place, plant.now + days * DAY)
    judge_ledger(now=plant.now + 40 * DAY)
    found = track_records([plant.design.pk])[plant.design.pk, plant.assets["P"].pk].warnings
    assert (found.right, found.false, found.missed) == (3, 2, 1)
    assert found.sentence() == "Of the last 5 such warnings 3 were right, median lead 6 days."
    assert track_records([plant.design.pk], limit=2)[plant.design.pk, plant.assets["P"].pk].warnings.judged == 2
    assert track_records([]) == {}


def test_history_is_thinned_and_ends(plant, say) -> None:
    for hours in range(60):
        say(0, plant.now + hours * HOUR, 0.1)
    assert prune_ledger(now=plant.now + 20 * DAY) == 0
    assert prune_ledger(now=plant.now + 40 * DAY) == 60 - 3
    assert prune_ledger(now=plant.now + 740 * DAY) == 3
    assert not HealthRecord.objects.exists()


def test_an_older_state_changes_no_newer_record(plant, say) -> None:
    say(0, plant.now + timedelta(minutes=30), 0.1, 50.0)
    say(0, plant.now, 0.1, 49.0)
    assert HealthRecord.objects.get().health == 50.0
