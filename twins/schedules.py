"""What runs by the clock. Hints start most work sooner; these entries find what a lost hint left."""

from __future__ import annotations

from typing import Any

BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    # A run that is due again before it was started is not worth two.
    "compact_hot_tail": {"task": "twins.compact_hot_tail", "schedule": 2.0, "options": {"expires": 2.0}},
    "compact_days": {"task": "twins.compact_days", "schedule": 30.0, "options": {"expires": 30.0}},
    "expire_readings": {"task": "twins.expire_readings", "schedule": 900.0, "options": {"expires": 900.0}},
    "assess_stale": {"task": "twins.assess_stale", "schedule": 3.0, "options": {"expires": 3.0}},
    "watch_arrivals": {"task": "twins.watch_arrivals", "schedule": 3.0, "options": {"expires": 3.0}},
    "notice_silence": {"task": "twins.notice_silence", "schedule": 60.0, "options": {"expires": 60.0}},
    "judge_ledger": {"task": "twins.judge_ledger", "schedule": 300.0, "options": {"expires": 300.0}},
    "prune_ledger": {"task": "twins.prune_ledger", "schedule": 86_400.0, "options": {"expires": 3_600.0}},
    "train_models": {"task": "twins.train_models", "schedule": 86_400.0, "options": {"expires": 3_600.0}},
    "sweep_lake": {"task": "twins.sweep_lake", "schedule": 60.0, "options": {"expires": 60.0}},
}
"""Entries for Celery's `beat_schedule`; a host's own app adds them with `app.conf.beat_schedule |= BEAT_SCHEDULE`."""
