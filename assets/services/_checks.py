"""Values against their fields, row by row and without a query.

Django's own check of a row costs more than writing it. So each value is first asked a quick question that only a plain
good value answers; whatever it does not settle goes to the field itself, which has the last word and the sentence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from django.contrib.postgres.fields import DateTimeRangeField
from django.core.exceptions import ValidationError
from django.db import models

from assets.exceptions import InvalidValue
from assets.units import objection_to_unit

EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
"""Instants outside are slips of the pen or a system's word for 'open', never when something happened."""
MAX_TEXT: Final = 20_000
MAX_JSON: Final = 65_536
_UNITS: Final = frozenset({"unit", "life_unit"})

Question = Callable[[Any], bool]


def check_fields(rows: Iterable[models.Model]) -> None:
    """Check every value against its field, without a query; raises InvalidValue with the row's index and the field."""
    for index, row in enumerate(rows):
        for name, field, surely_good in _questions(type(row)):
            value = getattr(row, name)
            if not surely_good(value) and (reason := _objection(row, field, value)):
                raise InvalidValue(f"Row {index}, {field.name}: {reason}")


def objection_to_instant(instant: datetime) -> str:
    """Why an instant makes no sense; an empty text when it does."""
    if instant.tzinfo is None or instant.utcoffset() is None:
        return f"{instant.isoformat()} has no time zone: give an aware time, for example in UTC."
    if not EARLIEST.year <= instant.year < LATEST.year:
        return f"{instant.isoformat()} is not between {EARLIEST.year} and {LATEST.year}: leave it empty when unknown."
    return ""


def objection_to_text(text: str) -> str:
    """Why the database would not take a text; an empty text when it would."""
    if "\0" in text:
        return "Null characters are not allowed: remove the NUL."
    try:
        text.encode()
    except UnicodeEncodeError:
        return "A character is half of a pair and no character by itself: write the text anew."
    return ""


def objection_to_json(value: Any) -> str:
    """Why a JSON value would not be taken; an empty text when it would."""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        return f"Only what JSON can say, and neither NaN nor infinity, is taken: {error}."
    if len(text) > MAX_JSON:
        return f"{len(text)} characters of JSON are more than the {MAX_JSON} that one row takes."
    return "Null characters are not allowed: remove the NUL." if "\\u0000" in text else objection_to_text(text)


def _objection(row: models.Model, field: Any, value: Any) -> str:
    if value is None and not field.null:
        return "is missing: give a value."
    if field.is_relation or (field.blank and value in field.empty_values):
        return ""
    try:
        if reason := _objection_to_raw(value):
            return reason
        cleaned = field.clean(value, row)
    except ValidationError as error:
        return str(error.messages[0])
    except (TypeError, ValueError, OverflowError) as error:
        return f"{value!r:.100} is not taken: {error}."
    setattr(row, field.attname, cleaned)
    return _objection_to_cleaned(field, cleaned)


def _objection_to_raw(value: Any) -> str:
    """What would be lost, or come out as another sort of error, once the field has cleaned it."""
    if isinstance(value, str):
        return objection_to_text(value)
    return objection_to_instant(value) if isinstance(value, datetime) else ""


def _objection_to_cleaned(field: Any, value: Any) -> str:
    reason = ""
    if isinstance(value, float) and not math.isfinite(value):
        reason = f"{value} is not a finite number: leave the field empty when the value is unknown."
    elif isinstance(value, datetime):
        reason = objection_to_instant(value)
    elif isinstance(field, models.JSONField):
        reason = objection_to_json(value) if isinstance(value, dict) else "Give names with values: {...}."
    elif isinstance(field, models.TextField) and len(value) > MAX_TEXT:
        reason = f"{len(value)} characters are more than the {MAX_TEXT} that are taken."
    elif isinstance(field, DateTimeRangeField):
        reason = _objection_to_period(value)
    elif field.name in _UNITS:
        reason = objection_to_unit(value)
    return reason


def _objection_to_period(period: Any) -> str:
    if period.lower is None:
        return "A period has a start: say since when."
    for instant in (period.lower, period.upper):
        if instant is not None and (reason := objection_to_instant(instant)):
            return reason
    if period.upper is not None and period.upper <= period.lower:
        return f"{period.upper.isoformat()} is not after {period.lower.isoformat()}: a period lasts."
    return ""


@cache
def _questions(model: type[models.Model]) -> list[tuple[str, Any, Question]]:
    """Attribute, field and quick question of every field that a service writes."""
    fields = [field for field in model._meta.concrete_fields if not field.primary_key and field.name not in _DERIVED]
    return [(field.attname, field, _question(field)) for field in fields]


_DERIVED: Final = frozenset({"path", "root"})


def _question(field: Any) -> Question:
    if field.is_relation:
        return (lambda value: True) if field.null else (lambda value: value is not None)
    for kind, make in _QUICK.items():
        if type(field) is kind:
            return make(field)
    return lambda value: False


def _is_text(field: Any) -> Question:
    longest, least = field.max_length, 0 if field.blank else 1
    if field.choices:
        # A tuple, because a member of an enumeration is equal to its value and has another hash.
        known = (*(str(value) for value, _ in field.flatchoices), *([""] if field.blank else []))
        return lambda value: isinstance(value, str) and value in known
    if field.name in _UNITS:
        return lambda value: (
            type(value) is str and least <= len(value) <= longest and value != "" and not objection_to_unit(value)
        )
    return lambda value: type(value) is str and least <= len(value) <= longest and value.isascii() and "\0" not in value


def _is_number(field: Any) -> Question:
    empty = field.null
    return lambda value: (value is None and empty) or (type(value) is float and math.isfinite(value))


def _is_instant(field: Any) -> Question:
    empty = field.null
    return lambda value: (
        (value is None and empty) or (type(value) is datetime and value.tzinfo is UTC and 1900 <= value.year < 2200)
    )


def _is_empty_json(field: Any) -> Question:
    return lambda value: value == {} and type(value) is dict


_QUICK: Final[Mapping[type[Any], Callable[[Any], Question]]] = {
    models.CharField: _is_text,
    models.FloatField: _is_number,
    models.DateTimeField: _is_instant,
    models.JSONField: _is_empty_json,
    models.UUIDField: lambda field: lambda value: type(value) is UUID,
    models.BooleanField: lambda field: lambda value: type(value) is bool,
    models.PositiveIntegerField: lambda field: (
        lambda value: (value is None and field.null) or (type(value) is int and 0 <= value < 2**31)
    ),
    models.PositiveSmallIntegerField: lambda field: lambda value: type(value) is int and 0 <= value < 2**15,
    models.DecimalField: lambda field: lambda value: value is None and field.null,
}
