"""Django's entry to the twins: start-up checks, and the listeners that turn what happened into background work."""

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured
from django.db.models.signals import post_migrate

from twins.conf import settings


class TwinsConfig(AppConfig):
    name = "twins"
    label = "twins"
    verbose_name = "Digital twins"
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        # Earlier than any check: without the register the models cannot even be imported.
        if not apps.is_installed("assets"):
            raise ImproperlyConfigured("The register is missing: add 'assets' to INSTALLED_APPS, before 'twins'.")
        super().import_models()

    def ready(self) -> None:
        # A wrong TWINS is said now and not at the first request; a server does not run the checks.
        settings()

        from assets.groups import let_planners_view
        from twins import checks, tasks  # noqa: F401  (both register themselves on import)

        post_migrate.connect(let_planners_view, sender=self)
