"""How health of a design is learned, where the defaults do not do."""

from __future__ import annotations

import math
from collections.abc import Callable

from django.core.exceptions import ValidationError
from django.db import models


class LearningPlan(models.Model):
    """What people decided about learning of one design; without one the defaults hold."""

    design = models.OneToOneField("twins_assets.Design", models.CASCADE, primary_key=True, related_name="learning_plan")
    failure_horizons = models.JSONField(
        default=list,
        blank=True,
        help_text="Within how much more life the probability of failure is asked, as a list of numbers in the life "
        "unit, none beyond the planning horizon; empty: a tenth, a quarter and half of the planning horizon.",
    )
    ignored_inputs = models.JSONField(
        default=list,
        blank=True,
        help_text='Names of inputs that must not teach, as a list: ["HPC/T30", "build batch"].',
    )
    trials = models.PositiveIntegerField(
        default=0, help_text="Budget of trials of a search for better trees at each training; 0: none."
    )

    class Meta:
        ordering = ["design_id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(trials__lte=1000), name="learning_plan_trials_bounded"),
        ]

    def __str__(self) -> str:
        return f"Learning of design {self.design_id}"

    def clean(self) -> None:
        """Refuse lists that training could not use, each with what it should be."""
        wrong = {}
        if not _all_of(self.failure_horizons, _is_horizon):
            wrong["failure_horizons"] = "Give a list of numbers above 0, in the life unit: [7, 30]."
        if not _all_of(self.ignored_inputs, lambda value: isinstance(value, str) and bool(value)):
            wrong["ignored_inputs"] = 'Give a list of names of inputs: ["HPC/T30"].'
        if wrong:
            raise ValidationError(wrong)


def _all_of(values: object, wanted: Callable[[object], bool]) -> bool:
    return isinstance(values, list) and all(wanted(value) for value in values)


def _is_horizon(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0
