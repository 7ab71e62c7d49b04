"""kill -9 of every part while readings come in: what was acknowledged is there once, and `up` mends itself."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from tests.config.senders import Sender, ask
from tests.waiting import PATIENCE, wait_until

PARTS = ("worker", "web", "valkey", "postgres")


@pytest.mark.full
def test_nothing_acknowledged_is_lost_or_doubled_when_each_part_is_killed(up: Any) -> None:
    seeded = ask(up, "seed")
    senders = [Sender(up, i, seeded["token"], seeded["sensors"][i * 10 : i * 10 + 10]) for i in range(2)]
    for sender in senders:
        sender.start()
    for part in PARTS:
        time.sleep(2)
        before, victim = [len(sender.acknowledged) for sender in senders], up.pid(part)
        os.kill(victim, signal.SIGKILL)
        up.until(lambda part=part, victim=victim: up.pid(part) != victim)
        up.until(up.is_well)
        _wait_for_progress(senders, before)
    for sender in senders:
        sender.stopping.set()
    for sender in senders:
        sender.join(PATIENCE)
        assert not sender.is_alive()
    rows = ask(up, "readings")
    found = {(sensor, at): value for sensor, at, value in rows}
    assert len(found) == len(rows)
    assert found == senders[0].expected() | senders[1].expected()
    _nothing_is_stored_twice(up, senders)


def _nothing_is_stored_twice(up: Any, senders: list[Sender]) -> None:
    stored = ask(up, "stored")
    assert stored["keys"] == sorted(f"{sender.number}-{batch}" for sender in senders for batch in sender.acknowledged)
    assert stored["doubled"] == 0
    assert stored["readings"] >= sum(len(sender.expected()) for sender in senders)


def _wait_for_progress(senders: list[Sender], before: list[int]) -> None:
    """Each had a batch acknowledged after the kill."""
    wait_until(lambda: all(len(sender.acknowledged) > count for sender, count in zip(senders, before, strict=True)))
