"""What became of rows: each change of them with who made it, when and why, and what was before and after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.db.models import F, Model, Window
from django.db.models.functions import RowNumber

from assets.models.history import Change, version_models

BASELINE = "baseline"
"""Source of the change that history begins with, where rows stood before."""


@dataclass(frozen=True)
class Difference:
    """A field with its value before and after; None before a row was created and after it was deleted."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True)
class RowChange:
    """One change of one row."""

    kind: Literal["kept", "created", "changed", "deleted"]
    """`kept` is what stood when history began."""
    change: Change
    differences: tuple[Difference, ...]

    @property
    def made_at(self) -> datetime | None:
        """Instant of the commit; None inside of the transaction that makes the change."""
        return self.change.made_at


def changes_of(model: type[Model], ids: Iterable[int], *, limit: int = 50) -> dict[int, list[RowChange]]:
    """The newest `limit` versions of each row of a table of the register as changes, newest first, in one statement.

    Rows that are deleted have a history too. Fields are named as in the model, references by their id (`parent_id`).
    """
    wanted = set(ids)
    rank = Window(RowNumber(), partition_by=F("id"), order_by="-version")
    # One version more than is told: it is what the oldest change is compared with.
    rows = version_models()[model].objects.filter(id__in=wanted).alias(rank=rank).filter(rank__lte=limit + 1)  # type: ignore[attr-defined]
    versions: dict[int, list[Any]] = {key: [] for key in wanted}
    for row in rows.select_related("change").order_by("id", "version"):
        versions[row.id].append(row)
    names = [field.attname for field in model._meta.local_concrete_fields if not field.primary_key]
    return {key: _told(each, names, limit) for key, each in versions.items()}


def _told(versions: list[Any], names: list[str], limit: int) -> list[RowChange]:
    told: list[RowChange] = []
    before: Any = None
    for version in versions:
        after = None if version.gone else version
        told.append(RowChange(_kind(before, version), version.change, _differences(before, after, names)))
        before = after
    return told[-limit:][::-1]


def _kind(before: Any, version: Any) -> Literal["kept", "created", "changed", "deleted"]:
    if version.gone:
        return "deleted"
    if before is not None:
        return "changed"
    return "kept" if version.change.source == BASELINE else "created"


def _differences(before: Any, after: Any, names: list[str]) -> tuple[Difference, ...]:
    pairs = ((name, getattr(before, name, None), getattr(after, name, None)) for name in names)
    return tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])
