"""Rows that hang on an asset or a design and have no shape of their own to keep: sensors, items and events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from assets import signals
from assets.models import (
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
from assets.services._rules import all_or_nothing, check_fields, tell

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


def create_sensors(*, sensors: Sequence[Sensor]) -> list[Sensor]:
    """Write unsaved sensors and return them with their ids; raises AlreadyExists for a name taken at its asset."""
    with all_or_nothing():
        check_fields(sensors)
        created = Sensor.objects.bulk_create(sensors)
        tell(signals.sensors_created, Sensor, (sensor.asset_id for sensor in created))
    return created


def create_items(*, items: Sequence[Item]) -> list[Item]:
    """Write unsaved items and return them with their ids; raises AlreadyExists for a taken serial number."""
    with all_or_nothing():
        check_fields(items)
        return Item.objects.bulk_create(items)


def record_events(*, events: Sequence[MaintenanceEvent]) -> list[MaintenanceEvent]:
    """Write unsaved events and return them with their ids."""
    with all_or_nothing():
        check_fields(events)
        recorded = MaintenanceEvent.objects.bulk_create(events)
        tell(signals.events_recorded, MaintenanceEvent, (event.asset_id for event in recorded))
    return recorded


def save_record(*, record: Record) -> Record:
    """Create or change one type, design, item, sensor or event; returns it."""
    if record.pk is None and isinstance(record, Sensor):
        return create_sensors(sensors=[record])[0]
    if record.pk is None and isinstance(record, MaintenanceEvent):
        return record_events(events=[record])[0]
    with all_or_nothing():
        check_fields([record])
        record.save()
    return record
