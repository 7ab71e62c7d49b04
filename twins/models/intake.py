"""How readings from outside are taken in: rules by source, and the rows that could not be taken."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class SeriesRule(models.Model):
    """How the series of a source become sensors, and what becomes of what cannot.

    The most special rule counts: that of the source and bucket, of the source, of the bucket, of all. Templates hold
    names in braces: a tag, `measurement`, `field`, or `quantity`, which is the field, or the measurement where the
    field is just called "value"; `{site|plant}` is the first of them that is there.
    """

    source = models.CharField(max_length=200, blank=True, help_text="As batches name it, 'token gateway'; empty: any.")
    bucket = models.CharField(max_length=200, blank=True, help_text="Bucket or database it writes to; empty: any.")
    asset = models.CharField(max_length=200, default="{asset|measurement}", help_text="Template of the asset's tag.")
    sensor = models.CharField(max_length=200, default="{sensor|quantity}", help_text="Template of the sensor's name.")
    keep_good = models.BooleanField(
        null=True,
        blank=True,
        help_text="Keep the good rows of a body with bad ones, or refuse it whole. Empty: lines are kept, others not.",
    )
    below = models.ForeignKey(
        "twins_assets.Asset",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Only assets at or below this one are meant; empty: all.",
    )
    register_unknown = models.BooleanField(
        default=False,
        help_text="Register sensors that are not known, at the asset the template names, else at the one above.",
    )

    class Meta:
        ordering = ["source", "bucket"]
        constraints = [
            models.UniqueConstraint(fields=["source", "bucket"], name="series_rule_unique"),
            models.CheckConstraint(condition=~Q(sensor=""), name="series_rule_names_a_sensor"),
        ]

    def __str__(self) -> str:
        return f"{self.source or 'any source'}, {self.bucket or 'any bucket'}"


class LetterForm(models.TextChoices):
    JSON = "json", "JSON row"
    LINE = "line", "line protocol"


class DeadLetter(models.Model):
    """A row that was refused: what it was, why, and enough to send it again. Only the newest are kept."""

    id = models.BigAutoField(primary_key=True)
    received_at = models.DateTimeField(db_default=Now())
    source = models.CharField(max_length=200)
    bucket = models.CharField(max_length=200, blank=True)
    form = models.CharField(max_length=4, choices=LetterForm.choices)
    precision = models.CharField(max_length=2, blank=True, help_text="Unit of time of a line.")
    position = models.PositiveIntegerField(help_text="Its index in the body.")
    reason = models.CharField(max_length=500)
    content = models.TextField(help_text="As it was sent, as far as it could be read.")
    batch = models.BigIntegerField(null=True, help_text="The batch of the rows beside it that were kept, if any.")

    class Meta:
        ordering = ["-id"]
        constraints = [models.CheckConstraint(condition=Q(form__in=LetterForm.values), name="dead_letter_form_known")]
        indexes = [models.Index(fields=["batch"], condition=Q(batch__isnull=False), name="dead_letter_batch")]

    def __str__(self) -> str:
        return self.reason
