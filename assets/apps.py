"""Django's entry to the register; the label keeps its tables apart from a host's own `assets`."""

from django.apps import AppConfig


class AssetsConfig(AppConfig):
    name = "assets"
    label = "twins_assets"
    verbose_name = "Asset register"
    default_auto_field = "django.db.models.BigAutoField"
