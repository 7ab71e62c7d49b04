"""Loops over arrays as machine code: compiled once, kept on disk where that is possible, and loaded from there.

To compile takes seconds, to load some milliseconds. So a loop says which types it is called with, and is compiled for
these and no others: that can be done before anybody calls it. Who never calls one pays nothing for it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import update_wrapper
from importlib import import_module
from pathlib import Path
from typing import Any, cast

try:
    import fcntl
except ImportError:  # Windows: there several processes may compile the same at once
    fcntl = None  # type: ignore[assignment]

FOR_WORKERS = ("twins.ml.anomaly_loop", "twins.ml.laying", "twins.ml.windows", "twins.ml.regimes")
FOR_SENDERS = ("twins.sources.packing_loop", "twins.sources.line_loop")
"""Modules with loops, by who needs them."""
LEFT_ALONE = 3
"""Exit status of a process that compiled for one that has ended."""
_PATIENCE = 60.0
"""Seconds to wait for another process that compiles the same; whoever waited in vain compiles it as well."""


class Loop:
    """A function that is compiled, or loaded, when it is called first, unless it was before."""

    def __init__(self, function: Callable[..., Any], types: Any) -> None:
        self._function, self._types = function, types
        self._made: Callable[..., Any] | None = None
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns; arguments go by position. Raises TypeError for other types than its own."""
        if self._made is None:
            self.prepare()
        assert self._made
        return self._made(*arguments)

    def load(self) -> bool:
        """Have it ready if it is kept on disk; whether it is."""
        if self._made is None:
            made, types = _kept(self._function), self._signature()
            if _is_kept(made, types):
                self._made = _only(made, types)
        return self._made is not None

    def prepare(self) -> None:
        """Have it ready, however long that takes. Of several processes one compiles it, and the others load it then."""
        if not self.load():
            with _turn(self._function.__code__.co_filename):
                self._made = _only(_kept(self._function), self._signature())

    def can_be_kept(self) -> bool:
        """Whether there is a place on disk for it."""
        return _kept(self._function).stats.cache_path is not None

    def _signature(self) -> tuple[Any, ...]:
        from numba.core.sigutils import normalize_signature

        types = f"({self._types},)" if isinstance(self._types, str) else self._types
        return tuple(normalize_signature(types)[0])


def _kept(function: Callable[..., Any]) -> Any:
    """The function as numba keeps it on disk, where it can."""
    import numba

    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to keep it: neither beside its file nor in the user's cache
        return numba.njit(nogil=True)(function)


def _is_kept(made: Any, types: tuple[Any, ...]) -> bool:
    """Nothing public asks this without compiling what is not there."""
    try:
        return made._cache.load_overload(types, made.targetctx) is not None
    except Exception:  # torn by a power cut: written without waiting for the disk
        made._cache.flush()
        return False


def _only(made: Any, types: tuple[Any, ...]) -> Callable[..., Any]:
    """Compiled for these types; what fits them is taken, such as an array that could be written to for one that is
    only read."""
    made.compile(types)
    made.disable_compile()
    return cast("Callable[..., Any]", made)


def compiled(types: Any) -> Callable[[Callable[..., Any]], Loop]:
    """A loop with arguments of these types of numba, or as it writes them: "int64, float64[:, ::1]"."""
    return lambda function: Loop(function, types)


def compiled_at_once(function: Callable[..., Any]) -> Any:
    """A loop that only other loops call, in a module that is imported when it is needed; it is kept as part of them."""
    import numba

    return numba.njit(nogil=True)(function)


def loops(*modules: str) -> list[Loop]:
    """The loops of these modules, in their order."""
    return [one for name in modules for one in vars(import_module(name)).values() if _is_own(one, name)]


def load_or_prepare() -> bool:
    """Have all loops ready that are kept, and compile those that a worker needs and that cannot be kept; False: there
    are some that can be, by `prepare_all`."""
    missing = [one for one in loops(*FOR_WORKERS, *FOR_SENDERS) if not one.load()]
    kept_never = [one for one in missing if not one.can_be_kept()]
    for one in kept_never:
        if one.__module__ in FOR_WORKERS:
            one.prepare()
    return len(kept_never) == len(missing)


def prepare_all() -> None:
    """Compile and keep all loops that are not kept, those first that are needed soonest."""
    first, *others = FOR_WORKERS
    for one in loops(first, *FOR_SENDERS, *others):
        one.prepare()


def prepare_for_parent() -> None:
    """The same in a process of its own, which ends with whoever holds the other end of its standard input."""
    threading.Thread(target=_end_with_parent, name="twins-parent", daemon=True).start()
    prepare_all()


def _end_with_parent() -> None:
    os.read(0, 1)  # without the lock of `sys.stdin`, which Python wants when it ends
    os._exit(LEFT_ALONE)


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


def _is_own(one: Any, module: str) -> bool:
    return isinstance(one, Loop) and one.__module__ == module


@contextmanager
def _turn(file: str) -> Iterator[None]:
    """Let one process after the other compile what a file holds. The kernel ends the turn of one that was killed."""
    with ExitStack() as held:
        with suppress(OSError):  # a file that cannot be locked: then several compile at once, as they may
            opened = held.enter_context(Path(file).open("rb"))
            end = time.monotonic() + _PATIENCE
            while not _locked(opened.fileno()) and time.monotonic() < end:
                time.sleep(0.05)
        yield


def _locked(file: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
