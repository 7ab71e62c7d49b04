"""What can go wrong in the register.

AssetsError
├── InvalidHierarchy     a cycle, or a level above its parent's
├── NotInstalled         a removal where nothing is installed
└── AlreadyOccupied      two items at one place, or one item at two places, at one time

Every message says what is wrong, where, and what to do.
"""


class AssetsError(Exception):
    """Base of everything the register raises on purpose."""


class InvalidHierarchy(AssetsError):
    """The wished parent would make a cycle or put a higher level below a lower one."""


class NotInstalled(AssetsError):
    """The asset carries no item at that instant."""


class AlreadyOccupied(AssetsError):
    """The place or the item is already taken in that period."""
