"""Memory that was needed for a moment: allocators keep it for the next time, which for a large merge may never come.

What was kept between two pieces of work also lies in pieces, so that a process of many of them holds more and more: the
worker gives back. The web server keeps: a chart of hundreds of sensors needs a few arrays of megabytes, each for a
millisecond, and when the system fills them with zeros anew, page by page, that is a third of such a request.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import pyarrow as pa

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGE = 1 << 20
_KEPT = 32 << 20
"""Bytes; the C library by itself goes up to twice as many, once that much was freed."""


def give_back() -> None:
    """Return what is free in this process to the system; where the C library cannot, only what Arrow keeps."""
    pa.default_memory_pool().release_unused()
    if trim := _c_function("malloc_trim"):
        trim(0)


def keep_large_apart() -> None:
    """Let the C library take each large array from the system and return it when it is free, however many there are.

    By itself it does so only until the first of them is free, and from then on cuts them out of what it holds.
    """
    if set_option := _c_function("mallopt"):
        set_option(_MMAP_THRESHOLD, _LARGE)


def keep_memory() -> None:
    """Let the C library hold what is free for the next request, up to 32 MB for each thread that needed it."""
    if set_option := _c_function("mallopt"):
        set_option(_TRIM_THRESHOLD, _KEPT)
        set_option(_MMAP_THRESHOLD, _KEPT // 2)


@cache
def _c_function(name: str) -> Any:
    """A function of the C library, None where it has no such."""
    try:
        return getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
