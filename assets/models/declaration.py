"""What types and designs say of the things made to them: parameters, failure codes, and in `sensor` what is measured.

A type passes its declarations down to its subtypes and to its designs; of two of one name the nearer one holds: design
before type, type before parent type.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.lookups import Exact


class Declared(models.Model):
    """What a type or a design declares: it belongs to exactly one of them."""

    type = models.ForeignKey("twins_assets.AssetType", models.CASCADE, null=True, blank=True, related_name="%(class)ss")
    design = models.ForeignKey("twins_assets.Design", models.CASCADE, null=True, blank=True, related_name="%(class)ss")

    class Meta:
        abstract = True

    @property
    def name_of_one(self) -> tuple[str, ...]:
        """What two declarations of one thing share."""
        raise NotImplementedError


def one_owner(table: str) -> models.CheckConstraint:
    owners = models.Func("type", "design", function="num_nonnulls", output_field=models.IntegerField())
    return models.CheckConstraint(condition=Exact(owners, 1), name=f"{table}_of_type_or_design")


def unique_in_owner(table: str, *fields: str) -> list[models.UniqueConstraint]:
    return [
        models.UniqueConstraint(
            fields=[owner, *fields], condition=models.Q((f"{owner}__isnull", False)), name=f"{table}_unique_in_{owner}"
        )
        for owner in ("type", "design")
    ]


class ParameterKind(models.TextChoices):
    NUMBER = "number"
    TEXT = "text"
    BOOLEAN = "boolean", "yes or no"
    CHOICE = "choice"


class ParameterSubject(models.TextChoices):
    """Whose value a parameter describes, and so in which column the values are."""

    DESIGN = "design", "design: as designed"
    ASSET = "asset", "asset: at the position"
    ITEM = "item", "item: as built"
    ACCEPTANCE = "acceptance", "acceptance: as tested before delivery"


class ParameterDefinition(Declared):
    """What a value may be: the definition is here, the values are in JSON columns by the name of the parameter.

    The subject says where: `Design.parameters`, `Asset.attributes`, `Item.build`, `Item.acceptance`. A value whose name
    is defined must fit; a name that nobody defines may hold anything. Definitions bind what is written after them: rows
    that stood before stay, and are refused when they are next changed without being put right. Acceptance results are
    the exception: outside of its limits a result is not a mistake but a test that was failed, and is kept.
    """

    subject = models.CharField(max_length=10, choices=ParameterSubject.choices)
    name = models.CharField(max_length=64)
    kind = models.CharField(max_length=8, choices=ParameterKind.choices, default=ParameterKind.NUMBER)
    unit = models.CharField(max_length=32, blank=True, help_text="UCUM code, for numbers: kN, mm, Cel.")
    minimum = models.FloatField(null=True, blank=True)
    maximum = models.FloatField(null=True, blank=True)
    choices = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    required = models.BooleanField(default=False)
    description = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["subject", "name", "id"]
        constraints = [
            one_owner("parameter"),
            *unique_in_owner("parameter", "subject", "name"),
            models.CheckConstraint(
                condition=models.Q(kind=ParameterKind.NUMBER)
                | models.Q(unit="", minimum__isnull=True, maximum__isnull=True),
                name="parameter_unit_and_limits_of_numbers",
            ),
            models.CheckConstraint(
                condition=models.Q(minimum__isnull=True)
                | models.Q(maximum__isnull=True)
                | models.Q(minimum__lte=models.F("maximum")),
                name="parameter_limits_ordered",
            ),
            models.CheckConstraint(
                condition=(models.Q(kind=ParameterKind.CHOICE) & ~models.Q(choices=[]))
                | (~models.Q(kind=ParameterKind.CHOICE) & models.Q(choices=[])),
                name="parameter_choices_of_a_choice",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def name_of_one(self) -> tuple[str, ...]:
        return self.subject, self.name


class FailureCodeKind(models.TextChoices):
    MODE = "mode", "failure mode"
    CAUSE = "cause", "failure cause"


class FailureCode(Declared):
    """A way in which things of a type or design fail, or why; codes are the plant's own or those of ISO 14224."""

    kind = models.CharField(max_length=5, choices=FailureCodeKind.choices, default=FailureCodeKind.MODE)
    code = models.CharField(max_length=64)
    name = models.CharField(max_length=200, blank=True)
    iso14224 = models.CharField("ISO 14224 code", max_length=64, blank=True)

    class Meta:
        ordering = ["kind", "code", "id"]
        constraints = [one_owner("failure_code"), *unique_in_owner("failure_code", "kind", "code")]

    def __str__(self) -> str:
        return f"{self.code}: {self.name}" if self.name else self.code

    @property
    def name_of_one(self) -> tuple[str, ...]:
        return self.kind, self.code
