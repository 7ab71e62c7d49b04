"""The stand-alone project's Celery app: its queue is Redis, its clock the schedule that the twins ask for."""

import os

from celery import Celery

from twins.schedules import BEAT_SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("asset_twins")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = BEAT_SCHEDULE
