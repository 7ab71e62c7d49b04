"""Everything that changes the register.

Promise: each service is one transaction, takes a constant number of statements however many rows it is given, refuses
with an `AssetsError` that names the offender, leaves nothing behind when it refuses, and tells `assets.signals` only
after commit. Reason: the admin, the importers, GraphQL and the loaders of a host must all keep the same rules. Nothing
here may import the admin or know of HTTP and forms.

`actor` is the user on whose behalf a person's wish is carried out: what `assets.permissions` does not allow there is
refused with NotAllowed, inside of the transaction, and history names the actor. Without one it is the system itself,
which may do everything; so whoever serves a person passes it on.
"""

from assets.services.access import give_role, take_role
from assets.services.hierarchy import (
    Move,
    NewAsset,
    change_asset,
    change_assets,
    create_assets,
    edit_assets,
    move_asset,
    move_assets,
)
from assets.services.placement import (
    NewInstallation,
    Removal,
    Replacement,
    install_items,
    remove_item,
    remove_items,
    replace_item,
    replace_items,
)
from assets.services.records import (
    change_records,
    create_items,
    create_records,
    create_sensors,
    equip_assets,
    record_events,
    revise_design,
    save_record,
)
from assets.services.relations import NewRelation, end_relations, relate_assets
from assets.services.retirement import retire_assets, retire_items

__all__ = [
    "Move",
    "NewAsset",
    "NewInstallation",
    "NewRelation",
    "Removal",
    "Replacement",
    "change_asset",
    "change_assets",
    "change_records",
    "create_assets",
    "create_items",
    "create_records",
    "create_sensors",
    "edit_assets",
    "end_relations",
    "equip_assets",
    "give_role",
    "install_items",
    "move_asset",
    "move_assets",
    "record_events",
    "relate_assets",
    "remove_item",
    "remove_items",
    "replace_item",
    "replace_items",
    "retire_assets",
    "retire_items",
    "revise_design",
    "save_record",
    "take_role",
]
