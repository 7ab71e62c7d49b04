"""The hierarchy: positions of systems, products and parts.

The parent reference is the truth; root and path are derived from it.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models

from assets.models.searching import found_by
from assets.querysets import AssetQuerySet


class Level(models.TextChoices):
    """A parent's level is never below its child's: system over product over part; levels may repeat."""

    SYSTEM = "system"
    PRODUCT = "product"
    PART = "part"

    @property
    def rank(self) -> int:
        """0 for a system, 1 for a product, 2 for a part."""
        return list(Level).index(self)


class AssetStatus(models.TextChoices):
    PLANNED = "planned"
    OPERATING = "operating"
    STANDBY = "standby"
    RETIRED = "retired"


class Asset(models.Model):
    """A position in the hierarchy ("drive-end bearing of generator 2"), whatever item is installed there."""

    tag = models.CharField(max_length=100, help_text="Short name, unique within the whole tree it stands in.")
    name = models.CharField(max_length=200)
    level = models.CharField(max_length=8, choices=Level.choices)
    type = models.ForeignKey("twins_assets.AssetType", models.PROTECT, null=True, blank=True, related_name="assets")
    design = models.ForeignKey(
        "twins_assets.Design",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="assets",
        help_text="The design an item at this position should be made to.",
    )
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    # What stands below is protected by its parent; PROTECT here as well would keep a root from being deleted by itself.
    root = models.ForeignKey("self", models.DO_NOTHING, null=True, editable=False, related_name="+")
    path = ArrayField(
        models.BigIntegerField(), default=list, editable=False, help_text="Ids from the root to this asset, derived."
    )
    criticality = models.PositiveSmallIntegerField(default=3, help_text="1 negligible to 5 essential.")
    status = models.CharField(max_length=10, choices=AssetStatus.choices, default=AssetStatus.OPERATING)
    retired_at = models.DateTimeField(null=True, blank=True, help_text="Since when it is out of use for good.")
    attributes = models.JSONField(
        default=dict, blank=True, help_text="Values of this position: name to number, text or truth."
    )

    objects = AssetQuerySet.as_manager()

    class Meta:
        ordering = ["tag", "id"]
        constraints = [
            models.UniqueConstraint(fields=["root", "tag"], name="asset_tag_unique_in_tree"),
            models.CheckConstraint(condition=models.Q(level__in=Level.values), name="asset_level_known"),
            models.CheckConstraint(
                condition=models.Q(criticality__gte=1, criticality__lte=5), name="asset_criticality_1_to_5"
            ),
            models.CheckConstraint(
                condition=models.Q(parent__isnull=True) | ~models.Q(parent=models.F("id")),
                name="asset_not_its_own_parent",
            ),
            models.CheckConstraint(
                condition=models.Q(retired_at__isnull=True) | models.Q(status=AssetStatus.RETIRED),
                name="asset_retired_at_of_retired",
            ),
        ]
        indexes = [
            GinIndex(fields=["path"], name="asset_path_gin"),
            models.Index(fields=["parent", "tag", "id"]),
            models.Index(fields=["tag", "id"], name="asset_by_tag"),
            models.Index(fields=["level", "id"], name="asset_by_level"),
            found_by("asset", "tag"),
            found_by("asset", "name"),
        ]

    def __str__(self) -> str:
        return f"{self.tag} {self.name}"
