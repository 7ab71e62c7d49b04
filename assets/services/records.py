"""Rows that hang on an asset or a design and have no shape of their own to keep: sensors, items, events and others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

from django.db import models

from assets import signals
from assets.exceptions import InvalidValue
from assets.models import (
    TARGETS,
    Asset,
    AssetType,
    Design,
    ExternalReference,
    FailureCode,
    Item,
    MaintenanceEvent,
    ParameterDefinition,
    Sensor,
    SensorTemplate,
)
from assets.models.sensor import Measured
from assets.permissions import require_rows
from assets.selectors import declared_by_designs, declared_by_types
from assets.services._bulk import insert_rows, update_rows
from assets.services._checks import check_fields
from assets.services._declared import check_builds, check_codes, check_parameters
from assets.services._rules import all_or_nothing, tell

Record = TypeVar(
    "Record",
    AssetType,
    Design,
    ParameterDefinition,
    SensorTemplate,
    FailureCode,
    Item,
    Sensor,
    MaintenanceEvent,
    ExternalReference,
)


def create_records(*, records: Sequence[Record], actor: Any = None) -> list[Record]:
    """Write unsaved rows of one table in their order and return them with their ids.

    A row may refer to one before it: a type to its parent type. Raises AlreadyExists for a name or key that is taken,
    InvalidValue with row and field for anything else that is refused.
    """
    if not records:
        return []
    with all_or_nothing(actor):
        _check(records)
        require_rows(actor, records)
        created = insert_rows(records)
        _tell_of_new(created)
    return created


def change_records(
    *, records: Sequence[Record], fields: Sequence[str] | None = None, actor: Any = None
) -> list[Record]:
    """Write the named fields, or all that may change, of saved rows of one table; returns them."""
    if not records:
        return []
    with all_or_nothing(actor):
        _check(records)
        require_rows(actor, records)
        update_rows(records, fields or _changeable(type(records[0])))
    return list(records)


def save_record(*, record: Record, actor: Any = None) -> Record:
    """Create or change one row; returns it."""
    write = create_records if record.pk is None else change_records
    return write(records=[record], actor=actor)[0]


def create_sensors(*, sensors: Sequence[Sensor], actor: Any = None) -> list[Sensor]:
    """Write unsaved sensors and return them with their ids; raises AlreadyExists for a name taken at its asset."""
    return create_records(records=sensors, actor=actor)


def create_items(*, items: Sequence[Item], actor: Any = None) -> list[Item]:
    """Write unsaved items and return them with their ids; raises AlreadyExists for a taken serial number."""
    return create_records(records=items, actor=actor)


def record_events(*, events: Sequence[MaintenanceEvent], actor: Any = None) -> list[MaintenanceEvent]:
    """Write unsaved events and return them with their ids; raises InvalidValue for a code that is not declared."""
    return create_records(records=events, actor=actor)


def equip_assets(*, assets: Sequence[Asset], actor: Any = None) -> list[Sensor]:
    """Create the sensors that types and designs of the assets want and that are missing there; returns the new ones."""
    by_type = declared_by_types(SensorTemplate, {asset.type_id for asset in assets if asset.type_id})
    by_design = declared_by_designs(SensorTemplate, {asset.design_id for asset in assets if asset.design_id})
    there = set(Sensor.objects.filter(asset__in=[asset.pk for asset in assets]).values_list("asset_id", "name"))
    fresh = []
    for asset in assets:
        wanted = [*by_type.get(asset.type_id or 0, ()), *by_design.get(asset.design_id or 0, ())]
        named = {template.name: template for template in wanted}
        fresh += [_sensor(asset, one) for name, one in named.items() if (asset.pk, name) not in there]
    return create_sensors(sensors=fresh, actor=actor)


def _sensor(asset: Asset, template: SensorTemplate) -> Sensor:
    shared = {field.name: getattr(template, field.name) for field in Measured._meta.get_fields()}
    return Sensor(asset=asset, name=template.name, **shared)


def revise_design(*, design: Design, revision: str, actor: Any = None) -> Design:
    """A new revision, which starts as a copy of `design` and of all it declares; raises AlreadyExists when taken."""
    with all_or_nothing(actor):
        fresh = Design.objects.get(pk=design.pk)
        fresh.pk, fresh.revision, fresh.based_on = None, revision, design
        create_records(records=[fresh], actor=actor)
        for model in (ParameterDefinition, SensorTemplate, FailureCode):
            rows = list(model._default_manager.filter(design=design))
            for row in rows:
                row.pk, row.design = None, fresh
            create_records(records=cast(Any, rows))
    return fresh


def _check(records: Sequence[Any]) -> None:
    model = type(records[0])
    if any(type(record) is not model for record in records):
        raise TypeError("Rows of one table at a time.")
    check_fields(records)
    if (rule := _RULES.get(model)) is not None:
        rule(records)


def _check_targets(references: Sequence[ExternalReference]) -> None:
    for index, reference in enumerate(references):
        given = [name for name in TARGETS if getattr(reference, f"{name}_id") is not None]
        if len(given) != 1:
            raise InvalidValue(
                f"Row {index}, target: an external key names exactly one row, this one names {len(given)}: "
                f"fill one of {', '.join(TARGETS)}."
            )
        if not reference.key.strip():
            raise InvalidValue(f"Row {index}, key: is empty: give the key that the other system uses.")


_RULES: Final[dict[type[models.Model], Callable[[Any], None]]] = {
    Design: check_parameters,
    Item: check_builds,
    MaintenanceEvent: check_codes,
    ExternalReference: _check_targets,
}


def _changeable(model: type[models.Model]) -> list[str]:
    derived = {"path", "uuid"}
    return [f.name for f in model._meta.concrete_fields if not f.primary_key and f.name not in derived]


def _tell_of_new(records: Sequence[Any]) -> None:
    model = type(records[0])
    if model is Sensor:
        tell(signals.sensors_created, Sensor, (sensor.asset_id for sensor in records))
    elif model is MaintenanceEvent:
        tell(signals.events_recorded, MaintenanceEvent, (event.asset_id for event in records))
