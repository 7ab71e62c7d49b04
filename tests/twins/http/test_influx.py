"""InfluxDB's clients write here unchanged, over a real socket, and are told in their own way what was not taken."""

from __future__ import annotations

import base64
import gzip
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from assets.models import Sensor
from twins.models import Batch, DeadLetter
from twins.selectors.readings import scan_readings
from twins.services.tokens import create_token

LINE = "P1 T=1.5 1767225600"
CUT_OFF = gzip.compress(LINE.encode(), mtime=0)[:-4]


def kept(sensor: Sensor) -> list[tuple[datetime, float]]:
    table = scan_readings(sensors=[sensor.pk])
    return list(zip(table["time"].to_pylist(), table["value"].to_pylist(), strict=True))


@pytest.mark.parametrize("compressed", [True, False])
def test_the_python_client_writes_unchanged(
    live_server_asgi: str, token: str, sensor: Sensor, compressed: bool
) -> None:
    instants = [datetime(2026, 3, 1, 12, 0, second, 123456, UTC) for second in range(50)]
    points = [
        Point("temperatures").tag("asset", "P1").field("T", 20 + n / 8).field("note", "a, b=c").time(at)
        for n, at in enumerate(instants)
    ]
    with InfluxDBClient(url=live_server_asgi, token=token, org="plant", enable_gzip=compressed) as client:
        assert client.ping()
        assert client.health().status == "pass"
        with client.write_api(write_options=SYNCHRONOUS) as api:
            api.write(bucket="plant", record=points)
    assert kept(sensor) == [(at, 20 + n / 8) for n, at in enumerate(instants)]


def test_the_python_client_in_its_batching_way(live_server_asgi: str, token: str, sensor: Sensor) -> None:
    client = InfluxDBClient(url=live_server_asgi, token=token, org="plant", enable_gzip=True)
    with client, client.write_api() as api:
        for n in range(20):
            api.write("plant", record=f"P1 T={n} {1767225600 + n}", write_precision=WritePrecision.S)
    assert [value for _, value in kept(sensor)] == [float(n) for n in range(20)]


def test_the_python_client_is_told_why_lines_were_refused(live_server_asgi: str, token: str, sensor: Sensor) -> None:
    with InfluxDBClient(url=live_server_asgi, token=token, org="plant", retries=False) as client:
        api = client.write_api(write_options=SYNCHRONOUS)
        with pytest.raises(ApiException) as refused:
            api.write("plant", record=[LINE, "P1 T=x"], write_precision=WritePrecision.S)
        assert refused.value.status == 400
        assert "partial write: 1 written, 1 refused: line 2 has the value 'x'" in str(refused.value.message)
        with pytest.raises(ApiException) as unknown:
            InfluxDBClient(url=live_server_asgi, token="wrong", org="o").write_api(write_options=SYNCHRONOUS).write(
                "plant", record=LINE
            )
        assert unknown.value.status == 401
    assert len(kept(sensor)) == 1
    assert DeadLetter.objects.get().content == "P1 T=x"


@pytest.mark.parametrize("way", ["Token", "Bearer", "Basic", "password", "u and p"])
def test_a_token_comes_in_whatever_way_a_client_sends_it(
    anonymous: httpx.Client, token: str, sensor: Sensor, way: str
) -> None:
    headers, parameters = {}, {"db": "plant", "precision": "s"}
    if way == "Basic":
        headers["Authorization"] = "Basic " + base64.b64encode(f"user:{token}".encode()).decode()
    elif way in ("Token", "Bearer"):
        headers["Authorization"] = f"{way} {token}"
    else:
        parameters |= {"p": token} | ({"u": "user"} if way == "u and p" else {})
    answer = anonymous.post("/write", params=parameters, content=LINE, headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")
    assert kept(sensor) == [(datetime(2026, 1, 1, tzinfo=UTC), 1.5)]
    assert Batch.objects.get().source == "token gateway"


@pytest.mark.parametrize("path", ["/write", "/api/v2/write"])
def test_without_a_token_that_may_send_nothing_comes_in(anonymous: httpx.Client, sensor: Sensor, path: str) -> None:
    _, reader = create_token(name="reader", scopes=["read"])
    answers = [
        anonymous.post(path, content=LINE),
        anonymous.post(path, content=LINE, headers={"Authorization": "Token wrong"}),
        anonymous.post(path, content=LINE, headers={"Authorization": "Basic ?"}),
        anonymous.post(path, content=LINE, params={"u": "user", "p": "wrong"}),
        anonymous.post(path, content=LINE, headers={"Authorization": f"Token {reader}"}),
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 403]
    assert answers[0].json()["code"] == "unauthorized"
    assert not Batch.objects.exists()


@pytest.mark.parametrize(
    ("content", "options", "status", "message"),
    [
        (b"", {}, 400, "holds no line"),
        (b"# nothing", {}, 400, "holds no reading"),
        (b"P1 T=\xff", {}, 400, "not UTF-8"),
        (b"P1 T=x", {}, 400, "nothing was written, 1 refused: line 1 has the value 'x'"),
        (b"P9 T=1", {}, 400, "sensor P9 T is not in the register"),
        (LINE.encode(), {"params": {"precision": "d"}}, 400, "'d' is unknown"),
        (CUT_OFF, {"headers": {"Content-Encoding": "gzip"}}, 400, "not gzip, or ends"),
        (LINE.encode(), {"headers": {"Content-Encoding": "br"}}, 415, "'br' is not read"),
        (b"x" * (8 * 1024 * 1024 + 1), {}, 413, "larger than"),
    ],
)
def test_what_cannot_be_taken_is_answered_in_their_shape(
    client: httpx.Client, sensor: Sensor, content: bytes, options: dict[str, Any], status: int, message: str
) -> None:
    answer = client.post("/api/v2/write", content=content, **options)
    assert answer.status_code == status
    assert message in (answer.json().get("message") or answer.json()["errors"][0]["message"])
    assert not Batch.objects.exists()


def test_lines_without_a_time_are_stamped_once_a_request(client: httpx.Client, sensor: Sensor) -> None:
    Sensor.objects.create(asset=sensor.asset, name="U", quantity="x")
    before = datetime.now(UTC)
    assert client.post("/api/v2/write", content="P1 T=1\nP1 U=2").status_code == 204
    table = scan_readings(sensors=[sensor.pk, Sensor.objects.get(name="U").pk])
    first, second = table["time"].to_pylist()
    assert first == second
    assert before <= first <= datetime.now(UTC)


def test_what_clients_ask_first_is_answered(client: httpx.Client, anonymous: httpx.Client) -> None:
    assert (anonymous.get("/ping").status_code, anonymous.head("/ping").status_code) == (204, 204)
    assert anonymous.get("/ping").headers["X-Influxdb-Version"]
    assert anonymous.get("/health").json()["status"] == "pass"
    made = client.post("/query", data={"q": 'CREATE DATABASE "telegraf"'})
    assert (made.status_code, made.json()) == (200, {"results": [{"statement_id": 0}]})
    shown = client.get("/query", params={"q": "SHOW DATABASES", "db": "telegraf"})
    assert shown.json()["results"][0]["series"][0]["values"] == [["telegraf"]]
    assert client.get("/query", params={"q": "SELECT * FROM m"}).status_code == 400
    assert anonymous.get("/query", params={"q": "SHOW DATABASES"}).status_code == 401
