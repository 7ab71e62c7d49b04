"""What types and designs declare, with what they inherit: parameters, sensor templates, failure codes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from assets.models import FailureCode, FailureCodeKind, ParameterDefinition, SensorTemplate

_Declaration = TypeVar("_Declaration", ParameterDefinition, SensorTemplate, FailureCode)


def declared_by_types(model: type[_Declaration], type_ids: Iterable[int]) -> dict[int, list[_Declaration]]:
    """What each type declares itself or inherits, in the order of the model; of one name the nearest holds."""
    return _declared(model, type_ids, "SELECT id AS asked, 0 AS design_id, path FROM twins_assets_assettype")


def declared_by_designs(model: type[_Declaration], design_ids: Iterable[int]) -> dict[int, list[_Declaration]]:
    """What each design declares or has from its type, in the order of the model; of one name the nearest holds."""
    return _declared(
        model,
        design_ids,
        "SELECT design.id AS asked, design.id AS design_id, type.path FROM twins_assets_design design "
        "JOIN twins_assets_assettype type ON type.id = design.type_id",
    )


def failure_modes_of(design_ids: Iterable[int]) -> dict[int, list[str]]:
    """Codes of the failure modes of each design, by code."""
    found = declared_by_designs(FailureCode, design_ids)
    return {
        design: sorted({row.code for row in rows if row.kind == FailureCodeKind.MODE}) for design, rows in found.items()
    }


def _declared(model: type[_Declaration], ids: Iterable[int], owners: str) -> dict[int, list[_Declaration]]:
    wanted = set(ids)
    # The position in the path says how near a type is; a design is nearer than its type.
    rows = model._default_manager.raw(
        f"""SELECT said.*, owner.asked FROM ({owners}) owner
            JOIN {model._meta.db_table} said ON said.type_id = ANY(owner.path) OR said.design_id = owner.design_id
            WHERE owner.asked = ANY(%s)
            ORDER BY owner.asked, coalesce(array_position(owner.path, said.type_id), 32767), said.id""",  # noqa: S608
        [list(wanted)],
    )
    nearest: dict[int, dict[tuple[str, ...], _Declaration]] = {asked: {} for asked in wanted}
    for row in rows:
        nearest[row.asked][row.name_of_one] = row  # type: ignore[attr-defined]
    return {asked: [named[name] for name in sorted(named)] for asked, named in nearest.items()}
