"""The stand-alone project's Celery app: its queue is Redis, its clock the schedule that the twins ask for."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("asset_twins")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
