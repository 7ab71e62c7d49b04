"""What can go wrong in the register.

AssetsError
├── InvalidHierarchy     a cycle, a level above its parent's, or a parent that is not there
├── InvalidValue         a value a field or a rule does not take; says the row and the field
├── AlreadyExists        a tag, sensor name or serial number that is taken
├── NotAllowed           somebody without the right there; says who, what and where
├── UnreadableFile       an import that is no table: broken, too large, in another encoding
├── NotInstalled         a removal where nothing is installed
├── AlreadyOccupied      two items at one place, or one item at two places, at one time
└── ChangedMeanwhile     others change the same rows at the same time; nothing was done, and trying again helps

Every message says what is wrong, where, and what to do.
"""


class AssetsError(Exception):
    """Base of everything the register raises on purpose."""


class InvalidHierarchy(AssetsError):
    """The wished parent is not there, would make a cycle or put a higher level below a lower one."""


class InvalidValue(AssetsError):
    """A value that its field or a rule of the register does not take."""


class UnreadableFile(AssetsError):
    """A file that cannot be read as tables; says the row where there is one."""


class AlreadyExists(AssetsError):
    """A name that must be unique is taken."""


class NotAllowed(AssetsError):
    """Who asks holds no role that would allow it at that asset."""


class NotInstalled(AssetsError):
    """The asset carries no item at that instant."""


class AlreadyOccupied(AssetsError):
    """The place or the item is already taken in that period."""


class ChangedMeanwhile(AssetsError):
    """Others change the same rows at the same time, each waiting for the other: nothing was done, try again."""
