"""The hub's promise, whatever the timing: of each key never an older state after a newer, and at the end the newest."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from tests.waiting import PATIENCE
from twins.graphql import hub
from twins.graphql.answers import Answer
from twins.graphql.hub import Feed, Stream, Subscriber


class Numbers:
    """A state of numbers that only grow, kept outside as a database would."""

    def __init__(self, truth: dict[int, int]) -> None:
        self.truth, self.known = truth, dict[int, int]()

    async def load(self) -> set[int]:
        await asyncio.sleep(0.001)
        news = {key for key, value in self.truth.items() if value > self.known.get(key, -1)}
        self.known.update({key: self.truth[key] for key in news})
        return news

    def take(self, event: Mapping[str, Any]) -> set[int]:
        news = {key for key, value in event.items() if value > self.known.get(key, -1)}  # type: ignore[misc]
        self.known.update({key: event[key] for key in news})  # type: ignore[index,misc]
        return news  # type: ignore[return-value]

    def keys(self) -> set[int]:
        return set(self.known)

    def state(self, keys: Iterable[int]) -> list[tuple[int, int]]:
        return [(key, self.known[key]) for key in sorted(keys)]


def rendering(truth: dict[int, int], chance: random.Random, counts: list[int]) -> Any:
    """Executions that take a while, and now and then fail."""

    async def render(feed: Feed) -> AsyncGenerator[Answer, None]:
        async with aclosing(feed.updates(Numbers(truth))) as updates:
            async for rows in updates:
                counts.append(len(rows))
                await asyncio.sleep(chance.random() * 0.003)
                yield Answer(json.dumps(rows), failed=chance.random() < 0.02)

    return render


async def play(seed: int) -> list[int]:
    chance, truth, counts = random.Random(seed), dict.fromkeys(range(8), 0), list[int]()
    stream = Stream(rendering(truth, chance, counts))
    running = asyncio.create_task(stream.run())
    seen: list[list[dict[int, int]]] = []

    async def listen(delay: float) -> None:
        subscriber = Subscriber(stream)
        stream.subscribers.add(subscriber)
        mine: list[dict[int, int]] = []
        seen.append(mine)
        async for answer in subscriber.answers():
            mine.append(dict(json.loads(answer.payload)))
            assert len(subscriber._frames) <= hub.QUEUE
            await asyncio.sleep(delay * chance.random())

    listeners = [asyncio.create_task(listen(delay)) for delay in (0, 0, 0.05)]
    for step in range(400):
        for key in chance.sample(range(8), chance.randint(1, 4)):
            truth[key] += 1
        if chance.random() < 0.9:
            stream.take(dict(truth))  # the rest is lost, as messages may be
        if step % 100 == 50:
            stream.refresh(everything=chance.random() < 0.5)
            listeners.append(asyncio.create_task(listen(chance.choice([0, 0.1]))))
        await asyncio.sleep(chance.random() * 0.002)
    stream.refresh(everything=False)
    end = time.monotonic() + PATIENCE
    while any({key: value for part in mine for key, value in part.items()} != truth for mine in seen):
        if time.monotonic() > end:
            break
        await asyncio.sleep(0.01)
    for task in (running, *listeners):
        task.cancel()
    await asyncio.gather(running, *listeners, return_exceptions=True)
    for mine in seen:
        newest: dict[int, int] = {}
        for part in mine:
            assert all(value >= newest.get(key, -1) for key, value in part.items()), "an older state after a newer"
            newest.update(part)
        assert newest == truth
    return counts


@pytest.mark.parametrize("seed", range(6))
def test_every_subscriber_ends_with_the_newest_state_and_never_goes_back(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "TICK", 0.001)
    monkeypatch.setattr(hub, "QUEUE", 3)
    monkeypatch.setattr(hub, "RETRY", 0.01)
    asyncio.run(play(seed))


def test_what_changes_within_a_tick_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "TICK", 0.05)

    async def story() -> tuple[int, float]:
        truth, counts = {0: 0}, list[int]()
        stream = Stream(rendering(truth, random.Random(3), counts))
        running = asyncio.create_task(stream.run())
        await stream.ready.wait()
        stream.subscribers.add(Subscriber(stream))
        begun = time.monotonic()
        for _ in range(200):
            truth[0] += 1
            stream.take(dict(truth))
            await asyncio.sleep(0.001)
        took = time.monotonic() - begun
        running.cancel()
        return len(counts), took

    count, took = asyncio.run(story())
    assert 2 <= count <= took / hub.TICK + 2
