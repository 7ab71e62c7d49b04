"""The host's channel layer, which is nobody's business but the host's."""

from typing import Any


class Untouched:
    def __init__(self, **_: Any) -> None:
        raise AssertionError("the twins touched the host's channel layer")
