"""What was overwritten: readings that were there and are others now, for the stages that had used them."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now


class Correction(models.Model):
    """Readings of a sensor that were overwritten with another value or quality. Ids are in order of commit.

    Written by the compaction that finds it, in its transaction, and joined with what nobody has looked at yet. What
    arrives late and overwrites nothing is none.
    """

    id = models.BigAutoField(primary_key=True)
    sensor = models.ForeignKey("twins_assets.Sensor", models.CASCADE, related_name="corrections")
    time_min = models.DateTimeField()
    time_max = models.DateTimeField()
    readings = models.PositiveIntegerField(help_text="How many were overwritten, between these times.")
    batch = models.BigIntegerField(help_text="The newest that stands there; batches may be forgotten, so no reference.")
    found_at = models.DateTimeField(db_default=Now())
    watched = models.BooleanField(db_default=False, help_text="What was found at the sensor is right again.")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(time_min__lte=F("time_max"), readings__gt=0), name="correction_of_something"
            ),
        ]
        indexes = [
            models.Index(fields=["found_at"], name="correction_by_age"),
            models.Index(fields=["sensor", "id"], condition=Q(watched=False), name="correction_unwatched"),
        ]

    def __str__(self) -> str:
        return (
            f"{self.sensor_id}: {self.readings} from {self.time_min:%Y-%m-%d %H:%M} to {self.time_max:%Y-%m-%d %H:%M}"
        )
