"""Known time: a `Change` for each transaction that wrote to the register, and of every row a version for each change.

Triggers of the database write them (`assets.history` says how) and nothing rewrites them: a version holds the row as it
became, and is what the register says until the next version of that row; `gone` closes the row of an id. The version
models have the columns of their tables by the same names.
"""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.db import models

from assets.models.access import Grant
from assets.models.asset import Asset
from assets.models.declaration import FailureCode, ParameterDefinition
from assets.models.design import AssetType, Design
from assets.models.event import MaintenanceEvent
from assets.models.item import Installation, Item
from assets.models.reference import ExternalReference
from assets.models.relation import Relation
from assets.models.sensor import Sensor, SensorTemplate

_INDEXED: Final[dict[type[models.Model], tuple[str, ...]]] = {
    Asset: ("parent",),
    AssetType: (),
    Design: (),
    ExternalReference: (),
    FailureCode: (),
    Grant: (),
    Installation: ("asset", "item"),
    Item: (),
    MaintenanceEvent: ("asset",),
    ParameterDefinition: (),
    Relation: ("source", "target"),
    Sensor: ("asset",),
    SensorTemplate: (),
}
"""Every table of the register, and the columns by which its past rows are found as fast as today's."""


class Change(models.Model):
    """Who changed the register, when, through which door and why."""

    made_at = models.DateTimeField(
        null=True, editable=False, help_text="Instant of the commit, in the order of commits; empty until then."
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    actor = models.CharField(max_length=200, blank=True, help_text="Who it was, by the name of that day.")
    source = models.CharField(max_length=32, help_text="The door it came through: admin, graphql, a command, sql.")
    request = models.CharField(max_length=64, blank=True, help_text="Id of the request it was part of.")
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["made_at"], name="change_made_at"),
            models.Index(fields=["request"], name="change_request", condition=~models.Q(request="")),
        ]

    def __str__(self) -> str:
        return f"{self.source} by {self.actor or 'somebody'}"


class Version(models.Model):
    """What the versions of all tables have beside the columns of their table."""

    version = models.BigAutoField(primary_key=True)
    change = models.ForeignKey(Change, models.DO_NOTHING, db_constraint=False, related_name="+")
    gone = models.BooleanField(default=False, help_text="The row was deleted; the columns are what it was last.")

    class Meta:
        abstract = True


def _version_model(model: type[models.Model], indexed: tuple[str, ...]) -> type[Version]:
    short = str(model._meta.model_name)[:16]
    meta = {
        "app_label": model._meta.app_label,
        "db_table": f"{model._meta.db_table}version",
        "default_permissions": ("view",),
        "indexes": [
            models.Index(fields=["id", "version"], name=f"{short}_version_row"),
            *(models.Index(fields=[column], name=f"{short}_version_{column}") for column in indexed),
        ],
    }
    fields = {field.name: _column(field) for field in model._meta.local_concrete_fields}
    names = {"__module__": __name__, "Meta": type("Meta", (), meta), **fields}
    return type(f"{model.__name__}Version", (Version,), names)


def _column(field: Any) -> Any:
    """The same column, without what holds for the present only: keys, uniqueness, references that must exist."""
    if isinstance(field, models.ForeignKey):
        options: Any = {"null": field.null, "db_constraint": False, "db_index": False, "related_name": "+"}
        return models.ForeignKey(field.remote_field.model, models.DO_NOTHING, **options)
    if isinstance(field, models.BigAutoField):
        return models.BigIntegerField()
    if isinstance(field, models.AutoField):
        return models.IntegerField()
    column = field.clone()
    column._unique = column.db_index = False
    column.choices, column.help_text = None, ""
    return column


_VERSIONS: Final = {model: _version_model(model, indexed) for model, indexed in _INDEXED.items()}


def version_models() -> dict[type[models.Model], type[Version]]:
    """The tables of the register, and where the versions of their rows are."""
    return dict(_VERSIONS)
