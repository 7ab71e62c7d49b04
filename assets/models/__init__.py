"""The tables of the register, one module per idea: design (Reason), item (Realize), installation and event (Run)."""

from assets.models.asset import Asset, AssetStatus, Level
from assets.models.design import AssetType, Design
from assets.models.event import EventKind, MaintenanceEvent
from assets.models.item import Installation, Item
from assets.models.sensor import Sensor, SensorPrivacy, SensorRole

__all__ = [
    "Asset",
    "AssetStatus",
    "AssetType",
    "Design",
    "EventKind",
    "Installation",
    "Item",
    "Level",
    "MaintenanceEvent",
    "Sensor",
    "SensorPrivacy",
    "SensorRole",
]
