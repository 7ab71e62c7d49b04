"""The way from a rule that the database refused to break to a sentence: constraints are translated by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DataError, IntegrityError, OperationalError, models, transaction
from django.dispatch import Signal
from psycopg.errors import DeadlockDetected

from assets.exceptions import AlreadyExists, AssetsError, ChangedMeanwhile, InvalidHierarchy, InvalidValue
from assets.history.origin import announced
from assets.models import TARGETS

_TAKEN = {
    "grant_once": "That role is held there already: nothing is to be given",
    "asset_tag_unique_in_tree": "That tag is already used in this tree: choose another tag",
    "sensor_name_unique_at_asset": "A sensor of that name already exists at this asset: choose another name",
    "item_serial_unique_in_design": "That serial number already exists for this design: use the item that is there",
    "reference_unique": "That external key already names a row: correct the key",
    "design_code_revision_unique": "That revision of the design already exists: choose another revision",
    "twins_assets_assettype_code_key": "A type of that code already exists: choose another code",
    **{
        f"reference_once_per_{target}": f"That {target} already has a key of this system and kind: change that one"
        for target in TARGETS
    },
    **{
        f"{table}_unique_in_{owner}": f"That {owner} already declares one of that name: change that one"
        for table in ("parameter", "sensor_template", "failure_code")
        for owner in ("type", "design")
    },
}

_WRONG = {
    "asset_criticality_1_to_5": "criticality: give 1 (negligible) to 5 (essential)",
    "asset_level_known": "level: choose system, product or part",
    "asset_retired_at_of_retired": "retired_at: only what is retired has one: retire it, or leave this empty",
    "design_expected_life_positive": "expected_life: give more than 0, or leave it empty",
    "design_planning_horizon_positive": "planning_horizon: give more than 0, or leave it empty",
    "design_not_based_on_itself": "based_on: choose another revision than the design itself",
    "event_ends_after_start": "ended_at: is before the start: correct one of the two",
    "event_downtime_not_negative": "downtime_hours: give 0 or more, or leave it empty",
    "grant_role_known": "role: choose one of those that there are",
    "grant_to_a_user_or_a_group": "user: a role is given either to a user or to a group: name one of them",
    "item_retirement_reason_of_retired": "retirement_reason: only what is retired has one: say since when",
    "parameter_choices_of_a_choice": "choices: a choice has some, and nothing else has: fill or empty them",
    "parameter_limits_ordered": "minimum: is above the maximum: correct one of the two",
    "parameter_unit_and_limits_of_numbers": "unit: only a number has a unit and limits: leave them empty",
    **{
        f"{table}_of_type_or_design": "type: it belongs either to a type or to a design: fill one of the two"
        for table in ("parameter", "sensor_template", "failure_code")
    },
    **{
        name: sentence
        for table in ("sensor", "sensor_template")
        for name, sentence in (
            (f"{table}_expected_interval_positive", "expected_interval: give more than 0, or leave it empty"),
            (f"{table}_valid_range_ordered", "valid_min: is not below valid_max: correct one of the two"),
        )
    },
}
"""What is wrong with one row, by itself and not beside others: the field, and what to do."""
_TREE = {"type_not_below_itself", "asset_follows_its_parent", "asset_not_its_own_parent"}


@contextmanager
def all_or_nothing(actor: Any = None) -> Iterator[None]:
    """One transaction whose broken constraints come out as AlreadyExists or InvalidValue.

    Two that wait for each other are no defect of either: the one the database gives up raises ChangedMeanwhile.
    `actor` is the user on whose behalf it changes something, for the history; rights are the service's to check.
    """
    try:
        with transaction.atomic(), announced(actor):
            yield
    except IntegrityError as error:
        raise _refusal(error) from error
    except OperationalError as error:
        if not isinstance(error.__cause__, DeadlockDetected):
            raise
        raise ChangedMeanwhile("Others change the same rows at this moment: nothing was changed, try again.") from error
    except DataError as error:
        raise InvalidValue(f"The database does not take one of the values: {error}") from error


def broken_constraint(error: IntegrityError) -> str:
    """Name of the constraint that refused, or an empty string."""
    return str(getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or "")


def _refusal(error: IntegrityError) -> AssetsError:
    name = broken_constraint(error)
    detail = getattr(getattr(error.__cause__, "diag", None), "message_detail", None) or str(error)
    if sentence := _TAKEN.get(name):
        return AlreadyExists(f"{sentence} ({detail})")
    if name in _TREE:
        return InvalidHierarchy(f"{str(error).splitlines()[0].capitalize()}: choose another parent.")
    if sentence := _WRONG.get(name):
        refusal = InvalidValue(f"{sentence}.")
        refusal.add_note(detail)  # which row it was, for who wrote many; nobody who fills in a form can read it
        return refusal
    return InvalidValue(f"The rule '{name.replace('_', ' ')}' does not hold: correct the row ({detail})")


def tell(signal: Signal, sender: type[models.Model], asset_ids: Iterable[int]) -> None:
    """Send `signal` once the surrounding transaction has committed."""
    told = frozenset(asset_ids)
    transaction.on_commit(lambda: signal.send_robust(sender=sender, asset_ids=told))
