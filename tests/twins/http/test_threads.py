"""Threads that answer requests: few, the warm one first, and nothing that was taken is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from twins.http.threads import WarmThreads


@pytest.fixture
def threads() -> Iterator[WarmThreads]:
    threads = WarmThreads(3, "warm")
    yield threads
    threads.shutdown()


def test_whoever_asks_one_after_the_other_is_answered_by_one_thread(threads: WarmThreads) -> None:
    assert {threads.submit(threading.get_ident).result(5) for _ in range(500)} == {threads._threads[0].ident}


def test_the_one_that_rested_least_is_next(threads: WarmThreads) -> None:
    gates = [threading.Event() for _ in range(3)]

    def wait(gate: threading.Event) -> int:
        assert gate.wait(5)
        return threading.get_ident()

    asked = [threads.submit(wait, gate) for gate in gates]
    order = []
    for number in (1, 2, 0):
        gates[number].set()
        order.append(asked[number].result(5))
    assert len(set(order)) == 3
    assert [threads.submit(threading.get_ident).result(5) for _ in range(3)] == [order[-1]] * 3


def test_no_more_than_allowed_work_at_once_and_the_others_wait_their_turn(threads: WarmThreads) -> None:
    at_once, most, done = threading.Semaphore(3), threading.Event(), []

    def work(number: int) -> int:
        if not at_once.acquire(blocking=False):
            most.set()
        time.sleep(0.001)
        done.append(number)
        at_once.release()
        return number

    assert [each.result(10) for each in [threads.submit(work, number) for number in range(100)]] == list(range(100))
    assert (most.is_set(), sorted(done), len(threads._threads)) == (False, list(range(100)), 3)


def test_a_failure_is_told_and_the_thread_goes_on(threads: WarmThreads) -> None:
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            threads.submit(lambda: 1 // 0).result(5)
    assert (threads.submit(lambda: 7).result(5), len(threads._threads)) == (7, 1)


@pytest.mark.parametrize("cancel", [False, True])
def test_what_was_taken_is_done_before_the_threads_end(cancel: bool) -> None:
    threads, gate = WarmThreads(1, "warm"), threading.Event()
    running, waiting = threads.submit(gate.wait, 5), threads.submit(lambda: "done")
    ending = threading.Thread(target=threads.shutdown, kwargs={"cancel_futures": cancel})
    ending.start()
    while not threads._ended:
        time.sleep(0.001)
    with pytest.raises(RuntimeError):
        threads.submit(lambda: None)
    gate.set()
    ending.join(5)
    assert (running.result(5), threads._threads[0].is_alive()) == (True, False)
    if cancel:
        with pytest.raises(CancelledError):
            waiting.result(5)
    else:
        assert waiting.result(5) == "done"


def test_each_thread_begins_once() -> None:
    begun: list[int] = []
    threads = WarmThreads(2, "warm", lambda: begun.append(threading.get_ident()))
    for _ in range(10):
        threads.submit(lambda: None).result(5)
    threads.shutdown()
    assert len(begun) == 1
