"""Small bodies that the event loop takes in by itself: the same answers, kept as surely, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.db import connection

from assets.models import Sensor
from tests.twins.http.gateways import ARROW, Gateway, end_sessions, in_background, key_is_taken, others, until, waiting
from tests.twins.http.servers import a_server
from twins import lake
from twins.models import Batch, DeadLetter
from twins.models.access import ApiToken
from twins.selectors import lines
from twins.selectors.readings import scan_readings
from twins.services import pressure
from twins.services.tokens import revoke_token

_OWN = {"content-length", "date"}
"""Headers that each answer has its own of."""


def test_the_event_loop_answers_as_a_thread_does(gateway: Gateway, sensor: Sensor) -> None:
    before = gateway.by_thread
    quick = gateway.send(1.0)
    assert gateway.by_thread == before
    slow = gateway.client.post("/ingest?partial=false", content=gateway.content(2.0), headers={"Content-Type": ARROW})
    assert gateway.by_thread == before + 1
    first, second = Batch.objects.order_by("pk")
    assert [answer.status_code for answer in (quick, slow)] == [201, 201]
    assert quick.json() == {"batch": first.pk, "accepted": 3, "rejected": 0, "repeated": False, "rejects": []}
    assert slow.json() == {**quick.json(), "batch": second.pk}
    # The number of the second batch may have a digit more.
    for answer in (quick, slow):
        assert answer.headers["content-length"] == str(len(answer.content))
    headers = [[item for item in answer.headers.multi_items() if item[0] not in _OWN] for answer in (quick, slow)]
    assert headers[0] == headers[1]
    told = [(one.source, one.rows, one.rows_received, one.bytes, one.time_min, one.time_max) for one in (first, second)]
    assert told[0] == told[1]
    assert lake.decode_body(first.body)["value"].to_pylist() == [1.0] * 3
    assert scan_readings(sensors=[sensor.pk])["value"].to_pylist() == [2.0] * 3


def test_a_repeat_a_key_and_a_conflict_are_known_without_a_thread(gateway: Gateway) -> None:
    before = gateway.by_thread
    answers = [
        gateway.send(1.0), gateway.send(1.0), gateway.send(2.0, "k"), gateway.send(1.0), gateway.send(2.0, "k"),
        gateway.send(3.0, "k"), gateway.send(3.0, "k" * 201),
    ]  # fmt: skip
    assert gateway.by_thread == before
    assert [answer.status_code for answer in answers] == [201, 200, 201, 201, 200, 409, 400]
    assert answers[4].json() == {**answers[2].json(), "repeated": True}
    assert "'k'" in answers[5].json()["errors"][0]["message"]
    assert Batch.objects.count() == 3


def test_a_bad_row_is_left_to_a_thread_with_its_letter(gateway: Gateway) -> None:
    before = gateway.by_thread
    answer = gateway.send(float("nan"))
    assert gateway.by_thread == before + 1
    assert (answer.status_code, answer.json()["rejected"]) == (422, 3)
    assert (Batch.objects.count(), DeadLetter.objects.count()) == (0, 3)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda: revoke_token(name="gateway"), 401),
        (lambda: ApiToken.objects.update(scopes=["read"]), 403),
        (lambda: ApiToken.objects.update(name="other"), 429),
    ],
)
def test_a_token_that_was_just_used_is_asked_about_in_the_statement(
    gateway: Gateway, change: Callable[[], Any], status: int
) -> None:
    assert gateway.send(1.0).status_code == 201
    change()
    assert gateway.send(2.0).status_code == status
    assert Batch.objects.count() == 1


def test_one_of_two_with_the_same_key_is_first_and_the_event_loop_goes_on_meanwhile(gateway: Gateway) -> None:
    before = gateway.by_thread
    with key_is_taken("k"):
        sent = [in_background(gateway.send, 1.0, "k") for _ in range(2)]
        until(lambda: len(waiting()) == 2)
        started = time.monotonic()
        assert gateway.client.get("/ping").status_code == 204
        assert time.monotonic() - started < 1
        assert not any(one.done() for one in sent)
    answers = [one.result(10) for one in sent]
    assert sorted(answer.status_code for answer in answers) == [200, 201]
    assert len({answer.json()["batch"] for answer in answers}) == 1
    assert Batch.objects.count() == 1
    assert gateway.by_thread - before <= 1  # the second may have found no connection yet


def test_more_than_there_are_connections_are_answered_by_threads(gateway: Gateway) -> None:
    before, many = gateway.by_thread, lines.LINES + 2
    with key_is_taken("k"):
        sent = [in_background(gateway.send, 1.0, "k") for _ in range(many)]
        until(lambda: len(waiting()) == many)
    assert sorted(one.result(10).status_code for one in sent) == [200] * (many - 1) + [201]
    assert gateway.by_thread - before >= 2
    assert Batch.objects.count() == 1
    gateway.warm()


def test_a_client_that_goes_away_while_it_is_kept_leaves_nothing_half(gateway: Gateway, token: str) -> None:
    address, body = urlsplit(str(gateway.client.base_url)), gateway.content(1.0)
    head = (
        f"POST /ingest HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\nContent-Type: {ARROW}\r\n"
        f"Idempotency-Key: k\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with key_is_taken("k"), socket.create_connection((address.hostname, address.port)) as line:
        line.sendall(head.encode() + body)
        until(waiting)
        line.close()
        time.sleep(0.1)  # the server hears of it
    until(lambda: not waiting())
    again = gateway.send(1.0, "k")
    assert (again.status_code, again.json()["repeated"]) == (200, True)
    assert Batch.objects.count() == 1


def test_connections_that_ended_between_requests_are_noticed(gateway: Gateway) -> None:
    end_sessions(others())
    assert [gateway.send(value).status_code for value in (1.0, 2.0)] == [201, 201]
    assert Batch.objects.count() == 2
    gateway.warm()


def test_a_connection_that_ends_in_the_middle_puts_the_request_off(gateway: Gateway) -> None:
    with key_is_taken("k"):
        sent = in_background(gateway.send, 1.0, "k")
        end_sessions(until(waiting))
        answer = sent.result(10)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "nothing is known to be kept" in answer.json()["errors"][0]["message"]
    assert not Batch.objects.exists()
    assert gateway.send(1.0, "k").status_code == 201
    gateway.warm()


def test_a_statement_that_the_server_forgot_is_prepared_again(gateway: Gateway) -> None:
    before = gateway.by_thread
    for line in [line for own in lines._lines.values() for line in own.all if line.is_idle()]:
        asyncio.run_coroutine_threadsafe(line._called("send_query", [b"DEALLOCATE ALL"]), line._loop).result(5)
    assert [gateway.send(value).status_code for value in (1.0, 2.0)] == [201, 201]
    assert gateway.by_thread == before


@pytest.mark.full
def test_a_server_that_is_killed_while_it_waits_leaves_one_batch_or_none(
    sensor: Sensor, token: str, content: Callable[..., bytes], tmp_path: Path
) -> None:
    for number in range(2):
        key = f"k{number}"
        with a_server(tmp_path, token) as (client, process):
            gateway = Gateway(client, content)
            for value in range(30):  # by now its event loop knows the layout and has a connection
                assert gateway.send(float(value), f"{number}-{value}").status_code == 201
                time.sleep(0.03)
            with key_is_taken(key):
                sent = in_background(gateway.send, -1.0, key)
                until(waiting)
                process.kill()
                with pytest.raises(httpx.HTTPError):
                    sent.result(10)
            until(lambda: not waiting())
            assert Batch.objects.filter(key=key).count() <= 1
    with a_server(tmp_path, token) as (client, _):
        answers = [Gateway(client, content).send(-1.0, f"k{number}") for number in range(2)]
    assert all(answer.is_success for answer in answers)
    assert Batch.objects.count() == 62


def test_what_waits_too_long_is_refused_by_either_way(gateway: Gateway, settings: Any) -> None:
    settings.TWINS = {**settings.TWINS, "INGEST_MAX_WAITING": 1}
    assert gateway.send(1.0).status_code == 201
    pressure.look_again()
    before = gateway.by_thread
    answers = [gateway.send(2.0), gateway.send(3.0)]
    assert gateway.by_thread == before + 1  # who looks is a thread
    assert [answer.status_code for answer in answers] == [429, 429]
    assert [int(answer.headers["Retry-After"]) for answer in answers] == [10, 10]
    assert Batch.objects.count() == 1


def test_a_database_without_space_refuses_and_recovers(gateway: Gateway) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
        )
        cursor.execute("CREATE TRIGGER no_space BEFORE INSERT ON twins_batch EXECUTE FUNCTION no_space()")
    before = gateway.by_thread
    try:
        answer = gateway.send(1.0)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION no_space CASCADE")
    assert (answer.status_code, "disk is full" in answer.json()["errors"][0]["message"]) == (503, True)
    assert gateway.send(1.0).status_code == 201
    assert gateway.by_thread == before
    assert Batch.objects.count() == 1


def test_what_is_only_known_at_the_commit_is_no_acknowledgement(gateway: Gateway) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION too_late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'too late'; END $$"
        )
        cursor.execute(
            "CREATE CONSTRAINT TRIGGER too_late AFTER INSERT ON twins_batch DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION too_late()"
        )
    try:
        answer = gateway.send(1.0)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION too_late CASCADE")
    assert answer.status_code == 500
    assert not Batch.objects.exists()
    assert gateway.send(1.0).status_code == 201


@pytest.mark.parametrize("size", [1, 1000, None])
def test_a_body_that_comes_in_pieces_is_one_body(gateway: Gateway, token: str, size: int | None) -> None:
    address, body = urlsplit(str(gateway.client.base_url)), gateway.content(1.0)
    head = (
        f"POST /ingest HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\nContent-Type: {ARROW}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=10) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.sendall(head.encode() + body[: (size or 0)])
        time.sleep(0.1)
        line.sendall(body[(size or 0) :])
        answer = b"".join(iter(lambda: line.recv(1000), b""))
    assert answer.startswith(b"HTTP/1.1 201")
    assert Batch.objects.count() == 1


def test_many_senders_at_once_lose_and_double_nothing(gateway: Gateway) -> None:
    gate, many, each = threading.Barrier(8), 8, 12

    def send(number: int) -> list[int]:
        gate.wait(10)
        return [gateway.send(float(number * each + one), f"{number}-{one}").status_code for one in range(each)]

    with ThreadPoolExecutor(many) as pool:
        assert [status for answers in pool.map(send, range(many)) for status in answers] == [201] * (many * each)
    assert Batch.objects.count() == many * each
    kept = [lake.decode_body(body)["value"][0].as_py() for body in Batch.objects.values_list("body", flat=True)]
    assert sorted(kept) == [float(number) for number in range(many * each)]
