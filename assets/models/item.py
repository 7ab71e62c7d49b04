"""Realize and Run: a physical thing with a serial number, and the periods in which it sat at a position."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models

from assets.models.searching import found_by


class Item(models.Model):
    """A physical thing made to a design, with the record of how it was made."""

    design = models.ForeignKey("twins_assets.Design", models.PROTECT, related_name="items")
    serial_number = models.CharField(max_length=100)
    manufacturer = models.CharField(max_length=200, blank=True)
    build = models.JSONField(default=dict, blank=True, help_text="As-built values: batch, cutter, supplier.")
    acceptance = models.JSONField(default=dict, blank=True, help_text="Results of the tests before delivery, by name.")
    made_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True, help_text="Since when it is scrapped or sold.")
    retirement_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["serial_number", "id"]
        indexes = [found_by("item", "serial_number")]
        constraints = [
            models.UniqueConstraint(fields=["design", "serial_number"], name="item_serial_unique_in_design"),
            models.CheckConstraint(
                condition=models.Q(retired_at__isnull=False) | models.Q(retirement_reason=""),
                name="item_retirement_reason_of_retired",
            ),
        ]

    def __str__(self) -> str:
        return self.serial_number


class Installation(models.Model):
    """An item at an asset over a half-open period; an open end means it is there now."""

    asset = models.ForeignKey("twins_assets.Asset", models.PROTECT, related_name="installations")
    item = models.ForeignKey(Item, models.PROTECT, related_name="installations")
    period = DateTimeRangeField(help_text="[installed, removed), aware UTC.")
    removal_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["asset_id", "period", "id"]
        constraints = [
            ExclusionConstraint(
                name="installation_one_item_at_a_place",
                expressions=[("asset", RangeOperators.EQUAL), ("period", RangeOperators.OVERLAPS)],
            ),
            ExclusionConstraint(
                name="installation_one_place_of_an_item",
                expressions=[("item", RangeOperators.EQUAL), ("period", RangeOperators.OVERLAPS)],
            ),
            models.CheckConstraint(
                condition=models.Q(period__isempty=False, period__startswith__isnull=False),
                name="installation_period_has_a_start",
            ),
        ]
        indexes = [
            models.Index(fields=["asset"], name="installation_current", condition=models.Q(period__upper_inf=True))
        ]

    def __str__(self) -> str:
        # Which item where, as far as it was read along; text is no reason for a query.
        item, asset = (self._state.fields_cache.get(name) for name in ("item", "asset"))
        named = [item.serial_number] if item else []
        named += [f"at {asset.tag}"] if asset else []
        period = f"from {self.period.lower:%Y-%m-%d}"
        period += "" if self.period.upper is None else f" to {self.period.upper:%Y-%m-%d}"
        return " ".join([*named, period])
