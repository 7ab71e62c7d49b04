"""Threads of which the one that rested least takes the next work, because its connection to the database is warm.

`concurrent.futures` goes round all the threads it may have, however few would do: each keeps a connection then, and
behind each stands a process of the database that has planned nothing yet or is out of every cache.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import SimpleQueue
from typing import Any


class _Work:
    def __init__(self, call: Callable[[], Any]) -> None:
        self.future: Future[Any] = Future()
        self._call = call
        self._tell: Callable[[], None] = lambda: None

    def do(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self._tell = partial(self.future.set_result, self._call())
        except BaseException as error:
            self._tell = partial(self.future.set_exception, error)

    def tell(self) -> None:
        self._tell()


class WarmThreads(Executor):
    """At most so many threads, made as they are needed; `begin` is called in each. What finds none waits its turn."""

    def __init__(self, most: int, name: str, begin: Callable[[], None] = lambda: None) -> None:
        self._most, self._name, self._begin = most, name, begin
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._resting: list[SimpleQueue[_Work | None]] = []
        self._waiting: deque[_Work] = deque()
        self._ended = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As in concurrent.futures."""
        work = _Work(partial(fn, *args, **kwargs))
        with self._lock:
            if self._ended:
                raise RuntimeError("These threads were let go.")
            if self._resting:
                self._resting.pop().put(work)
            elif len(self._threads) < self._most:
                self._start(work)
            else:
                self._waiting.append(work)
        return work.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As in concurrent.futures; what waits is still done, unless it is cancelled."""
        with self._lock:
            self._ended = True
            while cancel_futures and self._waiting:
                self._waiting.popleft().future.cancel()
            while self._resting:
                self._resting.pop().put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _start(self, work: _Work) -> None:
        name = f"{self._name}-{len(self._threads)}"
        # Daemons, because one that rests would keep the process from ending.
        thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, work: _Work | None) -> None:
        self._begin()
        own: SimpleQueue[_Work | None] = SimpleQueue()
        while work is not None:
            work.do()
            following = self._next(own)
            # Told after it is known who rests: whoever hears it and asks again shall find this thread.
            work.tell()
            work = own.get() if following is own else following  # type: ignore[assignment]

    def _next(self, own: SimpleQueue[_Work | None]) -> _Work | SimpleQueue[_Work | None] | None:
        """What to do next: waiting work, rest until `own` has some, or None for the end."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._ended:
                return None
            self._resting.append(own)
            return own
