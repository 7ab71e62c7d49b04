"""The way from a broken rule to a sentence: fields are checked row by row, constraints translated by name."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, models, transaction
from django.dispatch import Signal

from assets.exceptions import AlreadyExists, InvalidValue

_TAKEN = {
    "grant_once": "That role is held there already: nothing is to be given",
    "asset_tag_unique_in_tree": "That tag is already used in this tree: choose another tag",
    "sensor_name_unique_at_asset": "A sensor of that name already exists at this asset: choose another name",
    "item_serial_unique_in_design": "That serial number already exists for this design: use the item that is there",
}


def check_fields(rows: Iterable[models.Model]) -> None:
    """Check every value against its field, without a query; raises InvalidValue with the row's index and the field."""
    for index, row in enumerate(rows):
        fields = row._meta.concrete_fields
        # References are the database's to check: their own validation is one query each.
        skipped = {field.name for field in fields if field.is_relation or field.primary_key}
        try:
            row.clean_fields(exclude=skipped)
        except ValidationError as error:
            name, messages = next(iter(error.message_dict.items()))
            raise InvalidValue(f"Row {index}, {name}: {messages[0]}") from error
        for field in fields:
            if reason := _objection(getattr(row, field.attname)):
                raise InvalidValue(f"Row {index}, {field.name}: {reason}")


def _objection(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a finite number: leave the field empty when the value is unknown."
    if isinstance(value, datetime) and value.tzinfo is None:
        return f"{value.isoformat()} has no time zone: give an aware time, for example in UTC."
    return ""


@contextmanager
def all_or_nothing() -> Iterator[None]:
    """One transaction whose broken constraints come out as AlreadyExists or InvalidValue."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        raise _refusal(error) from error
    except DataError as error:
        raise InvalidValue(f"The database does not take one of the values: {error}") from error


def broken_constraint(error: IntegrityError) -> str:
    """Name of the constraint that refused, or an empty string."""
    return str(getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or "")


def _refusal(error: IntegrityError) -> AlreadyExists | InvalidValue:
    name = broken_constraint(error)
    detail = getattr(getattr(error.__cause__, "diag", None), "message_detail", None) or str(error)
    if sentence := _TAKEN.get(name):
        return AlreadyExists(f"{sentence} ({detail})")
    return InvalidValue(f"The rule '{name.replace('_', ' ')}' does not hold: correct the row ({detail})")


def tell(signal: Signal, sender: type[models.Model], asset_ids: Iterable[int]) -> None:
    """Send `signal` once the surrounding transaction has committed."""
    told = frozenset(asset_ids)
    transaction.on_commit(lambda: signal.send_robust(sender=sender, asset_ids=told))
