"""What can be imported and exported: each table, its headers, and what makes two rows mean the same record.

Other records are named as people name them: an asset by tag and site, an item by serial number and design. Where a
source system has keys of its own, `KEY_HEADER` holds the key of the row and `<name>_key` that of a record it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.db import models

from assets.models import (
    Asset,
    AssetType,
    Design,
    FailureCode,
    Installation,
    Item,
    MaintenanceEvent,
    ParameterDefinition,
    Relation,
    Sensor,
    SensorTemplate,
)

KEY_HEADER: Final = "external_key"
KIND_HEADER: Final = "external_kind"


@dataclass(frozen=True)
class Column:
    """A header that fills one field of the record."""

    header: str
    field: str
    required: bool = False


@dataclass(frozen=True)
class Values:
    """Headers `prefix.NAME`, one for each value of a JSON field; a JSON file may give them as one object."""

    prefix: str
    field: str


@dataclass(frozen=True)
class Link:
    """Headers that name another record: `headers` by the parts of its name, `key` for its external key."""

    field: str
    to: str
    """The table of the record that is named."""
    headers: dict[str, str]
    key: str
    required: bool = False

    @property
    def header(self) -> str:
        """The header of the name proper; the others only tell it from others of that name."""
        return next(iter(self.headers.values()))


@dataclass(frozen=True)
class Period:
    """Two headers for the ends of a half-open period."""

    start: str
    end: str
    field: str = "period"


Part = Column | Values | Link | Period


@dataclass(frozen=True)
class Table:
    """A table of a file."""

    name: str
    model: type[models.Model]
    target: str
    """Its column in external references; empty for what no other system numbers."""
    parts: tuple[Part, ...]
    identity: tuple[str, ...]
    """Attributes that together tell two records apart, the most telling one first."""

    @property
    def headers(self) -> dict[str, Part]:
        """The part each header belongs to, in the order of an export; prefixed headers stand as `prefix.`."""
        found: dict[str, Part] = {}
        for part in self.parts:
            found |= dict.fromkeys(_headers_of(part), part)
        return found


def _headers_of(part: Part) -> list[str]:
    match part:
        case Column():
            return [part.header]
        case Values():
            return [f"{part.prefix}."]
        case Link():
            return [*part.headers.values(), part.key]
        case Period():
            return [part.start, part.end]


def _columns(*names: str, required: tuple[str, ...] = ()) -> tuple[Column, ...]:
    return tuple(Column(name, name, name in required) for name in names)


def _asset(field: str = "asset", *, site: str = "site", required: bool = True) -> Link:
    return Link(field, "assets", {"tag": field, "site": site}, f"{field}_key", required)


def _design(*, required: bool = False) -> Link:
    return Link("design", "designs", {"code": "design", "revision": "revision"}, "design_key", required)


def _type(*, required: bool = False) -> Link:
    return Link("type", "types", {"code": "type"}, "type_key", required)


_ITEM_NAME = {"serial_number": "serial_number", "design": "design", "revision": "revision"}
_MEASURED = (
    "quantity", "unit", "role", "expected_interval", "valid_min", "valid_max", "retention_days", "privacy",
)  # fmt: skip

TABLES: Final[dict[str, Table]] = {
    table.name: table
    for table in (
        Table(
            "types",
            AssetType,
            "type",
            (
                *_columns("code", "name", required=("code",)),
                Link("parent", "types", {"code": "parent"}, "parent_key"),
                *_columns("iso14224"),
            ),
            ("code",),
        ),
        Table(
            "designs",
            Design,
            "design",
            (
                *_columns("code", "revision", "name", required=("code",)),
                _type(required=True),
                Link("based_on", "designs", {"code": "based_on", "revision": "based_on_revision"}, "based_on_key"),
                *_columns("manufacturer", "life_unit", "expected_life", "planning_horizon"),
                Values("parameters", "parameters"),
            ),
            ("code", "revision"),
        ),
        Table(
            "parameters",
            ParameterDefinition,
            "",
            (
                _type(),
                _design(),
                *_columns("subject", "name", "kind", "unit", "minimum", "maximum", "choices", "required"),
                *_columns("description"),
            ),
            ("name", "subject", "type_id", "design_id"),
        ),
        Table(
            "sensor_templates",
            SensorTemplate,
            "",
            (_type(), _design(), *_columns("name", *_MEASURED, required=("name",))),
            ("name", "type_id", "design_id"),
        ),
        Table(
            "failure_codes",
            FailureCode,
            "",
            (_type(), _design(), *_columns("kind", "code", "name", "iso14224", required=("code",))),
            ("code", "kind", "type_id", "design_id"),
        ),
        Table(
            "assets",
            Asset,
            "asset",
            (
                *_columns("tag", "name", "level", required=("tag",)),
                Link("parent", "assets", {"tag": "parent", "site": "site"}, "parent_key"),
                _type(),
                _design(),
                *_columns("criticality", "status"),
                Values("attributes", "attributes"),
            ),
            ("tag", "root_id"),
        ),
        Table(
            "items",
            Item,
            "item",
            (
                _design(required=True),
                *_columns("serial_number", "manufacturer", "made_at", required=("serial_number",)),
                *_columns("retired_at", "retirement_reason"),
                Values("build", "build"),
                Values("acceptance", "acceptance"),
            ),
            ("serial_number", "design_id"),
        ),
        Table(
            "sensors",
            Sensor,
            "sensor",
            (_asset(), *_columns("name", *_MEASURED, "uuid", required=("name",))),
            ("asset_id", "name"),
        ),
        Table(
            "relations",
            Relation,
            "relation",
            (
                _asset("source", site="source_site"),
                *_columns("kind", required=("kind",)),
                _asset("target", site="target_site"),
                Period("since", "until"),
                *_columns("note"),
            ),
            ("source_id", "kind", "target_id", "period.lower"),
        ),
        Table(
            "installations",
            Installation,
            "installation",
            (
                _asset(),
                Link("item", "items", _ITEM_NAME, "item_key", required=True),
                Period("installed_at", "removed_at"),
                *_columns("removal_reason"),
            ),
            ("asset_id", "item_id", "period.lower"),
        ),
        Table(
            "events",
            MaintenanceEvent,
            "event",
            (
                _asset(),
                Link("item", "items", _ITEM_NAME, "item_key"),
                *_columns("kind", "started_at", "mode", required=("kind", "started_at")),
                *_columns("cause", "ended_at", "downtime_hours", "cost", "running_state", "note"),
            ),
            ("asset_id", "kind", "started_at", "mode"),
        ),
    )
}
"""In the order in which they are written: what is named stands before what names it."""
