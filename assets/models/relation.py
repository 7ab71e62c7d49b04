"""What joins assets beside containment: a typed edge that holds for a period."""

from __future__ import annotations

from typing import Final

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models


class RelationKind(models.TextChoices):
    """Read as a sentence: source, kind, target ("pump P-12 feeds boiler 2")."""

    FEEDS = "feeds"
    COOLS = "cools"
    HEATS = "heats"
    LUBRICATES = "lubricates"
    DRIVES = "drives"
    POWERS = "powers"
    CONTROLS = "controls"
    PROTECTS = "protects"
    MONITORS = "monitors"
    SUPPORTS = "supports"
    CONNECTED_TO = "connected_to", "is connected to"
    REDUNDANT_WITH = "redundant_with", "is redundant with"


SYMMETRIC: Final = (RelationKind.CONNECTED_TO, RelationKind.REDUNDANT_WITH)
"""Kinds that say the same both ways round; such an edge is kept once, from the smaller id to the greater."""


class Relation(models.Model):
    """`source` does something to `target` over a half-open period; an open end means it still does."""

    source = models.ForeignKey("twins_assets.Asset", models.PROTECT, related_name="relations_out")
    target = models.ForeignKey("twins_assets.Asset", models.PROTECT, related_name="relations_in")
    kind = models.CharField(max_length=16, choices=RelationKind.choices)
    period = DateTimeRangeField(help_text="[since, until), aware UTC.")
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["source_id", "kind", "target_id", "period", "id"]
        constraints = [
            ExclusionConstraint(
                name="relation_once_at_a_time",
                expressions=[
                    ("source", RangeOperators.EQUAL),
                    ("target", RangeOperators.EQUAL),
                    ("kind", RangeOperators.EQUAL),
                    ("period", RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(condition=models.Q(kind__in=RelationKind.values), name="relation_kind_known"),
            models.CheckConstraint(condition=~models.Q(source=models.F("target")), name="relation_not_to_itself"),
            models.CheckConstraint(
                condition=~models.Q(kind__in=SYMMETRIC) | models.Q(source__lt=models.F("target")),
                name="relation_symmetric_kept_once",
            ),
            models.CheckConstraint(
                condition=models.Q(period__isempty=False, period__startswith__isnull=False),
                name="relation_period_has_a_start",
            ),
        ]

    def __str__(self) -> str:
        # The tags, for who has read them along; a list of a thousand relations must not ask two thousand times.
        ends = [self._state.fields_cache.get(end) for end in ("source", "target")]
        source, target = [
            asset.tag if asset else f"asset {key}"
            for asset, key in zip(ends, (self.source_id, self.target_id), strict=True)
        ]
        return f"{source} {self.get_kind_display().lower()} {target}"
