"""Run: what happened to an asset. Failures recorded here are the labels every prediction learns from."""

from __future__ import annotations

from django.db import models

from assets.models.searching import found_by


class EventKind(models.TextChoices):
    FAILURE = "failure"
    REPAIR = "repair"
    INSPECTION = "inspection"
    REPLACEMENT = "replacement"
    PREVENTIVE = "preventive"
    ORDER = "order"
    DESIGN_CHANGE = "design_change"


class RunningState(models.TextChoices):
    """What the asset was doing when it happened."""

    RUNNING = "running"
    STARTING = "starting"
    STOPPING = "stopping"
    IDLE = "idle"
    STANDBY = "standby"
    TESTING = "testing"
    STOPPED = "stopped"


class MaintenanceEvent(models.Model):
    """Something that happened at an asset, to the item that was installed there if one was."""

    asset = models.ForeignKey("twins_assets.Asset", models.PROTECT, related_name="events")
    item = models.ForeignKey("twins_assets.Item", models.PROTECT, null=True, blank=True, related_name="events")
    kind = models.CharField(max_length=16, choices=EventKind.choices)
    mode = models.CharField("failure mode", max_length=64, blank=True)
    cause = models.CharField(max_length=64, blank=True)
    running_state = models.CharField(
        max_length=8, choices=RunningState.choices, blank=True, help_text="What the asset was doing; empty: unknown."
    )
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    downtime_hours = models.FloatField(null=True, blank=True)
    cost = models.DecimalField(max_digits=14, decimal_places=2, null=True, blank=True)
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["-started_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=True) | models.Q(ended_at__gte=models.F("started_at")),
                name="event_ends_after_start",
            ),
            models.CheckConstraint(
                condition=models.Q(downtime_hours__isnull=True) | models.Q(downtime_hours__gte=0),
                name="event_downtime_not_negative",
            ),
        ]
        indexes = [models.Index(fields=["asset", "-started_at"]), found_by("event", "note")]

    def __str__(self) -> str:
        # At its asset where that was read along; text is no reason for a query.
        asset = self._state.fields_cache.get("asset")
        where = f" at {asset.tag}" if asset else ""
        return f"{self.get_kind_display().lower()}{where} {self.started_at:%Y-%m-%d}"
