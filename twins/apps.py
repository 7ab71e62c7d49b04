"""Django's entry to the twins: start-up checks, and the listeners that turn what happened into background work."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TwinsConfig(AppConfig):
    name = "twins"
    label = "twins"
    verbose_name = "Digital twins"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from assets.permissions import let_planners_view
        from twins import checks, tasks  # noqa: F401  (both register themselves on import)

        post_migrate.connect(let_planners_view, sender=self)
