"""Selections of assets by their place in the tree, each one statement whatever the size of the tree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from django.db import models

if TYPE_CHECKING:
    from assets.models import Asset  # noqa: F401  (named in the base class below)


class AssetQuerySet(models.QuerySet["Asset"]):
    """`Asset.objects`: the whole register, narrowed by tree and level."""

    def subtree_of(self, asset_ids: Iterable[int]) -> Self:
        """The assets themselves and everything below them."""
        return self.filter(path__overlap=list(asset_ids))

    def roots(self) -> Self:
        """The tops of all trees."""
        return self.filter(parent__isnull=True)
