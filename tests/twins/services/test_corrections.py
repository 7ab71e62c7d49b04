"""What overwrites readings that were there is on record once, and what was made of them is made anew."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from django.utils import timezone

from assets.models import Sensor
from twins import events, lake
from twins.conf import settings
from twins.models import Assessment, Correction, LakeFile
from twins.selectors.health import stale_units
from twins.services import traces
from twins.services.assessment import assess_assets, assess_stale
from twins.services.compaction import compact_crowded_days, compact_hot_tail, settle_day, sweep_lake
from twins.services.corrections import prune_corrections
from twins.services.ingestion import accept_readings
from twins.services.training import train_design

from ..conftest import NOW

T0 = datetime(2026, 5, 1, 23, 59, 30, tzinfo=NOW.tzinfo)
S = timedelta(seconds=1)
Row = tuple[int, datetime, datetime, int]


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_listeners", defaultdict(list))
    traces._entries.clear()


def noted(after: int = 0) -> list[Row]:
    rows = Correction.objects.filter(pk__gt=after).order_by("id")
    return list(rows.values_list("sensor_id", "time_min", "time_max", "readings"))


def test_corrections_are_those_that_a_dict_written_in_order_would_see(sensor_keys, accept) -> None:
    """Late, doubled, replayed and corrected readings, hot and compacted; of each round of compaction its own."""
    dice = random.Random(11)
    known: dict[tuple[int, datetime], float] = {}
    told: list[Any] = []
    events.listen("readings_corrected", told.append)
    changed: dict[int, set[datetime]] = defaultdict(set)
    wrote: dict[tuple[int, datetime], int] = {}
    rounds = 0
    for number in range(80):
        rows = {
            (dice.choice(sensor_keys), T0 + dice.randrange(max(0, number - 20), number + 5) * S): float(
                dice.randrange(3)
            )
            for _ in range(12)
        }
        batch = accept([(*key, value) for key, value in rows.items()], key=str(number)).batch
        for (sensor, time), value in rows.items():
            if known.get((sensor, time), value) != value:
                changed[sensor].add(time)
            wrote[sensor, time] = batch
        known |= rows
        if dice.random() < 0.4:
            last = Correction.objects.order_by("id").values_list("pk", flat=True).last() or 0
            told.clear()
            assert compact_hot_tail() > 0
            expected = [(key, min(times), max(times), len(times)) for key, times in sorted(changed.items())]
            assert noted(last) == expected
            newest = {key: max(wrote[key, time] for time in times) for key, times in changed.items()}
            assert dict(Correction.objects.filter(pk__gt=last).values_list("sensor_id", "batch")) == newest
            payload = [[key, *map(lake.microseconds, (first, until))] for key, first, until, _ in expected]
            assert told == ([{"batch": max(newest.values()), "rows": payload}] if changed else [])
            rounds += bool(changed)
            changed.clear()
            Correction.objects.update(watched=True)
        if dice.random() < 0.2:
            compact_crowded_days(fan_in=2)
        if number in (30, 60):
            settle_day(day=T0.date())
            sweep_lake(now=timezone.now() + timedelta(hours=2))
    assert rounds > 15


def test_what_is_new_late_or_said_again_is_no_correction(sensor_keys, accept) -> None:
    rows = [(key, T0 + 2 * i * S, float(i)) for key in sensor_keys for i in range(50)]
    accept(rows)
    compact_hot_tail()
    accept([(key, T0 + (2 * i + 1) * S, float(i)) for key in sensor_keys for i in range(50)])
    accept(rows[:100], key="again")
    compact_hot_tail()
    accept(rows, key="and again")
    compact_hot_tail()
    settle_day(day=T0.date())

    assert noted() == []


def test_another_quality_is_a_correction(sensor_keys, accept) -> None:
    accept([(sensor_keys[0], T0, 1.0)])
    compact_hot_tail()
    table = pa.table(
        {
            "sensor": pa.array([sensor_keys[0]], pa.int32()),
            "time": pa.array([T0], pa.timestamp("us", "UTC")),
            "value": [1.0],
            "quality": pa.array([2**30], pa.int32()),
        }
    )
    accept_readings(readings=table, source="laboratory")
    compact_hot_tail()

    assert noted() == [(sensor_keys[0], T0, T0, 1)]


def test_a_sensor_that_left_and_a_file_that_is_lost_hold_up_nothing(sensor_keys, accept) -> None:
    gone, stays, lost = sensor_keys[:3]
    accept([(key, T0, 1.0) for key in (gone, stays)])
    compact_hot_tail()
    accept([(lost, T0 + 40 * S, 1.0)])
    compact_hot_tail()
    accept([(gone, T0, 2.0), (stays, T0, 2.0), (lost, T0 + 40 * S, 2.0)])
    Sensor.objects.filter(pk=gone).delete()
    lake.remove_files(settings().LAKE, [LakeFile.objects.get(day=date(2026, 5, 2)).path])

    assert compact_hot_tail() == 1
    assert noted() == [(stays, T0, T0, 1)]


def test_what_nobody_has_looked_at_is_one_row_of_a_sensor(sensor_keys, accept) -> None:
    one, other = sensor_keys[:2]
    accept([(key, T0 + i * S, 1.0) for key in (one, other) for i in range(9)])
    compact_hot_tail()
    for number, (key, at) in enumerate([(one, 5), (other, 1), (one, 2), (one, 7), (one, 7)]):
        accept([(key, T0 + at * S, 2.0 + number)])
        compact_hot_tail()

    assert noted() == [(other, T0 + S, T0 + S, 1), (one, T0 + 2 * S, T0 + 7 * S, 4)]
    Correction.objects.update(watched=True)
    accept([(one, T0, 9.0)])
    compact_hot_tail()
    assert noted()[2:] == [(one, T0, T0, 1)]


def test_corrections_are_kept_for_a_time_and_a_number(sensor_keys, accept, monkeypatch) -> None:
    for value in range(4):
        accept([(sensor_keys[0], T0, float(value))])
        compact_hot_tail()
        Correction.objects.update(watched=True)
    assert len(noted()) == 3

    assert prune_corrections(now=timezone.now()) == 0
    monkeypatch.setattr("twins.services.corrections.MOST_KEPT", 2)
    assert prune_corrections(now=timezone.now()) == 1
    assert prune_corrections(now=timezone.now() + timedelta(days=31)) == 2


def test_health_after_a_correction_is_that_of_a_process_that_never_saw_the_wrong_value(seals, accept) -> None:
    """The corrected reading is old: neither the latest reading nor its batch tells of it."""
    assert train_design(design=seals.design, now=seals.now).model is not None
    compact_hot_tail()
    assess_assets(assets=seals.parts, now=seals.now)
    assert stale_units(now=seals.now, limit=100) == []
    fields = [field.name for field in Assessment._meta.concrete_fields if field.name != "assessed_at"]

    def believed() -> list[dict[str, Any]]:
        return list(Assessment.objects.filter(asset__in=seals.parts).order_by("asset").values(*fields))

    before = believed()
    accept([(seals.keys["S3", "leak"], seals.now - timedelta(days=day), 12.0) for day in range(3, 20)])
    compact_hot_tail()
    assert stale_units(now=seals.now, limit=100) == [seals.part(3).pk]

    assert seals.part(3).pk in assess_stale(now=seals.now)
    assert stale_units(now=seals.now, limit=100) == []
    after = believed()
    traces._entries.clear()
    assess_assets(assets=seals.parts, now=seals.now)
    assert [row | {"correction": 0} for row in believed()] == [row | {"correction": 0} for row in after]
    changed = [old["asset"] for old, new in itertools.zip_longest(before, after) if old["health"] != new["health"]]
    assert changed == [seals.part(3).pk]


def test_a_corrected_setting_above_touches_the_parts_below(seals, accept) -> None:
    assert train_design(design=seals.design, now=seals.now).model is not None
    compact_hot_tail()
    assess_assets(assets=seals.parts, now=seals.now)
    accept([(seals.keys["T5", "load"], seals.now - timedelta(days=5), 75.0)])
    compact_hot_tail()

    assert stale_units(now=seals.now, limit=100) == [seals.part(5).pk]
