"""What is measured. The UUID is a sensor's key everywhere outside; the small integer id is its key in the lake."""

from __future__ import annotations

import uuid

from django.db import models

from assets.models.declaration import Declared, one_owner, unique_in_owner
from assets.models.searching import found_by


class SensorRole(models.TextChoices):
    MEASUREMENT = "measurement", "measurement: says something about condition"
    SETTING = "setting", "setting: says how the asset is driven"
    USAGE = "usage", "usage counter: counts life"


class SensorPrivacy(models.TextChoices):
    RAW = "raw", "readings may leave the edge"
    AGGREGATED = "aggregated", "only aggregates may leave the edge"
    NEVER = "never", "nothing may leave the edge"


class Measured(models.Model):
    """What a sensor and the template of a sensor have in common."""

    quantity = models.CharField(max_length=100, help_text="What is measured: temperature, vibration velocity.")
    unit = models.CharField(max_length=32, default="1", help_text="UCUM code: Cel, mm/s, bar, {cycle}.")
    role = models.CharField(max_length=12, choices=SensorRole.choices, default=SensorRole.MEASUREMENT)
    expected_interval = models.FloatField(null=True, blank=True, help_text="Seconds between readings.")
    valid_min = models.FloatField(null=True, blank=True)
    valid_max = models.FloatField(null=True, blank=True)
    retention_days = models.PositiveIntegerField(null=True, blank=True, help_text="Empty: kept for ever.")
    privacy = models.CharField(max_length=10, choices=SensorPrivacy.choices, default=SensorPrivacy.RAW)

    class Meta:
        abstract = True


def _measurable(table: str) -> list[models.CheckConstraint]:
    return [
        models.CheckConstraint(
            condition=models.Q(expected_interval__isnull=True) | models.Q(expected_interval__gt=0),
            name=f"{table}_expected_interval_positive",
        ),
        models.CheckConstraint(
            condition=models.Q(valid_min__isnull=True)
            | models.Q(valid_max__isnull=True)
            | models.Q(valid_min__lt=models.F("valid_max")),
            name=f"{table}_valid_range_ordered",
        ),
    ]


class Sensor(Measured):
    """A measured or derived quantity of an asset."""

    # 32 bits, because the lake keeps this key with every reading.
    id = models.AutoField(primary_key=True)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    asset = models.ForeignKey("twins_assets.Asset", models.PROTECT, related_name="sensors")
    name = models.CharField(max_length=100, help_text="Unique at its asset.")

    class Meta:
        ordering = ["asset_id", "name", "id"]
        indexes = [found_by("sensor", "name"), found_by("sensor", "quantity")]
        constraints = [
            models.UniqueConstraint(fields=["asset", "name"], name="sensor_name_unique_at_asset"),
            *_measurable("sensor"),
        ]

    def __str__(self) -> str:
        # Of its asset where that was read along; text is no reason for a query.
        asset = self._state.fields_cache.get("asset")
        return f"{self.name} of {asset.tag}" if asset else self.name


class SensorTemplate(Declared, Measured):
    """A sensor that each asset of a type or design should carry."""

    name = models.CharField(max_length=100, help_text="Name of the sensor at its asset.")

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            one_owner("sensor_template"),
            *unique_in_owner("sensor_template", "name"),
            *_measurable("sensor_template"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name_of_one(self) -> tuple[str, ...]:
        return (self.name,)
