"""Background work, one line to a service each. A message is a hint: every task is idempotent and finds its work in PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from celery import shared_task
from django.utils import timezone

from twins import events
from twins.services import compaction

MAX_ROUNDS = 20
"""Rounds of compaction in one run of the task; the next run continues."""
HINT_INTERVAL = 1.0
"""Seconds between two hints from one process: one run takes all that came meanwhile."""


@shared_task(name="twins.compact_hot_tail", ignore_result=True)
def compact_hot_tail() -> None:
    for _ in range(MAX_ROUNDS):
        if not compaction.compact_hot_tail():
            break


@shared_task(name="twins.compact_days", ignore_result=True)
def compact_days() -> None:
    compaction.compact_crowded_days()


@shared_task(name="twins.sweep_lake", ignore_result=True)
def sweep_lake() -> None:
    if compaction.sweep_lake(now=timezone.now()).hot_batches:
        compact_hot_tail()


_next_hint = 0.0


def _hint_compaction(payload: Mapping[str, Any]) -> None:
    global _next_hint  # noqa: PLW0603  (a process's own pace, worth no lock)
    if (instant := time.monotonic()) >= _next_hint:
        _next_hint = instant + HINT_INTERVAL
        # No retries: acceptance does not wait for a broker that is away, the schedule comes anyway.
        compact_hot_tail.apply_async(retry=False, expires=10)


events.listen("readings_accepted", _hint_compaction)
