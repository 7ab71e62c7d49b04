"""Threads that answer requests: few, the warm one first, and nothing that was taken is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

from tests.waiting import PATIENCE
from twins.http.threads import WarmThreads


def submit(threads: WarmThreads, call: Callable[..., Any], *args: Any) -> Future[Any]:
    future: Future[Any] = Future()
    threads.do(
        partial(call, *args),
        lambda result, error: future.set_exception(error) if error else future.set_result(result),
    )
    return future


@pytest.fixture
def threads() -> Iterator[WarmThreads]:
    threads = WarmThreads(3, "warm")
    yield threads
    threads.shutdown()


def test_whoever_asks_one_after_the_other_is_answered_by_one_thread(threads: WarmThreads) -> None:
    assert {submit(threads, threading.get_ident).result(PATIENCE) for _ in range(500)} == {threads._threads[0].ident}


def test_the_one_that_rested_least_is_next(threads: WarmThreads) -> None:
    gates = [threading.Event() for _ in range(3)]

    def wait(gate: threading.Event) -> int:
        assert gate.wait(PATIENCE)
        return threading.get_ident()

    asked = [submit(threads, wait, gate) for gate in gates]
    order = []
    for number in (1, 2, 0):
        gates[number].set()
        order.append(asked[number].result(PATIENCE))
    assert len(set(order)) == 3
    assert [submit(threads, threading.get_ident).result(PATIENCE) for _ in range(3)] == [order[-1]] * 3


def test_no_more_than_allowed_work_at_once_and_the_others_wait_their_turn(threads: WarmThreads) -> None:
    at_once, most, done = threading.Semaphore(3), threading.Event(), []

    def work(number: int) -> int:
        if not at_once.acquire(blocking=False):
            most.set()
        time.sleep(0.001)
        done.append(number)
        at_once.release()
        return number

    assert [each.result(PATIENCE) for each in [submit(threads, work, number) for number in range(100)]] == list(
        range(100)
    )
    assert (most.is_set(), sorted(done), len(threads._threads)) == (False, list(range(100)), 3)


def test_a_failure_is_told_and_the_thread_goes_on(threads: WarmThreads) -> None:
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            submit(threads, lambda: 1 // 0).result(PATIENCE)
    assert (submit(threads, lambda: 7).result(PATIENCE), len(threads._threads)) == (7, 1)


def test_what_was_taken_is_done_before_the_threads_end() -> None:
    threads, gate = WarmThreads(1, "warm"), threading.Event()
    running, waiting = submit(threads, gate.wait, PATIENCE), submit(threads, lambda: "done")
    ending = threading.Thread(target=threads.shutdown)
    ending.start()
    while not threads._ended:
        time.sleep(0.001)
    with pytest.raises(RuntimeError):
        submit(threads, lambda: None)
    gate.set()
    ending.join(PATIENCE)
    assert (running.result(PATIENCE), threads._threads[0].is_alive(), waiting.result(PATIENCE)) == (True, False, "done")


def test_an_event_loop_waits_for_what_is_returned_or_raised(threads: WarmThreads) -> None:
    async def ask() -> list[Any]:
        return await asyncio.gather(*(threads.run(divmod, 7, number) for number in (2, 0, 3)), return_exceptions=True)

    first, error, last = asyncio.run(ask())
    assert (first, type(error), last) == ((3, 1), ZeroDivisionError, (2, 1))


def test_a_thread_outlives_who_waits_and_the_event_loop(threads: WarmThreads) -> None:
    gate = threading.Event()

    async def ask(seconds: float) -> None:
        async with asyncio.timeout(seconds):
            await threads.run(gate.wait, PATIENCE)

    with pytest.raises(TimeoutError):
        asyncio.run(ask(0.01))
    gate.set()
    asyncio.run(ask(PATIENCE))
    assert submit(threads, lambda: 7).result(PATIENCE) == 7
    assert all(thread.is_alive() for thread in threads._threads)


def test_each_thread_begins_once() -> None:
    begun: list[int] = []
    threads = WarmThreads(2, "warm", lambda: begun.append(threading.get_ident()))
    for _ in range(10):
        submit(threads, lambda: None).result(PATIENCE)
    threads.shutdown()
    assert len(begun) == 1
