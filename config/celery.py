"""The stand-alone project's Celery app: its queue is Redis, its clock the schedule that the twins ask for."""

import os

from celery import Celery
from celery.signals import worker_init
from django.db import connections

from twins.schedules import BEAT_SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("asset_twins")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = BEAT_SCHEDULE

_KEPT = 60
"""Seconds that a process of the worker uses a connection to the database again."""


@worker_init.connect(weak=False)
def keep_connections(**_: object) -> None:
    """Most tasks cost less than a new connection; whether an old one still stands is asked before each task."""
    for database in connections.settings.values():
        database["CONN_MAX_AGE"] = _KEPT
