"""Values against what types and designs declare: attributes, parameters, build records and failure codes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from assets.exceptions import InvalidValue
from assets.models import (
    Asset,
    Declared,
    Design,
    FailureCode,
    Item,
    MaintenanceEvent,
    ParameterDefinition,
    ParameterKind,
    ParameterSubject,
)
from assets.selectors import declared_by_designs, declared_by_types
from assets.services._checks import MAX_TEXT

Owner = tuple[int | None, int | None]
"""Ids of the type and the design whose declarations hold; those of the design are nearer."""
_COLUMNS: Final = {
    ParameterSubject.DESIGN: "parameters",
    ParameterSubject.ASSET: "attributes",
    ParameterSubject.ITEM: "build",
    ParameterSubject.ACCEPTANCE: "acceptance",
}


def check_attributes(assets: Sequence[Asset]) -> None:
    """Attributes fit what type and design of the asset declare; raises InvalidValue with row and name."""
    owners: list[Owner] = [(asset.type_id, asset.design_id) for asset in assets]
    _check(assets, owners, (ParameterSubject.ASSET,))


def check_parameters(designs: Sequence[Design]) -> None:
    """As-designed values fit; a design that is not written yet has the declarations of its type."""
    owners: list[Owner] = [(design.type_id, design.pk) for design in designs]
    _check(designs, owners, (ParameterSubject.DESIGN,))


def check_builds(items: Sequence[Item]) -> None:
    """Build record and acceptance results fit what the design declares."""
    owners: list[Owner] = [(None, item.design_id) for item in items]
    _check(items, owners, (ParameterSubject.ITEM, ParameterSubject.ACCEPTANCE))


def check_codes(events: Sequence[MaintenanceEvent]) -> None:
    """Mode and cause are declared ones, where the design of the item, else of the asset, declares any of that kind."""
    coded = [event for event in events if event.mode or event.cause]
    if not coded:
        return
    designs = dict(Item.objects.filter(pk__in={event.item_id for event in coded}).values_list("pk", "design_id"))
    places: Mapping[int, Owner] = {
        pk: (kind, design)
        for pk, kind, design in Asset.objects.filter(pk__in={event.asset_id for event in coded}).values_list(
            "pk", "type_id", "design_id"
        )
    }
    owners = [
        (None, designs[event.item_id]) if event.item_id in designs else places.get(event.asset_id, (None, None))
        for event in events
    ]
    declared = _declared(FailureCode, owners)
    for index, (event, owner) in enumerate(zip(events, owners, strict=True)):
        for kind in ("mode", "cause"):
            known = sorted({row.code for row in declared[owner] if row.kind == kind})
            said = getattr(event, kind)
            if said and known and said not in known:
                raise InvalidValue(
                    f"Row {index}, {kind}: {said!r} is not declared by the design: use one of {', '.join(known)}, "
                    "or declare it."
                )


def objection_to_value(definition: ParameterDefinition, value: Any) -> str:
    """Why a value does not fit its definition; an empty text when it does."""
    if definition.kind == ParameterKind.NUMBER:
        return _objection_to_number(definition, value)
    if definition.kind == ParameterKind.BOOLEAN:
        return "" if isinstance(value, bool) else f"{value!r:.100} is neither true nor false."
    if not isinstance(value, str):
        return f"{value!r:.100} is no text."
    if definition.kind == ParameterKind.CHOICE and value not in definition.choices:
        return f"{value!r:.100} is none of {', '.join(definition.choices)}."
    return "" if len(value) <= MAX_TEXT else f"{len(value)} characters are more than the {MAX_TEXT} that are taken."


def is_within(definition: ParameterDefinition, value: float) -> bool:
    """Whether a number keeps the limits."""
    low, high = definition.minimum, definition.maximum
    return (low is None or value >= low) and (high is None or value <= high)


def _objection_to_number(definition: ParameterDefinition, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"{value!r:.100} is no number" + (f" in {definition.unit}." if definition.unit else ".")
    # What a test found is kept, good or bad.
    if definition.subject == ParameterSubject.ACCEPTANCE or is_within(definition, value):
        return ""
    low, high = ("any" if limit is None else limit for limit in (definition.minimum, definition.maximum))
    return f"{value} is outside of {low} to {high} {definition.unit}".rstrip() + "."


def _check(rows: Sequence[Any], owners: Sequence[Owner], subjects: tuple[ParameterSubject, ...]) -> None:
    declared = _declared(ParameterDefinition, owners)
    by_owner = {
        owner: [one for one in definitions if one.subject in subjects] for owner, definitions in declared.items()
    }
    for index, (row, owner) in enumerate(zip(rows, owners, strict=True)):
        for definition in by_owner[owner]:
            values = getattr(row, _COLUMNS[ParameterSubject(definition.subject)])
            if reason := _objection(definition, values):
                column = _COLUMNS[ParameterSubject(definition.subject)]
                raise InvalidValue(f"Row {index}, {column}.{definition.name}: {reason}")


def _objection(definition: ParameterDefinition, values: Mapping[str, Any]) -> str:
    value = values.get(definition.name)
    if value is None:
        return "is missing: the design requires it." if definition.required else ""
    return objection_to_value(definition, value)


def _declared(model: Any, owners: Iterable[Owner]) -> dict[Owner, list[Any]]:
    """Declarations in force for each owner, in two statements."""
    distinct = set(owners)
    types, designs = (
        ({key for key in ids if key is not None} for ids in zip(*distinct, strict=True)) if distinct else ((), ())
    )
    by_type = declared_by_types(model, types) if types else {}
    by_design = declared_by_designs(model, designs) if designs else {}
    found: dict[Owner, list[Declared]] = {}
    for kind, design in distinct:
        nearer = by_design.get(design, []) if design is not None else []
        names = {row.name_of_one for row in nearer}
        farther = by_type.get(kind, []) if kind is not None else []
        found[kind, design] = [*nearer, *(row for row in farther if row.name_of_one not in names)]
    return found
