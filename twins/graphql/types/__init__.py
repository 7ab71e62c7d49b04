"""The types of the API, one module per idea; names are the trade's, units are said, every list is a bounded page."""

from twins.graphql.types.connection import Connection, PageInfo
from twins.graphql.types.health import Driver, FailureProbability, Health, HealthVoice, RemainingLife, Warning
from twins.graphql.types.register import AssetType, Design, Installed, Item, MaintenanceEvent, Node
from twins.graphql.types.reliability import HealthChange, Reliability, TrackRecord
from twins.graphql.types.sensor import Reading, Sensor, Series
from twins.graphql.types.twin import PartTwin, ProductTwin, SystemTwin, Twin, load_twin, twin_of

__all__ = [
    "AssetType",
    "Connection",
    "Design",
    "Driver",
    "FailureProbability",
    "Health",
    "HealthChange",
    "HealthVoice",
    "Installed",
    "Item",
    "MaintenanceEvent",
    "Node",
    "PageInfo",
    "PartTwin",
    "ProductTwin",
    "Reading",
    "Reliability",
    "RemainingLife",
    "Sensor",
    "Series",
    "SystemTwin",
    "TrackRecord",
    "Twin",
    "Warning",
    "load_twin",
    "twin_of",
]
