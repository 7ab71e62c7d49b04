"""What the register tells the outside, after commit; nothing inside the register listens.

Each is sent once per transaction with `asset_ids`, a frozenset of int.
"""

from django.dispatch import Signal

assets_created = Signal()
asset_moved = Signal()
item_installed = Signal()
item_removed = Signal()
events_recorded = Signal()
