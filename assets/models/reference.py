"""By what key somebody else's system knows a row of the register."""

from __future__ import annotations

from typing import Any, Final

from django.db import models
from django.db.models.lookups import Exact

from assets.models.searching import found_by

TARGETS: Final = ("asset", "type", "design", "item", "sensor", "event", "relation", "installation")
"""The columns of which a reference fills exactly one."""


def _target(model: str) -> Any:
    # The partial unique constraint of each column is also its index.
    return models.ForeignKey(
        f"twins_assets.{model}",
        models.CASCADE,
        null=True,
        blank=True,
        db_index=False,
        related_name="external_references",
    )


class ExternalReference(models.Model):
    """`key` of a row of the register in `system`; `kind` tells apart what one system numbers twice."""

    system = models.CharField(max_length=64, help_text="Name of the other system: SAP, Maximo, historian.")
    kind = models.CharField(
        max_length=64, blank=True, help_text="What the key names there: equipment, functional location."
    )
    key = models.CharField(max_length=200)
    asset = _target("Asset")
    type = _target("AssetType")
    design = _target("Design")
    item = _target("Item")
    sensor = _target("Sensor")
    event = _target("MaintenanceEvent")
    relation = _target("Relation")
    installation = _target("Installation")

    class Meta:
        ordering = ["system", "kind", "key"]
        indexes = [found_by("reference", "key")]
        constraints = [
            models.UniqueConstraint(fields=["system", "kind", "key"], name="reference_unique"),
            models.CheckConstraint(
                condition=Exact(models.Func(*TARGETS, function="num_nonnulls", output_field=models.IntegerField()), 1),
                name="reference_has_one_target",
            ),
            *(
                models.UniqueConstraint(
                    fields=[target, "system", "kind"],
                    condition=models.Q((f"{target}__isnull", False)),
                    name=f"reference_once_per_{target}",
                )
                for target in TARGETS
            ),
        ]

    def __str__(self) -> str:
        return ":".join(part for part in (self.system, self.kind, self.key) if part)

    @property
    def target_field(self) -> str:
        """Which of `TARGETS` is filled; empty when none is."""
        return next((target for target in TARGETS if getattr(self, f"{target}_id") is not None), "")
