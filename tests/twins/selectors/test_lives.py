"""How installations and events become lives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assets.models import Asset, AssetType, Design, Item, MaintenanceEvent
from assets.services import NewAsset, NewInstallation, create_assets, create_items, install_items, record_events
from twins.lake import microseconds
from twins.selectors.health import lives_of, units_of
from twins.selectors.labels import labels_of

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def _day(number: float) -> datetime:
    return BEGIN + timedelta(days=number)


@pytest.fixture
def place(db: None) -> tuple[Asset, Item]:
    kind = AssetType.objects.create(code="seal", name="Seal")
    design = Design.objects.create(type=kind, code="SEAL", name="Seal")
    asset = create_assets(rows=[NewAsset(tag="S", name="Seal", level="part")])["S"]
    item, _ = create_items(items=[Item(design=design, serial_number=str(number)) for number in range(2)])
    return asset, item


def _spans(item: Item, now: float) -> list[tuple[float, float, bool]]:
    lives = lives_of([item.design], now=_day(now))[item.design_id]
    zero, day = microseconds(BEGIN), 86_400_000_000
    return [((life.start - zero) / day, (life.end - zero) / day, life.failed) for life in lives]


def _event(asset: Asset, kind: str, start: float, end: float | None = None, item: Item | None = None) -> Any:
    ended = None if end is None else _day(end)
    return MaintenanceEvent(asset=asset, item=item, kind=kind, started_at=_day(start), ended_at=ended)


def test_an_installation_is_a_life_until_now(place) -> None:
    asset, item = place
    install_items(installations=[NewInstallation(asset=asset, item=item, start=BEGIN)])
    assert _spans(item, 10) == [(0, 10, False)]
    assert _spans(item, 0) == []
    assert units_of([asset.pk], now=BEGIN - timedelta(days=1)) == []


def test_a_removal_without_failure_ends_a_life_that_survived(place) -> None:
    asset, item = place
    install_items(installations=[NewInstallation(asset=asset, item=item, start=BEGIN, end=_day(7))])
    record_events(events=[_event(asset, "preventive", 7), _event(asset, "failure", 8)])
    assert _spans(item, 10) == [(0, 7, False)]


def test_a_repair_in_place_begins_a_new_life(place) -> None:
    asset, item = place
    install_items(installations=[NewInstallation(asset=asset, item=item, start=BEGIN)])
    record_events(events=[_event(asset, "failure", 4, end=5), _event(asset, "failure", 6)])
    assert _spans(item, 10) == [(0, 4, True), (5, 6, True)]
    assert units_of([asset.pk], now=_day(10))[0].life.failed
    record_events(events=[_event(asset, "repair", 8)])
    assert _spans(item, 10) == [(0, 4, True), (5, 6, True), (8, 10, False)]


def test_two_reports_of_one_failure_are_one(place) -> None:
    asset, item = place
    install_items(installations=[NewInstallation(asset=asset, item=item, start=BEGIN)])
    record_events(events=[_event(asset, "failure", 4, end=6), _event(asset, "failure", 4.5, end=6)])
    assert _spans(item, 10) == [(0, 4, True), (6, 10, False)]


def test_what_has_not_happened_yet_or_to_another_item_does_not_count(place) -> None:
    asset, item = place
    other = Item.objects.exclude(pk=item.pk).get()
    install_items(installations=[NewInstallation(asset=asset, item=item, start=_day(2))])
    record_events(
        events=[_event(asset, "failure", 1), _event(asset, "failure", 5, item=other), _event(asset, "failure", 9)]
    )
    assert _spans(item, 8) == [(2, 8, False)]


def test_every_label_leads_to_its_records_and_every_event_left_out_has_its_reason(place) -> None:
    asset, item = place
    install_items(
        installations=[NewInstallation(asset=asset, item=item, start=_day(2), end=_day(20), removal_reason="worn")]
    )
    early, first, again, late, planned = record_events(
        events=[
            _event(asset, "failure", 1, item=item), _event(asset, "failure", 5, end=6), _event(asset, "failure", 6.01),
            _event(asset, "failure", 25), _event(asset, "preventive", 8),
        ]
    )  # fmt: skip
    labels = labels_of([item.design], now=_day(30))[item.design_id]
    assert [(label.outcome, label.segment.start, label.segment.end) for label in labels.lives] == [
        ("failed", _day(2), _day(5)),
        ("removed", _day(6), _day(20)),
    ]
    assert labels.lives[0].segment.failure == first
    assert labels.lives[0].segment.merged == [again]
    assert labels.lives[0].why == f"failure recorded as event {first.pk}; reported again as {again.pk}"
    assert labels.lives[1].why == "removed without a failure (worn)"
    assert {one.event.pk: one.why for one in labels.dismissed} == {
        early.pk: "it is dated before its item was installed (2026-01-03 00:00)",
        late.pk: "no item was installed there then",
        planned.pk: "planned work is no failure",
    }
    assert _spans(item, 30) == [(2, 5, True), (6, 20, False)]
