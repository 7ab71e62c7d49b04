"""Threads of which the one that rested least takes the next work, because its connection to the database is warm.

`concurrent.futures` goes round all the threads it may have, however few would do: each keeps a connection then, and
behind each stands a process of the database that has planned nothing yet or is out of every cache. And its futures,
which any number of threads may wait for, cost an event loop more than to be told.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any

Told = Callable[[Any, BaseException | None], object]
"""Called with what a call returned, or with None and what it raised."""


class _Work:
    def __init__(self, call: Callable[[], Any], told: Told) -> None:
        self._call, self._told = call, told
        self._result: Any = None
        self._error: BaseException | None = None

    def do(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error

    def tell(self) -> None:
        self._told(self._result, self._error)


class WarmThreads:
    """At most so many threads, made as they are needed; `begin` is called in each. What finds none waits its turn."""

    def __init__(self, most: int, name: str, begin: Callable[[], None] = lambda: None) -> None:
        self._most, self._name, self._begin = most, name, begin
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._resting: list[SimpleQueue[_Work | None]] = []
        self._waiting: deque[_Work] = deque()
        self._ended = False

    def do(self, call: Callable[[], Any], told: Told) -> None:
        """Make the call in one of the threads and tell there how it went; raises RuntimeError after `shutdown`."""
        work = _Work(call, told)
        with self._lock:
            if self._ended:
                raise RuntimeError("These threads were let go.")
            if self._resting:
                self._resting.pop().put(work)
            elif len(self._threads) < self._most:
                self._start(work)
            else:
                self._waiting.append(work)

    async def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """What a call in one of the threads returns, for who waits in an event loop."""
        loop = asyncio.get_running_loop()
        settled = loop.create_future()

        def told(result: Any, error: BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop has ended, so nobody waits
                loop.call_soon_threadsafe(_settle, settled, result, error)

        self.do(partial(call, *args), told)
        return await settled

    def shutdown(self) -> None:
        """Let the threads end when all they were given is done, and wait for that."""
        with self._lock:
            self._ended = True
            while self._resting:
                self._resting.pop().put(None)
        for thread in self._threads:
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


def _settle(settled: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if settled.done():  # whoever waited was cancelled
        return
    if error is None:
        settled.set_result(result)
    else:
        settled.set_exception(error)
