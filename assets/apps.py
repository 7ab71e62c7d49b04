"""Django's entry to the register; the label keeps its tables apart from a host's own `assets`."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AssetsConfig(AppConfig):
    name = "assets"
    label = "twins_assets"
    verbose_name = "Asset register"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from assets.groups import let_planners_keep

        post_migrate.connect(let_planners_keep, sender=self)
