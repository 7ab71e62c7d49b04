"""The host's own queue."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "plantco.settings")
app = Celery("plantco", broker=os.environ["REDIS_URL"], set_as_current=True)
app.autodiscover_tasks()
