"""The tables of the register, one module per idea: design (Reason), item (Realize), installation and event (Run).

A new table is entered in `history`, which keeps the past of all of them, and in `assets.permissions`.
"""

from assets.models.access import Grant, Role
from assets.models.asset import Asset, AssetStatus, Level
from assets.models.declaration import (
    Declared,
    FailureCode,
    FailureCodeKind,
    ParameterDefinition,
    ParameterKind,
    ParameterSubject,
)
from assets.models.design import AssetType, Design
from assets.models.draft import ImportDraft
from assets.models.event import EventKind, MaintenanceEvent, RunningState
from assets.models.history import Change, Version, version_models
from assets.models.item import Installation, Item
from assets.models.reference import TARGETS, ExternalReference
from assets.models.relation import SYMMETRIC, Relation, RelationKind
from assets.models.sensor import Sensor, SensorPrivacy, SensorRole, SensorTemplate

__all__ = [
    "SYMMETRIC",
    "TARGETS",
    "Asset",
    "AssetStatus",
    "AssetType",
    "Change",
    "Declared",
    "Design",
    "EventKind",
    "ExternalReference",
    "FailureCode",
    "FailureCodeKind",
    "Grant",
    "ImportDraft",
    "Installation",
    "Item",
    "Level",
    "MaintenanceEvent",
    "ParameterDefinition",
    "ParameterKind",
    "ParameterSubject",
    "Relation",
    "RelationKind",
    "Role",
    "RunningState",
    "Sensor",
    "SensorPrivacy",
    "SensorRole",
    "SensorTemplate",
    "Version",
    "version_models",
]
