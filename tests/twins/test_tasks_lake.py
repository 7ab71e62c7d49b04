"""The lake's background work: a hint costs its sender nothing, and the schedule finds what no hint told."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from celery import Celery
from django.db.models import F
from django.db.models.functions import Now

from twins import tasks
from twins.models import Batch
from twins.schedules import BEAT_SCHEDULE
from twins.services.compaction import DUE_AFTER, compact_due
from twins.services.ingestion import accept_readings

T0 = datetime(2026, 5, 1, tzinfo=UTC)


def hot() -> int:
    return Batch.objects.filter(compacted_at=None).count()


def test_a_hint_does_not_wait_for_a_broker_that_is_away() -> None:
    nowhere = Celery(broker="redis://127.0.0.1:1/0", set_as_current=False)

    @nowhere.task
    def unsent() -> None: ...

    took = []
    for _ in range(5):  # who waits for a broker does so each time, a busy machine does not
        started = time.monotonic()
        for _ in range(1000):
            tasks.hint(unsent)
        took.append(time.monotonic() - started)

    assert min(took) < 0.5


def test_the_hot_tail_is_due_by_age(sensor_keys, accept) -> None:
    accept([(sensor_keys[0], T0, 1.0)])
    # Accepted a moment ago, however long the test has waited since.
    Batch.objects.update(accepted_at=Now() - timedelta(seconds=DUE_AFTER) + timedelta(minutes=5))
    assert compact_due() == 0
    assert hot() == 1

    Batch.objects.update(accepted_at=F("accepted_at") - timedelta(minutes=5))
    assert compact_due() == 1
    assert hot() == 0


def test_the_hot_tail_is_due_by_size(sensor_keys) -> None:
    times = pa.array(range(200_000)).cast(pa.timestamp("us", "UTC"))
    sensor = pa.array([sensor_keys[0]] * 200_000)
    accept_readings(
        readings=pa.table({"sensor": sensor, "time": times, "value": pa.array([1.0] * 200_000)}), source="loader"
    )

    assert compact_due() == 1


def test_the_sweep_compacts_what_a_lost_hint_left(sensor_keys, accept) -> None:
    accept([(sensor_keys[0], T0, 1.0)])
    Batch.objects.update(accepted_at=F("accepted_at") - timedelta(minutes=5))

    tasks.sweep_lake()

    assert hot() == 0


def test_every_scheduled_task_exists() -> None:
    registered = {task.name for task in vars(tasks).values() if hasattr(task, "apply_async")}

    assert {entry["task"] for entry in BEAT_SCHEDULE.values()} <= registered
