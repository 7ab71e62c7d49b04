"""What is found by any part of it, upper and lower case alike: an index over the trigrams of a text column."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db.models.functions import Upper


def found_by(table: str, field: str) -> GinIndex:
    """The index behind `field__icontains`, which Django writes as UPPER(field) LIKE UPPER(pattern)."""
    return GinIndex(OpClass(Upper(field), name="gin_trgm_ops"), name=f"{table}_{field}_found")
