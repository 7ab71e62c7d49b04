"""Subscriptions over a real WebSocket: the state first, then each change; nothing is missed, nobody is unknown."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from tests.waiting import PATIENCE
from twins.services.tokens import create_token, revoke_token

PROTOCOL = websockets.Subprotocol("graphql-transport-ws")
NOBODY = "00000000-0000-4000-8000-000000000000"
READINGS = "subscription ($assets: [ID!]) { readings(assets: $assets) { time value sensor { name uuid } } }"


@asynccontextmanager
async def connect(base: str, token: str | None = None, **options: Any) -> AsyncIterator[ClientConnection]:
    """A socket, acknowledged when a token is given."""
    address = base.replace("http", "ws") + "/graphql/"
    async with websockets.connect(
        address, **{"subprotocols": [PROTOCOL], "open_timeout": PATIENCE, **options}
    ) as socket:
        if token is not None:
            await say(socket, type="connection_init", payload={"Authorization": f"Bearer {token}"})
            assert await hear(socket) == {"type": "connection_ack"}
        yield socket


async def say(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def hear(socket: ClientConnection) -> Any:
    return json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))


async def subscribe(socket: ClientConnection, query: str = READINGS, id: str = "1", **variables: Any) -> None:
    await say(socket, type="subscribe", id=id, payload={"query": query, "variables": variables})


async def answered(socket: ClientConnection, query: str, **variables: Any) -> Any:
    """The answer to a query or a mutation, once it is complete."""
    await subscribe(socket, query, **variables)
    message = await hear(socket)
    payload = message["payload"]
    while message["type"] not in ("complete", "error"):
        message = await hear(socket)
    return payload


async def closing(socket: ClientConnection) -> tuple[int, str]:
    await asyncio.wait_for(socket.wait_closed(), PATIENCE)
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


def values(message: Any) -> dict[str, float]:
    assert message["type"] == "next", message
    assert "errors" not in message["payload"], message
    return {row["sensor"]["name"]: row["value"] for row in message["payload"]["data"]["readings"]}


def twin_id(plant: Any, tag: str) -> str:
    from twins.graphql.ids import Kind, global_id

    return global_id(Kind.TWIN, plant[0][tag].pk)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is told once: a Redis that is slow today is waited for."""
    monkeypatch.setattr("twins.graphql.hub._CONNECTS_WITHIN", PATIENCE)


@pytest.fixture
def plant(live_server_asgi: str) -> Any:
    """P > G1 > B1, P > G2; sensors P.T, B1.V, G2.V."""
    from assets.models import Sensor
    from assets.services import NewAsset, create_assets, create_sensors

    assets = create_assets(
        rows=[
            NewAsset(tag="P", name="plant", level="system"),
            NewAsset(tag="G1", name="generator 1", level="product", parent="P"),
            NewAsset(tag="G2", name="generator 2", level="product", parent="P"),
            NewAsset(tag="B1", name="bearing", level="part", parent="G1"),
        ]
    )
    rows = [("P", "P.T"), ("B1", "B1.V"), ("G2", "G2.V")]
    sensors = create_sensors(
        sensors=[Sensor(asset=assets[tag], name=name, quantity="vibration", unit="mm/s") for tag, name in rows]
    )
    return assets, {sensor.name: sensor for sensor in sensors}


@pytest.fixture
def token(live_server_asgi: str) -> str:
    return create_token(name="app", scopes=["read", "ingest"])[1]


@pytest.fixture
def send(live_server_asgi: str, token: str, plant: Any) -> Callable[..., Awaitable[None]]:
    """Sends {sensor name: value} of one second of 2026-03-01T12:00 by HTTP."""

    async def post(second: int, **readings: float) -> None:
        rows = [
            {"sensor": str(plant[1][name].uuid), "time": f"2026-03-01T12:00:{second:02d}Z", "value": value}
            for name, value in {key.replace("_", "."): value for key, value in readings.items()}.items()
        ]
        async with httpx.AsyncClient(
            verify=False, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE
        ) as client:
            answer = await client.post(f"{live_server_asgi}/ingest", json=rows)
        assert answer.status_code == 201, answer.text

    return post


def test_the_state_comes_first_and_then_what_changes(live_server_asgi: str, token: str, send: Any) -> None:
    async def story() -> None:
        await send(1, B1_V=1.0, P_T=20.0)
        async with connect(live_server_asgi, token) as socket:
            await subscribe(socket)
            assert values(await hear(socket)) == {"P.T": 20.0, "B1.V": 1.0}
            await send(2, B1_V=2.0)
            assert values(await hear(socket)) == {"B1.V": 2.0}
            await send(1, B1_V=9.0, G2_V=3.0)  # older than what is known of B1.V
            assert values(await hear(socket)) == {"G2.V": 3.0}

    asyncio.run(story())


def test_an_asset_is_watched_with_everything_below_it(live_server_asgi: str, token: str, send: Any, plant: Any) -> None:
    async def story() -> None:
        await send(1, B1_V=1.0, P_T=20.0)
        async with connect(live_server_asgi, token) as socket:
            await subscribe(socket, assets=[twin_id(plant, "G1")])
            assert values(await hear(socket)) == {"B1.V": 1.0}
            await send(2, P_T=21.0, G2_V=5.0)
            await send(3, B1_V=2.0)
            assert values(await hear(socket)) == {"B1.V": 2.0}

    asyncio.run(story())


def test_sensors_are_watched_by_their_uuid(live_server_asgi: str, token: str, send: Any, plant: Any) -> None:
    query = "subscription ($s: [UUID!]) { readings(sensors: $s) { value twin { tag } sensor { name unit } } }"

    async def story() -> None:
        async with connect(live_server_asgi, token) as socket:
            await subscribe(socket, query, s=[str(plant[1]["B1.V"].uuid)])
            assert (await hear(socket))["payload"] == {"data": {"readings": []}}
            await send(1, P_T=20.0)
            await send(2, B1_V=4.5)
            found = (await hear(socket))["payload"]["data"]["readings"]
            assert found == [{"value": 4.5, "twin": {"tag": "B1"}, "sensor": {"name": "B1.V", "unit": "mm/s"}}]

    asyncio.run(story())


def test_a_burst_is_told_as_the_newest_of_each_sensor(live_server_asgi: str, token: str, send: Any) -> None:
    async def story() -> None:
        async with connect(live_server_asgi, token) as socket:
            await subscribe(socket)
            await hear(socket)
            for second in range(40):
                await send(second, P_T=float(second))
            seen = [values(await hear(socket))["P.T"]]
            while seen[-1] < 39:
                seen.append(values(await hear(socket))["P.T"])
            assert seen == sorted(set(seen))

    asyncio.run(story())


def test_sockets_with_the_same_selection_share_one_stream(live_server_asgi: str, token: str, send: Any) -> None:
    from twins.graphql.hub import Hub

    async def story() -> None:
        await ended()  # those of the test before
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(connect(live_server_asgi, token)) for _ in range(20)]
            for socket in sockets:
                await subscribe(socket)
                assert values(await hear(socket)) == {}
            assert streams() == [1]
            await subscribe(sockets[0], id="other", assets=[])
            assert (await hear(sockets[0]))["id"] == "other"
            assert streams() == [2]
            await send(1, P_T=20.0)
            for socket in sockets:
                assert values(await hear(socket)) == {"P.T": 20.0}
        await ended()

    async def ended() -> None:
        end = time.monotonic() + PATIENCE
        while any(streams()):
            assert time.monotonic() < end, "a stream outlived its subscribers"
            await asyncio.sleep(0.05)

    def streams() -> list[int]:
        return [count for hub in Hub._of_loop.values() if (count := len(hub._streams))]

    asyncio.run(story())


def test_completing_ends_one_operation_and_frees_its_id(live_server_asgi: str, token: str, send: Any) -> None:
    async def story() -> None:
        async with connect(live_server_asgi, token) as socket:
            for id in ("a", "b"):
                await subscribe(socket, id=id)
                assert (await hear(socket))["id"] == id
            await say(socket, type="complete", id="a")
            await say(socket, type="ping")
            assert await hear(socket) == {"type": "pong"}
            await send(1, P_T=20.0)
            assert (await hear(socket))["id"] == "b"
            await subscribe(socket, id="a")
            assert (await hear(socket))["id"] == "a"

    asyncio.run(story())


def assess(asset: Any, health: float) -> None:
    from django.db import connection, transaction
    from django.utils import timezone

    from twins import events
    from twins.models import Assessment

    with transaction.atomic():
        Assessment.objects.update_or_create(
            asset=asset, defaults={"source": "ageing", "health": health, "coverage": 1.0, "assessed_at": timezone.now()}
        )
        events.publish("assessed", {"assets": [asset.pk]})
    connection.close()


def test_health_is_told_as_the_twins_that_were_assessed(live_server_asgi: str, token: str, plant: Any) -> None:
    query = "subscription ($a: [ID!]) { health(assets: $a) { tag parent { tag } health { score coverage } } }"

    async def story() -> None:
        async with connect(live_server_asgi, token) as socket:
            await subscribe(socket, query, a=[twin_id(plant, "G1")])
            first = (await hear(socket))["payload"]["data"]["health"]
            assert {twin["tag"]: twin["health"] for twin in first} == {"G1": None, "B1": None}
            await asyncio.to_thread(assess, plant[0]["G2"], 10.0)
            await asyncio.to_thread(assess, plant[0]["B1"], 61.5)
            assert (await hear(socket))["payload"]["data"]["health"] == [
                {"tag": "B1", "parent": {"tag": "G1"}, "health": {"score": 61.5, "coverage": 1.0}}
            ]

    asyncio.run(story())


def test_queries_run_over_the_socket_too(live_server_asgi: str, token: str, plant: Any) -> None:
    async def story() -> None:
        async with connect(live_server_asgi, token) as socket:
            await subscribe(socket, 'query { twin(tag: "G1") { name } }')
            assert await hear(socket) == {
                "id": "1",
                "type": "next",
                "payload": {"data": {"twin": {"name": "generator 1"}}},
            }
            assert await hear(socket) == {"id": "1", "type": "complete"}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"query": "subscription { readings { nothing } }"}, "Cannot query field"),
        ({"query": "subscription {"}, "Syntax Error"),
        ({"query": "subscription { readings { value } } query { node(id: 1) { id } }"}, "operationName"),
        ({"query": "{" * 5000}, ""),
        ({"query": ""}, "'query'"),
        ({"query": 3}, "'query'"),
        ({}, "'query'"),
        (None, "JSON object"),
        ({"query": READINGS, "variables": [1]}, "'variables'"),
        ({"query": READINGS, "variables": {"assets": {"a": 1}}}, "assets"),
        ({"query": READINGS, "variables": {"assets": ["nonsense"]}}, "nonsense"),
        ({"query": READINGS, "operationName": "Other"}, ""),
        ({"query": "subscription($s:[UUID!]){readings(sensors:$s){value}}", "variables": {"s": [NOBODY]}}, NOBODY),
        ({"query": "subscription($s:[UUID!]){readings(sensors:$s){value}}", "variables": {"s": ["x"]}}, "x"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_operation_that_cannot_run_is_an_error_message_and_the_socket_lives(
    live_server_asgi: str, token: str, payload: Any, message: str
) -> None:
    async def story() -> None:
        async with connect(live_server_asgi, token) as socket:
            await say(socket, type="subscribe", id="1", payload=payload)
            answer = await hear(socket)
            assert (answer["id"], answer["type"]) == ("1", "error")
            assert message in answer["payload"][0]["message"]
            assert "log of the server" not in answer["payload"][0]["message"]
            await subscribe(socket)
            assert values(await hear(socket)) == {}

    asyncio.run(story())


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "connection_init"}], 4403),
        ([{"type": "connection_init", "payload": {"Authorization": "Bearer wrong"}}], 4403),
        ([{"type": "connection_init", "payload": {"Authorization": 7}}], 4403),
        ([{"type": "connection_init", "payload": [1]}], 4400),
        ([{"type": "subscribe", "id": "1", "payload": {"query": READINGS}}], 4401),
        (["not json"], 4400),
        (["[" * 5000], 4400),
        (["[]"], 4400),
        (["{}"], 4400),
        ([b"\x00"], 4400),
        ([{"type": "stop"}], 4400),
        ([{"type": ["subscribe"]}], 4400),
        (["x" * 300_000], 1009),
    ],
    ids=lambda value: str(value)[:40],
)
def test_whoever_does_not_keep_to_the_protocol_is_closed(live_server_asgi: str, messages: list[Any], code: int) -> None:
    async def story() -> None:
        async with connect(live_server_asgi) as socket:
            for message in messages:
                await socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
            assert (await closing(socket))[0] == code

    asyncio.run(story())


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([{"type": "connection_init"}], 4429),
        ([{"type": "subscribe", "payload": {"query": READINGS}}], 4400),
        ([{"type": "subscribe", "id": 4, "payload": {"query": READINGS}}], 4400),
        ([{"type": "subscribe", "id": "1", "payload": {"query": READINGS}}] * 2, 4409),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_acknowledged_socket_keeps_to_the_protocol_too(
    live_server_asgi: str, token: str, messages: list[Any], code: int
) -> None:
    async def story() -> None:
        async with connect(live_server_asgi, token) as socket:
            for message in messages:
                await say(socket, **message)
            assert (await closing(socket))[0] == code

    asyncio.run(story())


def test_another_subprotocol_is_closed(live_server_asgi: str) -> None:
    async def story() -> None:
        for wanted in (None, [websockets.Subprotocol("graphql-ws")]):
            address = live_server_asgi.replace("http", "ws") + "/graphql/"
            with suppress(websockets.NegotiationError):
                async with websockets.connect(address, subprotocols=wanted) as socket:
                    assert (await closing(socket))[0] == 4406

    asyncio.run(story())


def test_a_socket_that_says_nothing_is_closed(live_server_asgi: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twins.graphql.consumers.INIT_TIMEOUT", 0.2)

    async def story() -> None:
        async with connect(live_server_asgi) as socket:
            assert (await closing(socket))[0] == 4408

    asyncio.run(story())


def test_a_socket_runs_a_bounded_number_of_operations(live_server_asgi: str, token: str) -> None:
    async def story() -> None:
        async with connect(live_server_asgi, token) as socket:
            for number in range(51):
                await subscribe(socket, id=str(number))
            answers = [await hear(socket) for _ in range(51)]
            assert [answer["id"] for answer in answers if answer["type"] == "error"] == ["50"]

    asyncio.run(story())


def test_a_token_without_the_scope_is_forbidden(live_server_asgi: str) -> None:
    _, sender = create_token(name="sender", scopes=["ingest"])

    async def story() -> None:
        async with connect(live_server_asgi) as socket:
            await say(socket, type="connection_init", payload={"authorization": f"Token {sender}"})
            code, reason = await closing(socket)
            assert (code, "'read'" in reason) == (4403, True)

    asyncio.run(story())


def test_a_token_may_come_in_the_header_of_the_handshake(live_server_asgi: str, token: str) -> None:
    async def story() -> None:
        async with connect(live_server_asgi, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
            await say(socket, type="connection_init")
            assert await hear(socket) == {"type": "connection_ack"}

    asyncio.run(story())


def test_a_revoked_token_ends_its_sockets(live_server_asgi: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twins.graphql.consumers.RECHECK", 0.2)

    async def story() -> None:
        async with connect(live_server_asgi, token) as socket:
            await subscribe(socket)
            await hear(socket)
            await asyncio.sleep(0.5)
            await say(socket, type="ping")
            assert await hear(socket) == {"type": "pong"}
            await asyncio.to_thread(revoke, "app")
            assert (await closing(socket))[0] == 4403

    def revoke(name: str) -> None:
        from django.db import connection

        revoke_token(name=name)
        connection.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [("{base}", True), (None, False), ("https://evil.example", False), ("null", False), ("http://127.0.0.1:1", False)],
)
def test_a_cookie_needs_an_origin_that_matches(live_server_asgi: str, origin: str | None, welcome: bool) -> None:
    from django.contrib.auth import get_user_model
    from django.test import Client

    browser = Client()
    browser.force_login(get_user_model().objects.create_user("ada"))
    headers = {"Cookie": f"sessionid={browser.cookies['sessionid'].value}"}

    async def story() -> None:
        options: dict[str, Any] = {"additional_headers": headers}
        if origin is not None:
            options["origin"] = origin.format(base=live_server_asgi)
        async with connect(live_server_asgi, **options) as socket:
            await say(socket, type="connection_init")
            if welcome:
                assert await hear(socket) == {"type": "connection_ack"}
                await subscribe(socket)
                assert values(await hear(socket)) == {}
            else:
                assert (await closing(socket))[0] == 4403

    asyncio.run(story())


def test_rights_that_have_changed_end_the_sockets_that_had_them(
    live_server_asgi: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.contrib.auth import get_user_model
    from django.db import connection

    from assets.services import give_role

    monkeypatch.setattr("twins.graphql.consumers.RECHECK", 0.2)
    ada = get_user_model().objects.create_user("ada")
    token = create_token(name="ada's", scopes=["read"], user=ada)[1]

    def promote() -> None:
        give_role(role="viewer", user=ada)
        connection.close()

    async def story() -> None:
        async with connect(live_server_asgi, token) as socket:
            await asyncio.sleep(0.5)
            await say(socket, type="ping")
            assert await hear(socket) == {"type": "pong"}
            await asyncio.to_thread(promote)
            assert await closing(socket) == (4403, "Your rights have changed: connect again")

    asyncio.run(story())


def test_an_ended_session_ends_its_sockets(live_server_asgi: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.contrib.auth import get_user_model
    from django.test import Client

    monkeypatch.setattr("twins.graphql.consumers.RECHECK", 0.2)
    browser = Client()
    browser.force_login(get_user_model().objects.create_user("ada"))
    headers = {"Cookie": f"sessionid={browser.cookies['sessionid'].value}"}

    async def story() -> None:
        async with connect(live_server_asgi, additional_headers=headers, origin=live_server_asgi) as socket:
            await say(socket, type="connection_init")
            assert await hear(socket) == {"type": "connection_ack"}
            await asyncio.sleep(0.5)
            await say(socket, type="ping")
            assert await hear(socket) == {"type": "pong"}
            await asyncio.to_thread(sign_out)
            assert (await closing(socket))[0] == 4403

    def sign_out() -> None:
        from django.db import connection

        browser.logout()
        connection.close()

    asyncio.run(story())


def test_a_killed_redis_ends_no_subscription(
    live_server_asgi: str, token: str, send: Any, settings: Any, tmp_path: Path
) -> None:
    """Readings that came while Redis was away are told once it is back, without a word from the client."""
    from config import embedded

    embedded.ensure_secrets(tmp_path)
    engine = embedded.Valkey(tmp_path)
    engine.prepare()
    child = embedded.start(engine)
    embedded.await_ready(engine, child)
    settings.TWINS = {**settings.TWINS, "REDIS_URL": engine.url}

    async def story() -> None:
        nonlocal child
        async with connect(live_server_asgi, token) as socket:
            await subscribe(socket)
            assert values(await hear(socket)) == {}
            await send(1, P_T=1.0)
            assert values(await hear(socket)) == {"P.T": 1.0}
            child.kill()
            child.wait()
            await send(2, P_T=2.0)
            child = embedded.start(engine)
            seen: dict[str, float] = {}
            while seen.get("P.T") != 2.0:
                seen = values(await hear(socket))
            await send(3, P_T=3.0)
            while seen.get("P.T") != 3.0:
                seen = values(await hear(socket))

    try:
        asyncio.run(story())
    finally:
        child.kill()
        child.wait()
