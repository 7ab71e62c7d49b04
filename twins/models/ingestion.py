"""What was accepted and where it lies: write-ahead batches, the index of the lake's files, newest readings.

PostgreSQL decides. A reading is in the lake if its batch is hot (body or landing object) or its file is live; a file on
disk that no live row names is nothing.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Batch(models.Model):
    """Readings accepted together. Of two readings of one (sensor, time) the one with the higher batch id stands."""

    id = models.BigAutoField(primary_key=True)
    source = models.CharField(max_length=200, help_text="Who sent it; keys are unique within.")
    key = models.CharField(max_length=200, help_text="Idempotency key: a repeat gets the first answer.")
    content_hash = models.CharField(max_length=64, help_text="SHA-256 of the sorted readings.")
    fingerprint = models.CharField(max_length=64, null=True, help_text="SHA-256 of the request; null without a key.")
    rejected = models.PositiveIntegerField(db_default=0, help_text="Rows beside them that could not be taken.")
    rows_received = models.PositiveIntegerField()
    rows = models.PositiveIntegerField(help_text="Kept: of two readings of one (sensor, time) the last.")
    bytes = models.PositiveBigIntegerField(help_text="Size of body or landing object.")
    sensor_min = models.IntegerField()
    sensor_max = models.IntegerField()
    time_min = models.DateTimeField()
    time_max = models.DateTimeField()
    body = models.BinaryField(null=True, help_text="Arrow IPC stream; sensor, time, value, quality.")
    landing = models.CharField(max_length=200, null=True, help_text="Path in the lake of a body too big for a row.")
    accepted_at = models.DateTimeField(db_default=Now())
    compacted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        verbose_name_plural = "batches"
        constraints = [
            models.UniqueConstraint(fields=["source", "key"], name="batch_key_unique_at_source"),
            models.CheckConstraint(
                condition=Q(compacted_at__isnull=True, body__isnull=False, landing__isnull=True)
                | Q(compacted_at__isnull=True, body__isnull=True, landing__isnull=False)
                | Q(compacted_at__isnull=False, body__isnull=True, landing__isnull=True),
                name="batch_hot_has_one_body",
            ),
            models.CheckConstraint(
                condition=Q(rows__gt=0, rows__lte=F("rows_received"), sensor_min__lte=F("sensor_max"))
                & Q(time_min__lte=F("time_max")),
                name="batch_ranges_ordered",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(compacted_at__isnull=True), name="batch_hot"),
            models.Index(fields=["source", "-id"], name="batch_newest_of_source"),
        ]

    def __str__(self) -> str:
        return f"{self.source} {self.key}"


# What is known of a file only once it was written; a check constraint with a NULL in it would pass.
FILE_FACTS = (
    "rows", "bytes", "sha256", "sensor_min", "sensor_max", "time_min", "time_max", "batch_min", "batch_max",
)  # fmt: skip


class FileState(models.TextChoices):
    INTENT = "intent", "intent: may be on disk, holds nothing yet"
    LIVE = "live", "live: part of the lake"
    RETIRED = "retired", "retired: replaced, kept for readers that still hold it"


class Dataset(models.TextChoices):
    RAW = "raw", "raw: readings"
    MINUTE = "minute", "minute: their roll-up by the minute"


class LakeFile(models.Model):
    """A Parquet file of the lake. `level` counts how often its rows were merged into a larger file.

    A roll-up is `of` one file of readings and lives and goes with it; one that is of none is what retention left.
    """

    id = models.BigAutoField(primary_key=True)
    path = models.CharField(max_length=200, unique=True, help_text="Relative to the lake.")
    dataset = models.CharField(max_length=20, choices=Dataset.choices, default=Dataset.RAW)
    of = models.ForeignKey("self", models.CASCADE, null=True, related_name="rollups")
    minutes = models.PositiveBigIntegerField(
        null=True, help_text="Rows a roll-up of it has or would have; empty: nobody has counted yet."
    )
    cleaned_of = models.CharField(
        max_length=64, default="", help_text="Hash of the expired sensors it is known to hold nothing of."
    )
    level = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=10, choices=FileState.choices, default=FileState.INTENT)
    day = models.DateField(help_text="UTC day of every reading in it.")
    rows = models.PositiveBigIntegerField(null=True)
    bytes = models.PositiveBigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, null=True)
    sensor_min = models.IntegerField(null=True)
    sensor_max = models.IntegerField(null=True)
    time_min = models.DateTimeField(null=True)
    time_max = models.DateTimeField(null=True)
    batch_min = models.BigIntegerField(null=True)
    batch_max = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(db_default=Now())
    retired_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["day", "-level", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=FileState.values), name="lake_file_state_known"),
            models.CheckConstraint(
                condition=Q(state=FileState.INTENT)
                | Q(**{f"{name}__isnull": False for name in FILE_FACTS}, rows__gt=0)
                & Q(sensor_min__lte=F("sensor_max"), time_min__lte=F("time_max"), batch_min__lte=F("batch_max")),
                name="lake_file_described_when_live",
            ),
            models.CheckConstraint(
                condition=Q(state=FileState.RETIRED, retired_at__isnull=False)
                | ~Q(state=FileState.RETIRED) & Q(retired_at__isnull=True),
                name="lake_file_retired_has_instant",
            ),
        ]
        indexes = [
            models.Index(
                fields=["dataset", "day", "sensor_min"], condition=Q(state=FileState.LIVE), name="lake_file_live"
            ),
            models.Index(fields=["created_at"], condition=~Q(state=FileState.LIVE), name="lake_file_passing"),
        ]

    def __str__(self) -> str:
        return self.path


class LatestReading(models.Model):
    """The newest measured reading of a sensor among the compacted ones; the hot tail may hold a newer one."""

    sensor = models.OneToOneField(
        "twins_assets.Sensor", models.CASCADE, primary_key=True, related_name="latest_reading"
    )
    time = models.DateTimeField()
    value = models.FloatField()
    quality = models.IntegerField(help_text="OPC UA status code as int32: 0 good, above uncertain, below bad.")
    batch = models.BigIntegerField(help_text="The batch it came with; batches may be forgotten, so no reference.")

    class Meta:
        indexes = [
            models.Index(fields=["value", "sensor"], name="latest_reading_by_value"),
        ]

    def __str__(self) -> str:
        return f"{self.sensor_id}: {self.value} at {self.time:%Y-%m-%d %H:%M:%S}"
