"""Who may do what where: a grant gives a user or a group a role in one subtree, or in the whole register."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Role(models.TextChoices):
    """What each may do is one table, `assets.permissions.RIGHTS`."""

    VIEWER = "viewer"
    PLANNER = "planner"
    ENGINEER = "engineer"
    INTEGRATOR = "integrator"
    ADMINISTRATOR = "administrator"


class Grant(models.Model):
    """A role of one user or one group, in the subtree of `asset`; without an asset in the whole register."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="register_grants"
    )
    group = models.ForeignKey("auth.Group", models.CASCADE, null=True, blank=True, related_name="register_grants")
    role = models.CharField(max_length=13, choices=Role.choices)
    # A grant ends with its subtree: SET_NULL would turn it into one for everything.
    asset = models.ForeignKey(
        "twins_assets.Asset",
        models.CASCADE,
        null=True,
        blank=True,
        related_name="grants",
        help_text="The top of the subtree it holds in; empty: the whole register.",
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="grant_role_known"),
            models.CheckConstraint(
                condition=models.Q(user__isnull=False, group__isnull=True)
                | models.Q(user__isnull=True, group__isnull=False),
                name="grant_to_a_user_or_a_group",
            ),
            models.UniqueConstraint(fields=["user", "group", "role", "asset"], nulls_distinct=False, name="grant_once"),
        ]

    def __str__(self) -> str:
        # By its tag where that was read along; text is no reason for a query.
        asset = self._state.fields_cache.get("asset")
        where = (asset.tag if asset else f"asset {self.asset_id}") if self.asset_id else "the whole register"
        return f"{self.role} of {where}"
