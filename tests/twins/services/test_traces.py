"""A process goes on from the rows it laid, as long as no batch reaches back into them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pytest

from twins import ml
from twins.models import Batch
from twins.selectors.health import Unit, units_of
from twins.selectors.late import Seen, batches_seen, late_batches
from twins.services import traces
from twins.services.compaction import compact_hot_tail
from twins.services.traces import trace_units
from twins.services.training import train_design

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _own_state() -> Iterator[None]:
    traces._entries.clear()
    yield
    traces._entries.clear()


@pytest.fixture
def model(seals) -> ml.FleetModel:
    trained = train_design(design=seals.design, now=seals.now)
    assert trained.training is not None
    return trained.training.model


def _traced(seals, model: ml.FleetModel, now: datetime) -> list[ml.Trace]:
    return [each.rows for each in trace_units(units=_units(seals, now), model=model, now=now)]


def _units(seals, now: datetime) -> list[Unit]:
    return units_of(seals.parts, now=now)


def _made() -> set[datetime]:
    return {entry.made for entry in traces._entries.values()}


def _same(one: ml.Trace, other: ml.Trace) -> bool:
    fields = ("bins", "age", "time", "values", "newest")
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in fields)


def test_newer_readings_leave_what_was_laid_for_a_day(seals, model, accept) -> None:
    _traced(seals, model, seals.now)
    later = seals.now + 12 * HOUR
    accept([(seals.keys["S2", "leak"], later, 30.0)])
    compact_hot_tail()
    known = _traced(seals, model, later)
    assert _made() == {seals.now}
    traces._entries.clear()
    assert all(_same(a, b) for a, b in zip(known, _traced(seals, model, later), strict=True))
    assert _made() == {later}
    _traced(seals, model, later + 24 * HOUR)
    assert _made() == {later + 24 * HOUR}


def test_a_batch_that_reaches_back_makes_its_lives_be_read_again(seals, model, accept) -> None:
    """At once, hot or compacted, and only those whose sensors it may be about."""
    before = _traced(seals, model, seals.now)
    now = seals.now + HOUR
    accept([(seals.keys["S7", "temperature"], seals.now - timedelta(days=10), 500.0)])
    known = _traced(seals, model, now)
    assert [_same(a, b) for a, b in zip(before, known, strict=True)] == [*[True] * 7, False]
    assert [entry.made for entry in traces._entries.values()].count(now) == 1
    compact_hot_tail()
    traces._entries.clear()
    assert all(_same(a, b) for a, b in zip(known, _traced(seals, model, now), strict=True))


def test_what_came_late_is_known_once(seals, model, accept) -> None:
    accept([(seals.keys["S7", "temperature"], seals.now - timedelta(days=10), 500.0)])
    _traced(seals, model, seals.now)
    _traced(seals, model, seals.now + HOUR)
    assert _made() == {seals.now}


def test_what_was_not_seen_is_late_whatever_its_id(seals, accept) -> None:
    seen = batches_seen()
    before = set(Batch.objects.values_list("pk", flat=True))
    accept([(seals.keys["S7", "temperature"], seals.now, 50.0)])
    late = {one.batch for one in late_batches(after=seen.settled, until=seals.now)}
    (new,) = set(Batch.objects.values_list("pk", flat=True)) - before
    assert new in late
    assert [batch for batch in late if not seen.has(batch)] == [new]
    # An id that was given earlier and committed later.
    assert [Seen(4, frozenset({6})).has(batch) for batch in (4, 5, 6, 7)] == [True, False, True, False]
