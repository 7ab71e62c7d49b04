"""Reliability is told of what was installed: by design, build, place and mode, in days or in usage."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db.models import Q

from assets.models import AssetType, Design, Installation, Item, MaintenanceEvent, Sensor
from assets.services import (
    NewAsset,
    NewInstallation,
    create_assets,
    create_items,
    create_sensors,
    install_items,
    record_events,
)
from twins.selectors.health import lives_of
from twins.selectors.reliability import reliability_below, reliability_of

from ..conftest import NOW

DAY = timedelta(days=1)
PLACES = 40


@pytest.fixture
def bearings(transactional_db: None) -> tuple[Design, dict[str, Any]]:
    """At 40 places two bearings after each other; those cut with C7 live 0.6 times as long, most fail by spalling."""
    rng = np.random.default_rng(8)
    kind = AssetType.objects.create(code="bearing", name="Bearing")
    design = Design.objects.create(type=kind, code="B", name="Rolling bearing 6324")
    rows = [NewAsset(tag="P", name="Plant", level="system"), NewAsset(tag="Q", name="Hall", level="system", parent="P")]
    rows += [NewAsset(tag=f"B{n}", name="Bearing", level="part", parent="Q" if n < 20 else "P") for n in range(PLACES)]
    places = create_assets(rows=rows)
    made = [
        Item(
            design=design, serial_number=str(n), manufacturer="SKF",
            build={"cutter": f"C{5 + n % 4}", "batch": int(rng.integers(3)), "report": {"nested": 1}},
        )
        for n in range(2 * PLACES)
    ]  # fmt: skip
    items = create_items(items=made)
    wishes, events = [], []
    for number, item in enumerate(items):
        place = places[f"B{number % PLACES}"]
        life = 200 * rng.weibull(4) * (0.6 if item.build["cutter"] == "C7" else 1.0)
        start = NOW - (400 if number < PLACES else 150) * DAY
        end = start + min(life, 240) * DAY
        failed = life < 240 and end < NOW
        running = end >= NOW
        wishes.append(
            NewInstallation(
                asset=place, item=item, start=start, end=None if running else end,
                removal_reason="" if running else "failure" if failed else "planned",
            )
        )  # fmt: skip
        if failed:
            mode = "spalling" if number % 5 else "cage"
            events.append(MaintenanceEvent(asset=place, item=item, kind="failure", mode=mode, started_at=end))
    install_items(installations=wishes)
    record_events(events=events)
    return design, places


def test_the_planted_build_is_reported_with_its_interval(bearings) -> None:
    design, _ = bearings
    told = reliability_of([design], now=NOW)[design.pk]
    assert (told.lives, told.unit, told.repaired, told.uncounted) == (80, "d", False, 0)
    known = [one for one in told.comparisons if one.known]
    assert [(one.attribute, one.value, one.items, one.others) for one in known] == [("cutter", "C7", 20, 60)]
    assert known[0].low is not None and known[0].high is not None
    assert known[0].low < 0.6 < known[0].high < 1
    [sentence] = told.sentences()
    assert sentence.startswith("Rolling bearing 6324 with cutter C7 live ")
    assert "% shorter (" in sentence and "interval" in sentence
    assert {one.attribute for one in told.comparisons} == {"cutter", "batch"}


def test_exposure_failures_and_modes_are_those_of_the_register(bearings) -> None:
    design, _ = bearings
    told = reliability_of([design], now=NOW)[design.pk]
    failures = MaintenanceEvent.objects.filter(kind="failure")
    exposure = sum(((row.period.upper or NOW) - row.period.lower) / DAY for row in Installation.objects.all())
    assert told.mean.failures == failures.count()
    assert told.mean.exposure == pytest.approx(exposure)
    assert told.mean.value == pytest.approx(exposure / failures.count())
    assert {mode: of.failures for mode, of in told.modes} == {
        mode: failures.filter(mode=mode).count() for mode in ("spalling", "cage")
    }
    assert told.weibull is not None
    assert told.weibull.shape_low < 4 < told.weibull.shape_high + 1


def test_below_an_asset_only_what_is_there_counts(bearings) -> None:
    design, places = bearings
    hall = reliability_below(places["Q"].pk, now=NOW)
    assert {pk: told.lives for pk, told in hall.items()} == {design.pk: 40}
    one = reliability_below(places["B0"].pk, now=NOW)[design.pk]
    assert one.lives == 2
    assert "too few to compare builds" in one.sentences()[0]
    assert reliability_of([], now=NOW) == {}


def test_what_is_repaired_in_place_has_a_time_between_failures(bearings) -> None:
    design, _ = bearings
    asset = create_assets(rows=[NewAsset(tag="R", name="Repaired", level="part")])["R"]
    other = Design.objects.create(type=design.type, code="R", name="Gearbox")
    item = create_items(items=[Item(design=other, serial_number="1")])[0]
    install_items(installations=[NewInstallation(asset=asset, item=item, start=NOW - 100 * DAY)])
    record_events(events=[
        MaintenanceEvent(asset=asset, kind="failure", started_at=NOW - at * DAY, ended_at=NOW - (at - 2) * DAY)
        for at in (80, 50)
    ])  # fmt: skip
    told = reliability_of([other], now=NOW)[other.pk]
    assert (told.repaired, told.lives, told.mean.failures) == (True, 3, 2)
    assert told.mean.value == pytest.approx((20 + 28 + 48) / 2)


def test_usage_is_counted_and_what_nobody_counted_is_left_out(bearings, accept) -> None:
    design, _ = bearings
    other = Design.objects.create(type=design.type, code="H", name="Pump", life_unit="h")
    places = create_assets(rows=[NewAsset(tag=tag, name=tag, level="part") for tag in ("H1", "H2")])
    counter = create_sensors(
        sensors=[Sensor(asset=places["H1"], name="hours", quantity="time", unit="h", role="usage")]
    )[0]
    items = create_items(items=[Item(design=other, serial_number=str(n)) for n in range(2)])
    install_items(installations=[
        NewInstallation(asset=places[tag], item=item, start=NOW - 100 * DAY)
        for tag, item in zip(("H1", "H2"), items, strict=True)
    ])  # fmt: skip
    accept([(counter.pk, NOW - (100 - day) * DAY, 1000.0 + 8 * day) for day in range(0, 51, 10)])
    told = reliability_of([other], now=NOW)[other.pk]
    assert (told.unit, told.lives, told.uncounted, told.mean.exposure) == ("h", 1, 1, 400.0)


def test_statements_do_not_grow_with_lives(bearings) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    design, places = bearings
    counts = []
    for ask in (lambda: reliability_below(places["B0"].pk, now=NOW), lambda: reliability_of([design], now=NOW)):
        with CaptureQueriesContext(connection) as queries:
            ask()
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 5


def test_only_what_may_be_seen_counts(bearings) -> None:
    design, places = bearings
    seen = Q(path__overlap=[places["Q"].pk])
    assert reliability_of([design], now=NOW, visible=seen)[design.pk].lives == 40
    assert reliability_below(places["P"].pk, now=NOW, visible=seen)[design.pk].lives == 40


def test_lives_are_those_that_are_learned_from(bearings) -> None:
    design, places = bearings
    first, second = Installation.objects.filter(asset=places["B3"]).order_by("period").values_list("item", flat=True)
    start = NOW - 400 * DAY
    record_events(events=[
        # Of nobody knows which item, so of the one that was there; once of the one that was not.
        MaintenanceEvent(asset=places["B3"], kind="failure", mode="seal", started_at=start + 3 * DAY),
        MaintenanceEvent(asset=places["B3"], kind="inspection", started_at=start + 4 * DAY),
        MaintenanceEvent(asset=places["B3"], item_id=first, kind="repair", started_at=start + 5 * DAY),
        MaintenanceEvent(asset=places["B3"], item_id=second, kind="failure", mode="bolt", started_at=start + 6 * DAY),
        MaintenanceEvent(asset=places["B3"], kind="failure", started_at=start + 9 * DAY, ended_at=start + 10 * DAY),
    ])  # fmt: skip
    told = reliability_of([design], now=NOW)[design.pk]
    lives = lives_of([design], now=NOW)[design.pk]
    assert told.lives == len(lives) == 82
    lived = sum((timedelta(microseconds=life.end - life.start) for life in lives), timedelta())
    assert told.mean.exposure == pytest.approx(lived / DAY)
    assert told.mean.failures == sum(life.failed for life in lives)
    modes = {mode: of.failures for mode, of in told.modes}
    assert (modes["seal"], modes[""], "bolt" in modes) == (1, 1, False)
