"""From a cell to a value: what a person or a program may write for a number, an instant, a choice or a truth."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.dateparse import parse_date, parse_datetime

_TRUE, _FALSE = {"true", "yes", "1", "y", "x"}, {"false", "no", "0", "n"}
_FORMULA = re.compile(r"[=+\-@].*[(|!]")


class BadCell(ValueError):
    """The reason why a cell holds no value for its column, and what to write instead."""


@dataclass(frozen=True)
class CellReader:
    """Reads cells. `zone` is the time zone of instants that name none; without it they are refused."""

    zone: tzinfo | None = None

    def read(self, field: models.Field[Any, Any], cell: Any) -> Any:
        """The value of a cell for this field, None for an empty one; raises BadCell."""
        cell = plain(cell)
        if cell is None:
            return None
        if field.choices:
            return _choice(field, cell)
        for kind, reader in self._readers():
            if isinstance(field, kind):
                return reader(cell)
        return text(cell)

    def _readers(self) -> list[tuple[type[models.Field[Any, Any]], Callable[[Any], Any]]]:
        return [
            (models.BooleanField, truth),
            (models.DecimalField, _decimal),
            (models.IntegerField, _integer),
            (models.FloatField, number),
            (models.DateTimeField, self.instant),
            (models.UUIDField, _uuid),
            (ArrayField, lambda cell: list(map(text, cell)) if isinstance(cell, list) else text(cell).split("|")),
        ]

    def instant(self, cell: Any) -> datetime:
        """An aware instant from ISO 8601 text; raises BadCell."""
        written = text(cell)
        try:
            found = parse_datetime(written)
            if found is None and (day := parse_date(written)):
                found = datetime(day.year, day.month, day.day)  # noqa: DTZ001  (the zone follows)
        except ValueError as error:
            raise BadCell(f"{written!r} is no date ({error}): write 2026-01-31T12:00:00+01:00") from error
        if found is None:
            raise BadCell(f"{written!r} is no date: write 2026-01-31T12:00:00+01:00")
        if found.tzinfo is None:
            if self.zone is None:
                raise BadCell(f"{written!r} has no time zone: write 2026-01-31T12:00:00Z, or name the zone of the file")
            found = found.replace(tzinfo=self.zone)
        try:
            return found.astimezone(UTC)
        except OverflowError as error:
            raise BadCell(f"{written!r} lies outside of the calendar: correct the year") from error


def plain(cell: Any) -> Any:
    """A cell without what does not count: spaces around text; None when nothing is left."""
    if isinstance(cell, str):
        return cell.strip() or None
    return cell


def text(cell: Any) -> str:
    """Text; raises BadCell for what a spreadsheet would compute."""
    if isinstance(cell, bool | dict | list):
        raise BadCell(f"{cell!r} is not text")
    written = str(cell)
    if _FORMULA.match(written):
        raise BadCell(f"{written[:100]!r} looks like a formula: write the value itself")
    return written


def number(cell: Any) -> float:
    """A finite number; a single comma is a decimal comma."""
    if isinstance(cell, bool):
        raise BadCell(f"{cell!r} is not a number")
    try:
        found = float(cell.replace(",", ".") if isinstance(cell, str) and cell.count(",") == 1 else cell)
    except (TypeError, ValueError) as error:
        raise BadCell(f"{_short(cell)} is not a number: write 41.5") from error
    if not math.isfinite(found):
        raise BadCell(f"{_short(cell)} is not a finite number: leave the cell empty when the value is unknown")
    return found


def truth(cell: Any) -> bool:
    """Yes or no."""
    word = str(cell).lower()
    if word not in _TRUE | _FALSE:
        raise BadCell(f"{_short(cell)} is neither true nor false: write one of the two")
    return word in _TRUE


def _integer(cell: Any) -> int:
    found = number(cell)
    if not found.is_integer():
        raise BadCell(f"{_short(cell)} is not a whole number")
    return int(found)


def _decimal(cell: Any) -> Decimal:
    number(cell)
    try:
        return Decimal(str(cell).replace(",", "."))
    except InvalidOperation as error:
        raise BadCell(f"{_short(cell)} is not a number: write 41.50") from error


def _uuid(cell: Any) -> UUID:
    try:
        return UUID(text(cell))
    except ValueError as error:
        raise BadCell(f"{_short(cell)} is not a UUID") from error


def _choice(field: models.Field[Any, Any], cell: Any) -> str:
    known = [str(value) for value, _ in field.flatchoices]
    written = text(cell).lower().replace(" ", "_")
    if written not in known:
        raise BadCell(f"{_short(cell)} is not one of {', '.join(known)}")
    return written


def _short(cell: Any) -> str:
    return repr(cell)[:100]
