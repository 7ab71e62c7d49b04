"""What is watched on arrival: the detector's state of each sensor, and what it found."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class SensorState(models.Model):
    """The state of the anomaly detector for one sensor. Written with what was found, so that neither counts twice."""

    sensor = models.OneToOneField("twins_assets.Sensor", models.CASCADE, primary_key=True, related_name="watch_state")
    until = models.DateTimeField(help_text="Readings up to this time are counted.")
    state = models.BinaryField(help_text="Numbers, little-endian; see twins.ml.states.")
    recent = models.BinaryField(
        default=b"", db_default=b"", help_text="What has changed since, a small part; empty: nothing."
    )

    class Meta:
        ordering = ["sensor_id"]

    def __str__(self) -> str:
        return f"{self.sensor_id} until {self.until:%Y-%m-%d %H:%M:%S}"


class PatternState(models.Model):
    """The state of the detector for the sensors of one asset together."""

    asset = models.OneToOneField("twins_assets.Asset", models.CASCADE, primary_key=True, related_name="pattern_state")
    until = models.DateTimeField(help_text="Readings up to this time are counted.")
    state = models.BinaryField(help_text="Numbers, little-endian; see twins.ml.patterns.")

    class Meta:
        ordering = ["asset_id"]

    def __str__(self) -> str:
        return f"{self.asset_id} until {self.until:%Y-%m-%d %H:%M:%S}"


class FindingKind(models.TextChoices):
    NOVELTY = "novelty", "novelty: unlike anything before"
    FLAT_LINE = "flat_line", "flat line: the value stands still"
    GAP = "gap", "gap: nothing is read"
    LIMIT = "limit", "limit: outside the valid range"
    PATTERN = "pattern", "pattern: the sensors of a part together are unusual"


class Finding(models.Model):
    """Something unusual at a sensor: when it began, and when it was over. Novelty only begins. Kept for a time."""

    sensor = models.ForeignKey("twins_assets.Sensor", models.CASCADE, null=True, blank=True, related_name="findings")
    asset = models.ForeignKey("twins_assets.Asset", models.CASCADE, related_name="findings")
    kind = models.CharField(max_length=10, choices=FindingKind.choices)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    value = models.FloatField(help_text="The reading that showed it.")
    score = models.FloatField(help_text="How unusual; its scale depends on the kind.")
    found_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-started_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["sensor", "kind", "started_at"], name="finding_once", nulls_distinct=True),
            models.CheckConstraint(condition=Q(kind__in=FindingKind.values), name="finding_kind_known"),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("started_at")), name="finding_ends_after_start"
            ),
        ]
        indexes = [
            models.Index(fields=["asset", "-started_at"], name="finding_of_asset"),
            models.Index(fields=["sensor", "kind"], condition=Q(ended_at__isnull=True), name="finding_open"),
            models.Index(fields=["found_at"], name="finding_age"),
        ]

    def __str__(self) -> str:
        # Named where sensor and asset were fetched along; text is no reason for a query.
        known = self._state.fields_cache
        where = known.get("sensor") or known.get("asset") or self.sensor_id or self.asset_id
        return f"{self.kind} at {where} {self.started_at:%Y-%m-%d %H:%M}"
