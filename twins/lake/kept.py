"""What was read of files is kept for whoever asks next: files never change, so nothing kept is ever wrong."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Kept(Generic[_Key, _Value]):
    """Values by key up to a total size; what was not asked for longest goes first. Threads may share one."""

    def __init__(self, most: int, size: Callable[[_Value], int]) -> None:
        self._most, self._size = most, size
        self._values: OrderedDict[_Key, _Value] = OrderedDict()
        self._total = 0
        self._lock = threading.Lock()

    def get(self, keys: Iterable[_Key]) -> dict[_Key, _Value]:
        """Those of the keys that are kept."""
        with self._lock:
            found = {key: self._values[key] for key in keys if key in self._values}
            for key in found:
                self._values.move_to_end(key)
            return found

    def put(self, values: Mapping[_Key, _Value]) -> None:
        """Keep these as well; the last of them in any case."""
        with self._lock:
            for key, value in values.items():
                if key not in self._values:
                    self._values[key] = value
                    self._total += self._size(value)
            while self._total > self._most and len(self._values) > 1:
                self._total -= self._size(self._values.popitem(last=False)[1])
