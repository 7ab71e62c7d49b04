"""What the register tells the outside, after commit; nothing inside the register listens.

Each is sent once per call of a service, with `asset_ids`, a frozenset of int. A listener that fails is logged and stops
nobody.
"""

from django.dispatch import Signal

assets_created = Signal()
asset_moved = Signal()
asset_changed = Signal()
sensors_created = Signal()
item_installed = Signal()
item_removed = Signal()
events_recorded = Signal()
