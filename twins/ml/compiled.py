"""Loops over arrays as machine code, compiled when first called: who never predicts pays nothing for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
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


def compiled_at_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same without waiting for a call: for loops that call one another, in a module imported when it is needed."""
    import numba

    try:
        made: Callable[..., Any] = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to keep it: neither beside its file nor in the user's cache
        made = numba.njit(nogil=True)(function)
    return made


def load_compiler() -> None:
    """Let numba load what it needs at its first function, compiled or kept: more than half a second of processor."""
    import numba

    function: Callable[[int], int] = numba.njit()(_nothing)
    function(1)


def _nothing(number: int) -> int:
    return number
