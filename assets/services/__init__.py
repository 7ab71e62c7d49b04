"""Everything that changes the register.

Promise: each service is one transaction, takes a constant number of statements however many rows it is given, refuses
with an `AssetsError` that names the offender, leaves nothing behind when it refuses, and tells `assets.signals` only
after commit. Reason: the admin, the importers, GraphQL and the loaders of a host must all keep the same rules. Nothing
here may import the admin or know of HTTP and forms.
"""

from assets.services.access import give_role, take_role
from assets.services.hierarchy import NewAsset, change_asset, create_assets, move_asset
from assets.services.placement import NewInstallation, install_items, remove_item, replace_item
from assets.services.records import create_items, create_sensors, record_events, save_record

__all__ = [
    "NewAsset",
    "NewInstallation",
    "change_asset",
    "create_assets",
    "create_items",
    "create_sensors",
    "give_role",
    "install_items",
    "move_asset",
    "record_events",
    "remove_item",
    "replace_item",
    "save_record",
    "take_role",
]
