"""Live updates are worked out once and sent to many.

One Redis subscription per process feeds streams; a stream is one selection with its variables for one scope of
permission, executed and encoded once per tick whoever listens. What is streamed is state, not history: of each key
(a sensor, an asset) only the newest counts. A subscriber that joins, that is too slow for its bounded queue, or that
lived through a broken connection is therefore not owed what it missed but the state of those keys now, and gets
exactly that, never an older one after a newer.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Hashable, Iterable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import orjson
import redis
from redis import asyncio as redis_asyncio

from twins import events
from twins.conf import settings
from twins.graphql.answers import Answer
from twins.services.ingestion import MAX_TOLD

TICK = 0.1
"""Seconds between two answers of one stream; what changes meanwhile is told together."""
QUEUE = 16
"""Answers that wait for one subscriber; one more, and only the keys are remembered."""
SWEEP = 30.0
"""Seconds between two looks at the state itself, for messages that Redis lost."""
RETRY = 1.0
"""Seconds until what failed is tried again."""

_FIRST_BACKOFF, _LAST_BACKOFF = 0.1, 5.0
_CONNECTS_WITHIN = 1.0
"""Seconds that whoever subscribes waits for Redis."""
_log = logging.getLogger(__name__)
Key = int
Keys = set[Key]


class Topic(Protocol):
    """The state that a stream tells: how it is read, and how an event changes it."""

    async def load(self) -> Keys:
        """Read the state afresh; the keys that are new or newer than known. Raises what the database raises."""

    def take(self, event: Mapping[str, Any]) -> Keys:
        """Let an event change the state; the keys that it changed."""

    def keys(self) -> Keys:
        """All keys that have a state."""

    def state(self, keys: Iterable[Key]) -> list[Any]:
        """The state of these keys now, in a total order."""


class Feed(Protocol):
    """Where a subscription's resolver gets what it yields."""

    def updates(self, topic: Topic) -> AsyncGenerator[list[Any], None]:
        """States to yield one after the other; the topic is loaded once this is first awaited."""


class Rendering(Protocol):
    """Executes the stream's selection on a feed; yields encoded answers, and whether each is only an error."""

    def __call__(self, feed: Feed) -> AsyncGenerator[Answer, None]: ...


@dataclass(frozen=True, slots=True)
class _Frame:
    version: int
    payload: str
    keys: frozenset[Key]


@dataclass(eq=False)
class Subscriber:
    """One operation of one socket: a bounded queue, and the keys it is owed the newest state of."""

    stream: Stream
    version: int = 0
    owed: Keys = field(default_factory=set)
    everything: bool = True
    _told_whole: bool = False
    _frames: deque[_Frame] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, frame: _Frame) -> None:
        """Queue an answer, or remember only its keys when the queue is full."""
        if frame.version >= self.version:
            self._frames.append(frame)
        elif not self._told_whole:
            # Worked out from an earlier state than what was told meanwhile, of other keys perhaps.
            self.owed |= frame.keys
        if len(self._frames) > QUEUE:
            self._owe_frames()
        self._wake.set()

    def _owe_frames(self) -> None:
        for frame in self._frames:
            self.owed |= frame.keys
        self._frames.clear()

    def wake(self) -> None:
        """Look again at the stream."""
        self._wake.set()

    async def answers(self) -> AsyncGenerator[Answer, None]:
        """What to send, in order; ends only with a refusal."""
        await self.stream.ready.wait()
        while True:
            if self.stream.refusal is not None:
                yield self.stream.refusal
                return
            if self.everything or self.owed:
                async for answer in self._catch_up():
                    yield answer
            elif self._frames:
                yield Answer(self._frames.popleft().payload)
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _catch_up(self) -> AsyncGenerator[Answer, None]:
        self._owe_frames()
        everything, keys = self.everything, self.owed
        self.everything, self.owed, self._told_whole = False, set(), everything
        # Answers worked out from an earlier state are not for this subscriber any more.
        self.version = self.stream.next_version()
        answer = await self.stream.render_now(None if everything else keys)
        if answer.failed:
            self.everything |= everything
            self.owed |= keys
            await asyncio.sleep(RETRY)
        else:
            yield answer


class _Snapshot:
    """A feed of one state, as it was when this was made."""

    def __init__(self, state: list[Any]) -> None:
        self._state = state

    async def updates(self, topic: Topic) -> AsyncGenerator[list[Any], None]:
        yield self._state


class Stream:
    """One selection, its variables and its scope of permission: one execution for all who subscribe to it."""

    def __init__(self, render: Rendering) -> None:
        self._render = render
        self._version = 0
        self._topic: Topic | None = None
        self._dirty: Keys = set()
        self._stale = self._resend = self._failed = False
        self._changes = 0
        self._whole: tuple[int, asyncio.Future[Answer]] | None = None
        self._wake = asyncio.Event()
        self._frame: tuple[int, frozenset[Key], list[Subscriber]] = (0, frozenset(), [])
        self.subscribers: set[Subscriber] = set()
        self.ready = asyncio.Event()
        self.refusal: Answer | None = None

    def next_version(self) -> int:
        """A number for the state as it is now; greater than all before."""
        self._version += 1
        return self._version

    def take(self, event: Mapping[str, Any]) -> None:
        """An event came in."""
        if self._topic is not None:
            self._note(self._topic.take(event))

    def _note(self, changed: Keys) -> None:
        if changed:
            self._changes += 1
            self._dirty |= changed
            self._wake.set()

    def refresh(self, *, everything: bool) -> None:
        """Look at the state itself: events may have been lost. `everything`: tell all of it, changed or not."""
        self._stale = True
        self._resend |= everything
        self._wake.set()

    async def render_now(self, keys: Keys | None) -> Answer:
        """The answer for the state of these keys, or of all, at the moment of the call, apart from the shared one."""
        assert self._topic is not None
        if keys is not None:
            return await self._render_state(self._topic.state(keys))
        # Many who join at once get the same whole, worked out once as long as nothing changes.
        if self._whole is None or self._whole[0] != self._changes:
            state = self._topic.state(self._topic.keys())
            self._whole = (self._changes, asyncio.ensure_future(self._render_state(state)))
        _, working = self._whole
        answer = await asyncio.shield(working)
        if answer.failed and self._whole is not None and self._whole[1] is working:
            self._whole = None
        return answer

    async def _render_state(self, state: list[Any]) -> Answer:
        answer = Answer("", failed=True)
        try:
            async with aclosing(self._render(_Snapshot(state))) as answers:
                async for found in answers:
                    answer = found
        except Exception:
            _log.exception("the state of a live stream could not be told; it is tried again")
        return answer

    async def run(self) -> None:
        """The shared execution; ends when it is refused or cancelled."""
        while self.refusal is None:
            try:
                async for answer in self._render(self):
                    self._deliver(answer)
            except Exception:
                _log.exception("a live stream failed; it starts again")
            await asyncio.sleep(0 if self.refusal else RETRY)

    def _deliver(self, answer: Answer) -> None:
        version, keys, subscribers = self._frame
        if answer.refused or not self.ready.is_set():
            self.refusal = replace(answer, refused=True)
            self.ready.set()
            for subscriber in self.subscribers:
                subscriber.wake()
        elif answer.failed:
            _log.warning("an answer of a live stream failed and is tried again: %s", answer.payload[:500])
            self._failed = True
            self._note(set(keys))
        else:
            frame = _Frame(version, answer.payload, keys)
            for subscriber in subscribers:
                subscriber.offer(frame)

    async def updates(self, topic: Topic) -> AsyncGenerator[list[Any], None]:
        """What changed since the last tick, for the shared execution (see Feed)."""
        found = await topic.load()
        if self._topic is not None:
            self._note(found)  # begun again: what happened in between was not told
        self._topic = topic
        self.ready.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._stale:
                await self._reload(topic)
            if self._dirty:
                keys, self._dirty = frozenset(self._dirty), set()
                self._failed = False
                self._frame = (self.next_version(), keys, list(self.subscribers))
                yield topic.state(keys)
                await asyncio.sleep(RETRY if self._failed else TICK)

    async def _reload(self, topic: Topic) -> None:
        self._stale = False
        try:
            self._note(await topic.load())
            if self._resend:
                self._resend = False
                self._note(topic.keys())
        except Exception as error:
            _log.warning("the state of a live stream cannot be read now, and is tried again: %s", error)
            self._stale = True
            await asyncio.sleep(RETRY)
            self._wake.set()


class Hub:
    """The streams of this process and the Redis subscription that feeds them; both end with the last subscriber."""

    _of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._streams: dict[Hashable, tuple[Stream, asyncio.Task[None]]] = {}
        self._listening: list[asyncio.Task[None]] = []
        self._connected = asyncio.Event()

    @classmethod
    def current(cls) -> Hub:
        """The hub of the running event loop."""
        return cls._of_loop.setdefault(asyncio.get_running_loop(), cls())

    async def subscribe(self, key: Hashable, render: Rendering) -> AsyncGenerator[Answer, None]:
        """The state first, then what changes. `key` says which executions are the same."""
        self._listen()
        if not self._connected.is_set():
            # With Redis away the state is told all the same, and again once it is back.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._connected.wait(), timeout=_CONNECTS_WITHIN)
        if key not in self._streams or self._streams[key][0].refusal is not None:
            stream = Stream(render)
            self._streams[key] = (stream, asyncio.create_task(stream.run()))
        stream, task = self._streams[key]
        subscriber = Subscriber(stream)
        stream.subscribers.add(subscriber)
        try:
            async for answer in subscriber.answers():
                yield answer
        finally:
            stream.subscribers.discard(subscriber)
            if not stream.subscribers:
                task.cancel()
                if self._streams.get(key, (None,))[0] is stream:
                    del self._streams[key]
            if not self._streams:
                self._stop_listening()

    def _listen(self) -> None:
        if not self._listening:
            self._listening = [asyncio.create_task(self._read_events()), asyncio.create_task(self._sweep())]

    def _stop_listening(self) -> None:
        for task in self._listening:
            task.cancel()
        self._listening = []
        self._connected.clear()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP)
            self._refresh(everything=False)

    async def _read_events(self) -> None:
        backoff = _FIRST_BACKOFF
        while True:
            try:
                async for event in self._events():
                    backoff = _FIRST_BACKOFF
                    self._dispatch(event)
            except (redis.RedisError, OSError) as error:
                _log.warning("live updates wait for Redis (%s)", error)
            self._connected.clear()
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _LAST_BACKOFF)

    async def _events(self) -> AsyncGenerator[Mapping[str, Any], None]:
        client = redis_asyncio.Redis.from_url(
            settings().REDIS_URL, socket_connect_timeout=2, socket_keepalive=True, health_check_interval=10
        )
        async with client, client.pubsub() as pubsub:
            await pubsub.subscribe(events.channel())
            while True:
                message = await pubsub.get_message(timeout=5)
                if message is None:
                    continue
                if message["type"] == "subscribe":
                    self._connected.set()
                    self._refresh(everything=True)
                elif message["type"] == "message":
                    yield orjson.loads(message["data"])

    def _refresh(self, *, everything: bool) -> None:
        for stream, _ in self._streams.values():
            stream.refresh(everything=everything)

    def _dispatch(self, event: Mapping[str, Any]) -> None:
        if len(event.get("rows", ())) >= MAX_TOLD:
            self._refresh(everything=False)  # an event names no more sensors, the batch may
        for stream, _ in list(self._streams.values()):
            stream.take(event)
