"""Reason: what was planned. A type names a kind of asset, a design is one revision of how that kind is made."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class AssetType(models.Model):
    """A kind of asset ("rolling bearing"); a type inherits from its parent type."""

    code = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=200)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="subtypes")
    iso14224 = models.CharField(
        "ISO 14224 class", max_length=64, blank=True, help_text="Equipment class code; empty: that of the parent type."
    )
    # A trigger keeps it, because types are few and made by hosts in many ways; it also refuses cycles.
    path = ArrayField(
        models.BigIntegerField(), default=list, editable=False, help_text="Ids from the top type to this one, derived."
    )

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class Design(models.Model):
    """A revision of a type: how long it should live, in what unit life is counted, and how it fails."""

    type = models.ForeignKey(AssetType, models.PROTECT, related_name="designs")
    code = models.CharField(max_length=64)
    revision = models.CharField(max_length=32, default="A")
    based_on = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="revisions", help_text="The revision it improves."
    )
    name = models.CharField(max_length=200)
    manufacturer = models.CharField(max_length=200, blank=True)
    parameters = models.JSONField(
        default=dict, blank=True, help_text="As-designed values: name to number, text or truth."
    )
    life_unit = models.CharField(
        max_length=32,
        default="d",
        help_text="UCUM unit in which life is counted: d for calendar days, else the unit of the item's usage sensor.",
    )
    expected_life = models.FloatField(null=True, blank=True, help_text="Expected life in the life unit.")
    planning_horizon = models.FloatField(
        null=True,
        blank=True,
        help_text="Remaining life beyond which the answer is 'more than this', in the life unit; "
        "empty: suggested from the recorded lives.",
    )

    class Meta:
        ordering = ["code", "revision"]
        constraints = [
            models.UniqueConstraint(fields=["code", "revision"], name="design_code_revision_unique"),
            models.CheckConstraint(
                condition=models.Q(expected_life__isnull=True) | models.Q(expected_life__gt=0),
                name="design_expected_life_positive",
            ),
            models.CheckConstraint(
                condition=models.Q(planning_horizon__isnull=True) | models.Q(planning_horizon__gt=0),
                name="design_planning_horizon_positive",
            ),
            models.CheckConstraint(
                condition=models.Q(based_on__isnull=True) | ~models.Q(based_on=models.F("id")),
                name="design_not_based_on_itself",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} rev. {self.revision}"
