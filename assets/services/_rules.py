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
    return InvalidValue(f"The rule '{name.replace('_', ' ')}' does not hold: correct the row ({detail})")


def tell(signal: Signal, sender: type[models.Model], asset_ids: Iterable[int]) -> None:
    """Send `signal` once the surrounding transaction has committed."""
    told = frozenset(asset_ids)
    transaction.on_commit(lambda: signal.send_robust(sender=sender, asset_ids=told))
