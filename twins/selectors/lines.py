"""Statements that an event loop waits for by itself, on connections of its own, so that no thread has to be woken.

To hand work to a thread and to be told of its end costs two wake-ups, which on a machine that rests take as long as a
small statement. An event loop must never block: connections are made by a thread beside it, and who finds none that
rests does without, as do those whose settings leave connections to a pool or log what is asked.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.pq import ConnStatus

from twins.selectors.binding import Rows, Value, as_sent, calls_of

LINES = 4
"""Connections of one event loop."""
_KEPT = 600.0
"""Seconds that a connection is used again."""
_PAUSE = 1.0
"""Seconds until a connection is tried again that could not be made."""
_SENT = {"exec_prepared": "send_query_prepared", "prepare": "send_prepare", "exec_": "send_query"}
"""What libpq calls the same for who does not wait in it."""

_log = logging.getLogger(__name__)


class Line:
    """One connection, on which one statement is asked at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wrapper: Any) -> None:
        self._database = _database()
        self._loop, self._wrapper = loop, wrapper
        self._libpq = wrapper.connection.pgconn
        self._libpq.nonblocking = 1
        self._until = time.monotonic() + _KEPT
        self._answer: asyncio.Future[Any] | None = None
        self._result: Any = None
        self._socket = self._libpq.socket
        self._silence = select.poll()
        self._silence.register(self._socket, select.POLLIN)
        # For as long as there is the connection: to begin and to end with each statement costs two calls of the kernel.
        loop.add_reader(self._socket, self._read)
        self._listens = True

    def is_idle(self) -> bool:
        """Whether nothing is under way, and what comes will be heard."""
        return self._answer is None and self._listens and self._libpq.status == ConnStatus.OK

    def rests(self) -> bool:
        """Whether the next statement may be asked here: the database that is in force has not hung up."""
        if not self.is_idle() or self._database != _database() or time.monotonic() > self._until:
            return False
        return not self._silence.poll(0)

    async def rows(self, statement: str, values: Sequence[Value]) -> Rows:
        """The rows of a statement that is a transaction by itself, once it is committed; see `bound_rows`."""
        with self._wrapper.wrap_database_errors:
            calls, result = calls_of(self._wrapper.connection, statement, as_sent(values)), None
            try:
                while True:
                    name, *given = calls.send(result)
                    result = await self._called(_SENT[name], given)
            except StopIteration as end:
                return end.value

    def close(self) -> None:
        """Hang up; whatever was asked may still be done."""
        with suppress(Exception):  # the loop has ended
            self._listen_no_more()
        self._wrapper.connection.close()

    async def _called(self, name: str, given: Sequence[Any]) -> Any:
        self._answer, self._result = self._loop.create_future(), None
        getattr(self._libpq, name)(*given)
        if self._libpq.flush():
            self._loop.add_writer(self._socket, self._write)
        return await self._answer

    def _write(self) -> None:
        try:
            if not self._libpq.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._lost(error)

    def _read(self) -> None:
        try:
            self._libpq.consume_input()
            while self._answer is not None and not self._libpq.is_busy():
                found = self._libpq.get_result()
                if found is None:  # only now it is committed: until then an error may follow the rows
                    self._settle()
                else:
                    self._result = found
            if self._libpq.status != ConnStatus.OK:
                raise psycopg.OperationalError("the connection to the database was lost")
        except psycopg.Error as error:
            self._lost(error)

    def _settle(self) -> None:
        answer, self._answer = self._answer, None
        if answer is None or answer.done():  # whoever waited was cancelled
            return
        if self._result is None:
            answer.set_exception(psycopg.OperationalError("the database gave no answer"))
        else:
            answer.set_result(self._result)

    def _lost(self, error: psycopg.Error) -> None:
        # At once: libpq has closed the socket, and another may get its number.
        self._listen_no_more()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)

    def _listen_no_more(self) -> None:
        if self._listens:
            self._listens = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)


class Lines:
    """The connections of one event loop. The one that rested least goes first: what it needs is warm on both sides."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.all: set[Line] = set()
        self._resting: list[Line] = []
        self._connects = False
        self._again = 0.0

    def take(self) -> Line | None:
        """A connection that rests; None where there is none, and then one is made for whoever comes later."""
        while self._resting:
            line = self._resting.pop()
            if line.rests():
                return line
            self._end(line)
        if len(self.all) < LINES and not self._connects and time.monotonic() > self._again and _is_plain():
            self._connects = True
            threading.Thread(target=self._connect, name="twins-line", daemon=True).start()
        return None

    def give(self, line: Line) -> None:
        """Take a connection back, or end one on which something is still under way."""
        if line.is_idle():
            self._resting.append(line)
        else:
            self._end(line)

    def _end(self, line: Line) -> None:
        self.all.discard(line)
        line.close()

    def _connect(self) -> None:
        wrapper: Any = connections.create_connection(DEFAULT_DB_ALIAS)
        try:
            wrapper.inc_thread_sharing()
            wrapper.connect()
        except Exception as error:
            _log.warning("an event loop has no connection to the database: %s", error)
            wrapper = None
        try:
            self._loop.call_soon_threadsafe(self._connected, wrapper)
        except RuntimeError:  # the loop has ended
            if wrapper:
                wrapper.close()

    def _connected(self, wrapper: Any) -> None:
        self._connects = False
        if wrapper is None:
            self._again = time.monotonic() + _PAUSE
            return
        line = Line(self._loop, wrapper)
        self.all.add(line)
        self._resting.insert(0, line)


_lines: dict[asyncio.AbstractEventLoop, Lines] = {}


def lines() -> Lines:
    """Those of the event loop that runs here."""
    loop = asyncio.get_running_loop()
    if loop not in _lines:
        hang_up()
        _lines[loop] = Lines(loop)
    return _lines[loop]


def hang_up() -> None:
    """End the connections of event loops that have ended."""
    for ended in [loop for loop in list(_lines) if loop.is_closed()]:
        own = _lines.pop(ended, None)
        for line in own.all if own else ():
            line.close()


def _database() -> str:
    return str(connections.settings[DEFAULT_DB_ALIAS]["NAME"])


def _is_plain() -> bool:
    """Whether the settings leave a connection to who made it, and Django refuses to block an event loop."""
    options = connections.settings[DEFAULT_DB_ALIAS]
    pooled = options.get("DISABLE_SERVER_SIDE_CURSORS") or options["OPTIONS"].get("pool")
    unsafe = settings.DEBUG or os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    return bool(options["AUTOCOMMIT"] and not pooled and not unsafe)
