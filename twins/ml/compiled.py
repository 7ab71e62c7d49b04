"""Loops over arrays as machine code, compiled when first called: who never predicts pays nothing for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function by numba, kept on disk where that is possible; it takes arrays and numbers by position."""
    made: Callable[..., Any] | None = None

    @wraps(function)
    def call(*arguments: Any) -> Any:
        nonlocal made
        if made is None:
            made = compiled_at_once(function)
        return made(*arguments)

    return call


def compiled_at_once(function: Callable[..., Any], types: Any = None) -> Callable[..., Any]:
    """The same without waiting for a call: for loops that call one another, in a module imported when it is needed.

    With `types`, by numba's signature, it is compiled for these and no others, right here.
    """
    import numba

    try:
        made: Callable[..., Any] = numba.njit(types, cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to keep it: neither beside its file nor in the user's cache
        made = numba.njit(types, nogil=True)(function)
    return made


class Beside:
    """A module of compiled loops with a function `try_out` that calls each, loaded by a thread: compiling takes some
    seconds the first time, which nobody waits for."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: Any = None
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def ready(self) -> Any:
        """The module, None as long as it is being compiled."""
        if self._module is None:
            self.start()
        return self._module

    def start(self) -> threading.Thread:
        """Compile it beside everything else; once."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._load, name="twins-loops", daemon=True)
                self._thread.start()
            return self._thread

    def _load(self) -> None:
        module = import_module(self._name)
        module.try_out()
        self._module = module


def load_compiler() -> None:
    """Let numba load what it needs at its first function, compiled or kept: more than half a second of processor."""
    import numba

    function: Callable[[int], int] = numba.njit()(_nothing)
    function(1)


def _nothing(number: int) -> int:
    return number
