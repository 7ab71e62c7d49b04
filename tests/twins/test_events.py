"""What happened is told after the commit, by a thread that whoever has committed does not wait for."""

from __future__ import annotations

import threading
import time

import pytest
import redis
from django.db import transaction

from tests.waiting import wait_until
from twins import events
from twins.conf import settings

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads in which who heeds an assessment was called; what others published before is told by then."""
    events._messenger().finish()
    made: list[int] = []
    monkeypatch.setitem(events._heeding, "assessed", [lambda: 1 // 0, lambda: made.append(threading.get_ident())])
    return made


def test_who_heeds_is_called_once_for_all_that_was_committed(calls: list[int]) -> None:
    # Whoever tells them takes none before all are there, as it mostly is where nothing else runs.
    with events._messenger()._some, transaction.atomic():
        for number in range(100):
            events.publish("assessed", {"assets": [number]})
        assert calls == []
    wait_until(lambda: calls)
    time.sleep(5 * events._GATHERED)

    assert len(calls) == 1
    assert threading.get_ident() not in calls


def test_what_was_rolled_back_is_told_to_nobody(calls: list[int]) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        events.publish("assessed", {"assets": [1]})
        raise ZeroDivisionError
    time.sleep(5 * events._GATHERED)

    assert calls == []


@pytest.mark.parametrize("lingers", [1, 3, 50])
def test_the_thread_is_found_awake_or_resting(calls: list[int], monkeypatch: pytest.MonkeyPatch, lingers: int) -> None:
    monkeypatch.setattr(events, "_LINGERS", lingers)
    for number in range(20):
        events.publish("assessed", {"assets": [number]})
        wait_until(lambda told=number + 1: len(calls) == told)
        time.sleep(number % 4 * events._GATHERED / 2)
    events._messenger().finish()

    assert len(calls) == 20


def test_a_redis_that_is_away_is_reported_once_until_it_is_back(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_unreachable", set())
    here, nowhere = settings().REDIS_URL, "redis://127.0.0.1:1/0"
    client = events._client(here)

    def reports_of(address: str) -> int:
        caplog.clear()
        for _ in range(3):
            events._publish([(address, "nobody", "assessed", {"assets": []})])
        return len(caplog.records)

    assert [reports_of(nowhere), reports_of(nowhere), reports_of(here)] == [1, 0, 0]
    # One that comes back is told of the next time.
    monkeypatch.setattr(events, "_client", lambda _: redis.Redis.from_url(nowhere))
    assert reports_of(here) == 1
    monkeypatch.setattr(events, "_client", lambda _: client)
    assert reports_of(here) == 0
    monkeypatch.setattr(events, "_client", lambda _: redis.Redis.from_url(nowhere))
    assert reports_of(here) == 1
