"""POST ingest over a real socket: what is acknowledged is kept, what is refused changed nothing."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.test import Client as SessionClient

from assets.models import Sensor
from tests.pace import within
from tests.waiting import PATIENCE
from twins.models import Batch, DeadLetter
from twins.models.access import ApiToken
from twins.selectors.readings import latest_readings, scan_readings
from twins.services.tokens import create_token, revoke_token

Rows = list[dict[str, Any]]


@pytest.fixture
def row(sensor: Sensor) -> dict[str, Any]:
    return {"sensor": str(sensor.uuid), "time": "2026-03-01T12:00:00Z", "value": 1.5}


def test_readings_are_kept_when_they_are_acknowledged(
    client: httpx.Client, sensor: Sensor, row: dict[str, Any]
) -> None:
    answer = client.post(
        "/ingest", json=[row, {**row, "time": "2026-03-01T13:00:01.25+01:00", "value": 2, "quality": 8}]
    )
    batch = Batch.objects.get()
    assert (answer.status_code, answer.json()) == (
        201,
        {"batch": batch.pk, "accepted": 2, "rejected": 0, "repeated": False, "rejects": []},
    )
    assert scan_readings(sensors=[sensor.pk]).to_pylist() == [
        {
            "sensor": sensor.pk,
            "time": datetime(2026, 3, 1, 12, tzinfo=UTC),
            "value": 1.5,
            "quality": 0,
            "batch": batch.pk,
        },
        {
            "sensor": sensor.pk,
            "time": datetime(2026, 3, 1, 12, 0, 1, 250000, UTC),
            "value": 2.0,
            "quality": 8,
            "batch": batch.pk,
        },
    ]
    assert batch.source == "token gateway"


def _revoke(token: ApiToken) -> None:
    revoke_token(name=token.name)


def _take_the_scope(token: ApiToken) -> None:
    ApiToken.objects.filter(pk=token.pk).update(scopes=["read"])


def _deactivate_the_user(token: ApiToken) -> None:
    get_user_model().objects.filter(pk=token.user_id).update(is_active=False)


@pytest.mark.parametrize(
    ("change", "status"), [(_revoke, 401), (ApiToken.delete, 401), (_take_the_scope, 403), (_deactivate_the_user, 401)]
)
@pytest.mark.parametrize("value", [2.5, None])
def test_a_token_that_was_just_used_opens_nothing_once_it_was_changed(
    client: httpx.Client, row: dict[str, Any], change: Callable[[ApiToken], Any], status: int, value: float | None
) -> None:
    user = get_user_model().objects.create(username="operator")
    token, plaintext = create_token(name="remembered", scopes=["ingest"], user=user)
    client.headers["Authorization"] = f"Token {plaintext}"
    line = f"P1 T={row['value']} 1767225600"
    assert client.post("/ingest", json=[row]).status_code == 201
    change(token)
    answers = [
        client.post("/ingest", json=[{**row, "value": value}]),
        client.post("/api/v2/write?precision=s", content=line if value else "P1 T=x"),
    ]
    assert [answer.status_code for answer in answers] == [status, status]
    assert Batch.objects.count() == 1
    assert not DeadLetter.objects.exists()


def test_a_token_under_another_name_is_asked_to_come_again(client: httpx.Client, row: dict[str, Any]) -> None:
    assert client.post("/ingest", json=[row]).status_code == 201
    ApiToken.objects.update(name="other")
    answer = client.post("/ingest", json=[{**row, "value": 2.5}])
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert client.post("/ingest", json=[{**row, "value": 2.5}]).status_code == 201
    assert list(Batch.objects.values_list("source", flat=True)) == ["token gateway", "token other"]


def test_the_same_key_gets_the_first_answer_and_other_readings_a_conflict(
    client: httpx.Client, sensor: Sensor, row: dict[str, Any]
) -> None:
    first = client.post("/ingest", json=[row], headers={"Idempotency-Key": "k1"})
    again = client.post("/ingest", json={"readings": [row]}, headers={"Idempotency-Key": "k1"})
    other = client.post("/ingest", json=[{**row, "value": 9}], headers={"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 409)
    assert again.json() == {**first.json(), "repeated": True}
    assert "k1" in other.json()["errors"][0]["message"]
    assert latest_readings([sensor.pk])[sensor.pk].value == 1.5
    assert Batch.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"value": None}, "has no value"),
        ({"value": "1"}, "is not a number"),
        ({"time": "2026-03-01T12:00:00"}, "has no zone"),
        ({"time": "1969-12-31T23:59:59Z"}, ""),
        ({"time": "2999-01-01T00:00:00Z"}, ""),
        ({"sensor": str(uuid.uuid4())}, "is not in the register"),
        ({"sensor": "T"}, "is not a UUID"),
        ({"quality": 2**40}, "32 bits"),
        ({"unit": "Cel"}, "unknown field"),
    ],
)
def test_one_bad_row_keeps_the_whole_body_out(
    client: httpx.Client, row: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    answer = client.post("/ingest", json=[row, row, {**row, **change}])
    assert answer.status_code == 422
    content = answer.json()
    assert (content["accepted"], content["rejected"]) == (0, 1)
    assert [reject["index"] for reject in content["rejects"]] == [2]
    assert reason in content["rejects"][0]["reason"]
    assert "none was" in content["errors"][0]["message"]
    assert not Batch.objects.exists()


def test_the_first_hundred_unknown_sensors_are_named_and_all_are_counted(
    client: httpx.Client, row: dict[str, Any]
) -> None:
    content = client.post("/ingest", json=[row] + [{**row, "sensor": str(uuid.uuid4())} for _ in range(300)]).json()
    assert content["rejected"] == 300
    assert [reject["index"] for reject in content["rejects"]] == list(range(1, 101))
    assert not Batch.objects.exists()


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"", {}, 400, "line 1, column 1"),
        (b'[{"value": NaN}]', {}, 400, "line 1, column 12"),
        (b'[{"a": "\xff"}]', {}, 400, "not UTF-8: byte 8"),
        (b"[" * 200_000, {}, 400, "depth limit"),
        (b'{"readings":' * 200_000, {}, 400, "depth limit"),
        (b"[" + b"9" * 1_000_000 + b"]", {}, 400, "infinity"),
        (b"\x00" * 8_000_000, {}, 400, "not JSON"),
        (b"[" + b"1," * 3_999_999 + b"1]", {}, 400, "more than 200000"),
        (b"[]", {}, 400, "no reading"),
        (b"[1]", {}, 422, "none was"),
        (b"[1]", {"Content-Type": "text/plain"}, 415, "application/json"),
        (b"a=1", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        (b"--x", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "application/json"),
        (b"\x1f\x8b", {"Content-Encoding": "br"}, 415, "Content-Encoding"),
        (b"x" * (8 * 1024 * 1024 + 1), {}, 413, "larger than 8388608 bytes"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_nonsense_is_refused_with_a_sentence_within_a_second(
    client: httpx.Client, body: bytes, headers: dict[str, str], status: int, message: str, collector_at_rest: None
) -> None:
    started = time.process_time()  # of client and server; the machine may be busy with something else
    answer = client.post("/ingest", content=body, headers={"Content-Type": "application/json", **headers})
    assert within(time.process_time() - started, 1)
    assert answer.status_code == status
    assert message in answer.json()["errors"][0]["message"]
    assert not Batch.objects.exists()


def test_a_key_that_is_too_long_is_refused(client: httpx.Client, row: dict[str, Any]) -> None:
    answer = client.post("/ingest", json=[row], headers={"Idempotency-Key": "k" * 201})
    assert (answer.status_code, "1 to 200" in answer.json()["errors"][0]["message"]) == (400, True)
    assert not Batch.objects.exists()


def test_a_body_that_grows_past_the_limit_is_cut_off(live_server_asgi: str, token: str) -> None:
    """Chunked, so that nothing announces its size: the answer comes while the client is still sending."""
    address = urlsplit(live_server_asgi)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE) as line:
        head = f"POST /ingest HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {token}\r\n"
        line.sendall(head.encode() + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        with suppress(ConnectionError):  # a slow sender is cut off in the middle
            for _ in range(9):
                line.sendall(chunk)
        assert line.recv(1000).startswith(b"HTTP/1.1 413")


def test_get_is_not_a_way_in(client: httpx.Client) -> None:
    assert client.get("/ingest").status_code == 405


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer twins_wrong", "Token " + "twins_" + "A" * 43, "Basic YTpi"]
)
def test_without_a_token_nothing_comes_in(anonymous: httpx.Client, row: dict[str, Any], header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = anonymous.post("/ingest", json=[row], headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["errors"][0]["message"]
    assert not Batch.objects.exists()


def test_both_spellings_of_the_token_header_work(anonymous: httpx.Client, token: str, row: dict[str, Any]) -> None:
    for number, scheme in enumerate(["Bearer", "Token", "bearer"]):
        answer = anonymous.post(
            "/ingest", json=[{**row, "value": number}], headers={"Authorization": f"{scheme} {token}"}
        )
        assert answer.status_code == 201


def test_a_token_needs_the_scope_and_its_life(anonymous: httpx.Client, row: dict[str, Any]) -> None:
    _, reader = create_token(name="reader", scopes=["read", "write"])
    answer = anonymous.post("/ingest", json=[row], headers={"Authorization": f"Bearer {reader}"})
    assert answer.status_code == 403
    assert "'ingest'" in answer.json()["errors"][0]["message"]
    _, ended = create_token(name="ended", scopes=["ingest"])
    revoke_token(name="ended")
    assert anonymous.post("/ingest", json=[row], headers={"Authorization": f"Bearer {ended}"}).status_code == 401
    assert not Batch.objects.exists()


@pytest.fixture
def session(anonymous: httpx.Client) -> Callable[..., httpx.Client]:
    """Signs the client in as a member of staff, or as an ordinary user."""

    def sign_in(*, staff: bool = True) -> httpx.Client:
        user = get_user_model().objects.create_user("ada", password="x", is_staff=staff)
        browser = SessionClient()
        browser.force_login(user)
        anonymous.cookies.set("sessionid", browser.cookies["sessionid"].value)
        return anonymous

    return sign_in


def test_a_session_alone_is_taken_for_a_forgery(session: Callable[..., httpx.Client], row: dict[str, Any]) -> None:
    answer = session().post("/ingest", json=[row])
    assert answer.status_code == 403
    assert "CSRF" in answer.json()["errors"][0]["message"]
    assert not Batch.objects.exists()


def test_a_session_with_a_header_that_no_form_can_send_comes_in(
    session: Callable[..., httpx.Client], row: dict[str, Any]
) -> None:
    assert session().post("/ingest", json=[row], headers={"X-Requested-With": "fetch"}).status_code == 201


def test_a_session_with_its_csrf_token_comes_in(session: Callable[..., httpx.Client], row: dict[str, Any]) -> None:
    browser = session()
    browser.cookies.set("csrftoken", "a" * 32)
    assert browser.post("/ingest", json=[row], headers={"X-CSRFToken": "a" * 32}).status_code == 201
    assert browser.post("/ingest", json=[row], headers={"X-CSRFToken": "b" * 32}).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1", "://", "http://[::1"])
def test_a_session_from_another_origin_is_refused_whatever_it_sends(
    session: Callable[..., httpx.Client], row: dict[str, Any], origin: str
) -> None:
    answer = session().post("/ingest", json=[row], headers={"Origin": origin, "X-Requested-With": "fetch"})
    assert answer.status_code == 403
    assert not Batch.objects.exists()


def test_an_ordinary_user_may_not_send_readings(session: Callable[..., httpx.Client], row: dict[str, Any]) -> None:
    assert session(staff=False).post("/ingest", json=[row], headers={"X-Requested-With": "f"}).status_code == 403


def test_a_wrong_token_is_not_helped_by_a_session(session: Callable[..., httpx.Client], row: dict[str, Any]) -> None:
    headers = {"X-Requested-With": "f", "Authorization": "Bearer twins_wrong"}
    assert session().post("/ingest", json=[row], headers=headers).status_code == 401


def test_many_readings_at_once(client: httpx.Client, sensor: Sensor, row: dict[str, Any]) -> None:
    rows = [{**row, "time": f"2026-03-01T12:{i // 60:02d}:{i % 60:02d}Z", "value": i / 7} for i in range(3600)]
    assert (
        client.post("/ingest", content=json.dumps(rows), headers={"Content-Type": "application/json"}).status_code
        == 201
    )
    table = scan_readings(sensors=[sensor.pk])
    assert table["value"].to_pylist() == [i / 7 for i in range(3600)]
