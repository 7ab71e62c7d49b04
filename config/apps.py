"""Django's entry to the stand-alone project, so that its commands are found."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    name = "config"
    label = "config"
    verbose_name = "Stand-alone project"

    def ready(self) -> None:
        from config import celery  # noqa: F401  (the app that shared tasks belong to in this process)
