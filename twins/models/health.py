"""Health: the models that were learned, and what is believed of each asset now."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F

PLACED = 3
"""So many steps from the root have the worst below each of their assets in an index."""


class ModelStatus(models.TextChoices):
    CANDIDATE = "candidate"
    CHAMPION = "champion"
    REFUSED = "refused"
    RETIRED = "retired"


class HealthModel(models.Model):
    """A trained model of one design: its bytes, what it was trained on and how good it proved to be."""

    design = models.ForeignKey("twins_assets.Design", models.PROTECT, related_name="health_models")
    status = models.CharField(max_length=10, choices=ModelStatus.choices, default=ModelStatus.CANDIDATE)
    reason = models.TextField(blank=True, help_text="Why it was refused or retired.")
    artefact = models.BinaryField(null=True, help_text="Boosters in UBJ and their settings, one container.")
    sha256 = models.CharField(max_length=64)
    horizon = models.FloatField(help_text="Planning horizon it was trained for, in the life unit.")
    life_unit = models.CharField(max_length=32)
    inputs = models.JSONField(default=list, help_text="Names of the inputs it needs.")
    metrics = models.JSONField(default=dict, help_text="Grouped cross-validation, in the life unit.")
    data_hash = models.CharField(max_length=64)
    scope = models.CharField(
        max_length=64, blank=True, help_text="Code of the type whose designs taught it together; empty: its own design."
    )
    settings = models.JSONField(default=dict, help_text="How its trees were grown.")
    later = models.JSONField(
        default=dict,
        help_text="How it did on what came after it was trained: failures, error and interval coverage, and per input "
        "the population stability index of the newest readings.",
    )
    seed = models.IntegerField()
    versions = models.JSONField(default=dict)
    trained_at = models.DateTimeField()

    class Meta:
        ordering = ["-trained_at", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["design"], condition=models.Q(status="champion"), name="health_model_one_champion_of_a_design"
            ),
            models.CheckConstraint(condition=models.Q(status__in=ModelStatus.values), name="health_model_status_known"),
            models.CheckConstraint(condition=models.Q(horizon__gt=0), name="health_model_horizon_positive"),
        ]

    def __str__(self) -> str:
        # Named where the design was fetched along; text is no reason for a query.
        return (
            f"{self._state.fields_cache.get('design', self.design_id)} {self.status} {self.trained_at:%Y-%m-%d %H:%M}"
        )


class AssessmentSource(models.TextChoices):
    MODEL = "model", "model learned from failures"
    AGEING = "ageing", "ageing curve of the design"
    CONTRIBUTORS = "contributors", "condition by the design's contributors"
    BLEND = "blend", "several sources, weighted by evidence"
    ROLLUP = "rollup", "what it consists of"


class Assessment(models.Model):
    """What is believed of an asset now; replaced in place. A score never stands without its coverage."""

    asset = models.OneToOneField("twins_assets.Asset", models.CASCADE, primary_key=True, related_name="assessment")
    path = ArrayField(
        models.BigIntegerField(), default=list, editable=False, help_text="That of the asset; the database keeps it so."
    )
    item = models.ForeignKey("twins_assets.Item", models.PROTECT, null=True, blank=True, related_name="+")
    model = models.ForeignKey(HealthModel, models.PROTECT, null=True, blank=True, related_name="assessments")
    source = models.CharField(max_length=12, choices=AssessmentSource.choices)
    health = models.FloatField(help_text="0 to 100, 100 = as new.")
    coverage = models.FloatField(help_text="Share of the inputs that are fresh and good, 0 to 1.")
    failure_probabilities = models.JSONField(
        default=list, help_text="[{horizon, probability}], horizon in the life unit."
    )
    rul_p10 = models.FloatField(null=True, blank=True)
    rul_p50 = models.FloatField(null=True, blank=True)
    rul_p90 = models.FloatField(null=True, blank=True)
    rul_unit = models.CharField(max_length=32, blank=True)
    beyond_horizon = models.BooleanField(default=False, help_text="The median life left is more than the horizon.")
    sources = models.JSONField(
        default=list, help_text="[{source, weight, health, reason}] of a blend; weights sum to 1. Empty: one alone."
    )
    drivers = models.JSONField(default=list, help_text="[{input, points}], points of health, worst first.")
    worst_asset = models.ForeignKey(
        "twins_assets.Asset",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="The asset a roll-up took its score from.",
    )
    data_time = models.DateTimeField(null=True, blank=True, help_text="Time of the newest reading it used.")
    data_batch = models.BigIntegerField(null=True, blank=True, help_text="Newest batch it used.")
    correction = models.BigIntegerField(db_default=0, default=0, help_text="Newest correction that was known.")
    assessed_at = models.DateTimeField()

    class Meta:
        ordering = ["health", "asset_id"]
        verbose_name_plural = "health"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(health__gte=0, health__lte=100), name="assessment_health_0_to_100"
            ),
            models.CheckConstraint(
                condition=models.Q(coverage__gte=0, coverage__lte=1), name="assessment_coverage_0_to_1"
            ),
        ]
        # As lists are sorted: what is sorted by something else goes by health where it is alike.
        indexes = [
            models.Index(fields=["health", "asset"], name="assessment_worst_first"),
            models.Index(fields=["rul_p50", "health"], name="assessment_by_life_left"),
            models.Index(fields=["coverage", "health"], name="assessment_by_coverage"),
            models.Index(fields=["-data_time", "health"], name="assessment_newest_first"),
            # For whoever sees a part: else half of what is worse is read until the first of it is met.
            *(
                models.Index(F(f"path__{step}"), F("health"), F("asset"), name=f"assessment_worst_below_{step + 1}")
                for step in range(PLACED)
            ),
        ]

    def __str__(self) -> str:
        # Named where the asset was fetched along; text is no reason for a query.
        return f"{self._state.fields_cache.get('asset', self.asset_id)}: {self.health:.0f}"
