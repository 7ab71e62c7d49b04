"""The ledger of being right: what was believed when, which warnings were given, and what became of them."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q


class HealthBand(models.TextChoices):
    GOOD = "good", "good: 70 and more"
    FAIR = "fair", "fair: 40 to 70"
    POOR = "poor", "poor: below 40"


class HealthRecord(models.Model):
    """What was believed of an asset: the newest of each hour, and every change of band. Old hours are thinned."""

    asset = models.ForeignKey("twins_assets.Asset", models.CASCADE, related_name="health_records")
    at = models.DateTimeField(help_text="When it was assessed.")
    hour = models.DateTimeField(null=True, help_text="Start of its hour; empty: a change of band within an hour.")
    health = models.FloatField()
    band = models.CharField(max_length=4, choices=HealthBand.choices)
    coverage = models.FloatField()
    source = models.CharField(max_length=12)
    drivers = models.JSONField(default=list, help_text="[{input, points}], as the assessment told them.")
    probability = models.FloatField(null=True, help_text="Of a failure within the shortest horizon.")
    horizon_days = models.FloatField(null=True, help_text="That horizon in days; empty: nobody will ever know.")
    came_true = models.BooleanField(null=True, help_text="Whether it failed within; empty: not known yet, or never.")

    class Meta:
        ordering = ["asset_id", "-at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["asset", "hour"], condition=Q(hour__isnull=False), name="health_record_one_an_hour"
            ),
            models.CheckConstraint(condition=Q(band__in=HealthBand.values), name="health_record_band_known"),
            models.CheckConstraint(condition=Q(health__gte=0, health__lte=100), name="health_record_health_0_to_100"),
        ]
        indexes = [
            models.Index(fields=["asset", "-at"], name="health_record_newest"),
            models.Index(
                fields=["at"],
                condition=Q(came_true__isnull=True, horizon_days__isnull=False),
                name="health_record_to_judge",
            ),
            models.Index(fields=["hour"], name="health_record_age"),
        ]

    def __str__(self) -> str:
        return f"{self.asset_id} {self.at:%Y-%m-%d %H:%M}: {self.health:.0f}"


class WarningVerdict(models.TextChoices):
    OPEN = "open", "open: not known yet"
    RIGHT = "right", "right: it failed within"
    FALSE = "false", "false: it did not fail"
    VOID = "void", "void: removed before anybody could know"


class HealthWarning(models.Model):
    """A probability of failure that crossed its threshold upwards, until it cleared, and what became of it."""

    asset = models.ForeignKey("twins_assets.Asset", models.CASCADE, related_name="health_warnings")
    item = models.ForeignKey("twins_assets.Item", models.CASCADE, related_name="health_warnings")
    source = models.CharField(max_length=12, help_text="What spoke when it was raised.")
    threshold = models.FloatField()
    horizon_days = models.FloatField(help_text="Within how many days it was said to fail.")
    probability = models.FloatField(help_text="When it was raised.")
    peak = models.FloatField(help_text="The highest since.")
    raised_at = models.DateTimeField()
    last_at = models.DateTimeField(help_text="When it was last said.")
    cleared_at = models.DateTimeField(null=True, blank=True)
    verdict = models.CharField(max_length=5, choices=WarningVerdict.choices, default=WarningVerdict.OPEN)
    judged_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True, help_text="The failure that proved it right.")

    class Meta:
        ordering = ["-raised_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["asset"], condition=Q(cleared_at__isnull=True), name="health_warning_one_stands"
            ),
            models.CheckConstraint(condition=Q(verdict__in=WarningVerdict.values), name="health_warning_verdict_known"),
            models.CheckConstraint(
                condition=Q(raised_at__lte=F("last_at")) & Q(threshold__gt=0, threshold__lt=1, horizon_days__gt=0),
                name="health_warning_is_a_statement",
            ),
            models.CheckConstraint(
                condition=Q(verdict=WarningVerdict.RIGHT, failed_at__isnull=False)
                | ~Q(verdict=WarningVerdict.RIGHT) & Q(failed_at__isnull=True),
                name="health_warning_right_by_a_failure",
            ),
        ]
        indexes = [
            models.Index(fields=["asset", "-raised_at"], name="health_warning_newest"),
            models.Index(
                fields=["raised_at"], condition=Q(verdict=WarningVerdict.OPEN), name="health_warning_to_judge"
            ),
        ]

    def __str__(self) -> str:
        # Named where the asset was fetched along; text is no reason for a query.
        return f"{self._state.fields_cache.get('asset', self.asset_id)} {self.raised_at:%Y-%m-%d %H:%M}: {self.verdict}"
