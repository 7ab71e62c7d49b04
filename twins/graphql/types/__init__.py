"""The types of the API, one module per idea; names are the trade's, units are said, every list is a bounded page."""

from twins.graphql.types.connection import Connection, PageInfo
from twins.graphql.types.health import Driver, FailureProbability, Health, RemainingLife
from twins.graphql.types.register import AssetType, Design, Installed, Item, MaintenanceEvent, Node
from twins.graphql.types.sensor import Reading, Sensor, Series
from twins.graphql.types.twin import PartTwin, ProductTwin, SystemTwin, Twin, load_twin, twin_of

__all__ = [
    "AssetType",
    "Connection",
    "Design",
    "Driver",
    "FailureProbability",
    "Health",
    "Installed",
    "Item",
    "MaintenanceEvent",
    "Node",
    "PageInfo",
    "PartTwin",
    "ProductTwin",
    "Reading",
    "RemainingLife",
    "Sensor",
    "Series",
    "SystemTwin",
    "Twin",
    "load_twin",
    "twin_of",
]
