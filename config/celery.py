"""The stand-alone project's Celery app: its queue is Redis, its clock the schedule that the twins ask for."""

import os
import sys

from celery import Celery, Task
from celery.signals import task_prerun, worker_init
from django.db import close_old_connections, connections

from twins.schedules import BEAT_SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("asset_twins")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = BEAT_SCHEDULE

app.conf.CELERY_DB_REUSE_MAX = sys.maxsize
"""Celery itself closes no connection to the database: it would before and after each task."""

_KEPT = 60
"""Seconds that a process of the worker uses a connection to the database again."""


@worker_init.connect(weak=False)
def keep_connections(**_: object) -> None:
    """Most tasks cost less than a new connection."""
    for database in connections.settings.values():
        database["CONN_MAX_AGE"] = _KEPT


@task_prerun.connect(weak=False)
def drop_old_connections(task: Task, **_: object) -> None:
    """Whether a kept connection still stands is asked before each task."""
    if not task.request.is_eager:
        close_old_connections()
