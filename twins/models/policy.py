"""What planners decide about health: what contributes to it per design, and how it rolls up per type."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from assets.models import Design


class HealthPolicy(models.Model):
    """How the health of a design's items is judged beside and without a learned model."""

    design = models.OneToOneField("twins_assets.Design", models.CASCADE, related_name="health_policy")
    contributors = models.JSONField(
        default=list,
        blank=True,
        help_text='What shows condition: [{"input": "vibration", "weight": 2, "best": 1, "worst": 7, "curve": "late"}].'
        " input: a sensor's name as the drivers show it, or age; worst may lie below best; curve: linear, early (falls"
        " soon) or late (falls near the worst).",
    )
    duty = models.FloatField(default=1.0, help_text="CNAIM duty factor: above 1 works harder than expected.")
    location = models.FloatField(default=1.0, help_text="CNAIM location factor: above 1 stands in a worse place.")
    reliability = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.6), MaxValueValidator(1.5)],
        help_text="CNAIM reliability modifier, 0.6 to 1.5: generic trouble of this make.",
    )
    rate = models.FloatField(
        null=True,
        blank=True,
        help_text="CNAIM K, failures per life unit; empty: half fail before the expected life.",
    )
    warning_threshold = models.FloatField(
        default=0.5,
        validators=[MinValueValidator(0.01), MaxValueValidator(0.99)],
        help_text="Probability of failure within the shortest horizon from which on a warning is given.",
    )

    class Meta:
        ordering = ["design_id"]
        verbose_name_plural = "health policies"
        constraints = [
            models.CheckConstraint(condition=Q(duty__gt=0, location__gt=0), name="health_policy_factors_positive"),
            models.CheckConstraint(
                condition=Q(reliability__gte=0.6, reliability__lte=1.5), name="health_policy_reliability_bounded"
            ),
            models.CheckConstraint(condition=Q(rate__isnull=True) | Q(rate__gt=0), name="health_policy_rate_positive"),
            models.CheckConstraint(
                condition=Q(warning_threshold__gt=0, warning_threshold__lt=1), name="health_policy_threshold_is_one"
            ),
        ]

    def __str__(self) -> str:
        return f"health policy of design {self.design_id}"


class DesignReliability(Design):
    """A design as its items' lives tell of it; a page of its own and no table."""

    class Meta:
        proxy = True
        verbose_name = "reliability of a design"
        verbose_name_plural = "reliability"


class RollUpRule(models.TextChoices):
    WORST = "worst", "worst: as healthy as the worst below"
    WEIGHTED = "weighted", "weighted: mean of what is below, weighted by criticality"
    K_OF_N = "k_of_n", "k of n: as healthy as the k-th best below, the others are spare"


class RollUpPolicy(models.Model):
    """How assets of a type, and of its subtypes without a policy, take their health from what they consist of."""

    type = models.OneToOneField("twins_assets.AssetType", models.CASCADE, related_name="rollup_policy")
    rule = models.CharField(max_length=8, choices=RollUpRule.choices, default=RollUpRule.WORST)
    needed = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="k: how many of what is below must be healthy; only for k of n."
    )

    class Meta:
        ordering = ["type_id"]
        verbose_name = "roll-up policy"
        verbose_name_plural = "roll-up policies"
        constraints = [
            models.CheckConstraint(condition=Q(rule__in=RollUpRule.values), name="rollup_policy_rule_known"),
            models.CheckConstraint(
                condition=Q(rule=RollUpRule.K_OF_N, needed__isnull=False, needed__gte=1)
                | ~Q(rule=RollUpRule.K_OF_N) & Q(needed__isnull=True),
                name="rollup_policy_k_where_needed",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_rule_display()} for type {self.type_id}"
