"""What one request may take: time in the database, bytes of an answer, nesting, a share of the rate, memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
import websockets
from django.db import connection, transaction
from psycopg.conninfo import make_conninfo

from tests.pace import within
from tests.waiting import PATIENCE
from twins.graphql.documents import Kept
from twins.graphql.limits import COST
from twins.http import alone, rate
from twins.http.rate import BURST, Limiter
from twins.services.tokens import create_token

PLANNED = '{ twin(tag: "P") { name children { totalCount } } }'
ORDINARY = '{ node(id: "SXRlbTox") { id } }'
SYSTEM = '{ system(tag: "P") { name } }'


@pytest.fixture
def token(live_server_asgi: str) -> str:
    from assets.services import NewAsset, create_assets

    create_assets(
        rows=[
            NewAsset(tag="P", name="plant", level="system"),
            *(NewAsset(tag=f"G{i:02}", name="generator", level="product", parent="P") for i in range(40)),
        ]
    )
    return create_token(name="app", scopes=["read"])[1]


@pytest.fixture
def client(live_server_asgi: str, token: str) -> Iterator[httpx.Client]:
    with httpx.Client(
        verify=False, base_url=live_server_asgi, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE
    ) as client:
        yield client


def ask(client: httpx.Client, query: str, **fields: Any) -> httpx.Response:
    return client.post("/graphql/", json={"query": query, **fields})


def _address() -> str:
    parameters = connection.get_connection_params()
    names = ("dbname", "user", "password", "host", "port")
    return make_conninfo(**{name: parameters[name] for name in names if parameters.get(name) is not None})


@pytest.fixture
def locked(token: str) -> Iterator[None]:
    """Somebody holds the tables of the register, so that whoever reads them waits."""
    with psycopg.connect(_address()) as other:
        other.execute("LOCK TABLE twins_assets_asset, twins_assets_item IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


@pytest.mark.parametrize("query", [PLANNED, ORDINARY], ids=["planned", "ordinary"])
def test_a_statement_that_takes_too_long_is_ended(
    client: httpx.Client, locked: None, settings: Any, query: str
) -> None:
    settings.TWINS = {**settings.TWINS, "QUERY_SECONDS": 0.4}
    begin = time.monotonic()
    answer = ask(client, query)
    assert 0.3 < time.monotonic() - begin < 30  # the tables are held for longer
    (error,) = answer.json()["errors"]
    assert error["message"] == "The database did not answer in 0.4 s: ask for fewer rows or fields."
    assert error["extensions"] == {"code": "TOO_SLOW"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("server_side", [False, True])
def test_the_bound_of_time_leaves_nothing_behind(server_side: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from assets.models import Asset
    from twins.graphql.database import bounded

    def shown() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            return cursor.fetchone()[0]

    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "server_side_binding", server_side)
    before = shown()
    assert bounded(shown)() == "10s"
    assert bounded(lambda: list(Asset.objects.filter(tag="x").values_list("pk", flat=True)))() == []
    assert shown() == before


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_kept_is_bound_whenever_it_is_new(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    from twins.graphql.database import bounded

    def shown() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            return cursor.fetchone()[0]

    def rolled_back() -> None:
        with transaction.atomic():
            bounded(shown)()
            transaction.set_rollback(True)

    monkeypatch.setattr(alone._thread, "owns", True, raising=False)
    try:
        rolled_back()
        assert [bounded(shown)(), shown()] == ["10s", "10s"]
        with psycopg.connect(_address()) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
        connection.health_check_done = False
        assert bounded(shown)() == "10s"
        settings.TWINS = {**settings.TWINS, "QUERY_SECONDS": 3}
        assert bounded(shown)() == "3s"
    finally:
        connection.close()


def test_an_answer_that_is_too_large_is_not_sent(client: httpx.Client, settings: Any) -> None:
    settings.TWINS = {**settings.TWINS, "ANSWER_MAX_BYTES": 1000}
    answer = ask(client, '{ system(tag: "P") { children { nodes { id tag name } } } }')
    assert (answer.status_code, list(answer.json())) == (400, ["errors"])
    (error,) = answer.json()["errors"]
    assert error["message"].endswith("at most 1000 are sent: ask for fewer fields or smaller pages.")
    assert error["extensions"] == {"code": "LIMIT_EXCEEDED"}
    assert ask(client, SYSTEM).json() == {"data": {"system": {"name": "plant"}}}


def test_the_cost_is_told_to_whoever_asks(client: httpx.Client) -> None:
    query = '{ system(tag: "P") { children(first: 30) { nodes { tag parent { name } } } } }'
    assert "extensions" not in ask(client, query).json()
    answer = ask(client, query, extensions={"cost": True}).json()
    # system, children, and of each of 30 rows tag, parent and name; beforehand nodes counts with each of them as well
    cost = answer["extensions"]["cost"]
    assert cost.pop("milliseconds") > 0
    assert cost == {"requested": 122, "maximum": COST, "actual": 93, "statements": 1, "scans": 0}


def test_statements_and_scans_do_not_grow_with_the_tree(client: httpx.Client) -> None:
    from assets.models import Asset, Sensor
    from assets.services import create_sensors

    query = """query ($first: Int) { system(tag: "P") { children(first: $first) { nodes {
        sensors { nodes { series(last: "PT1H") { count } aggregate(last: "PT1H", window: "PT1M") { aggregates { count }
    } } } } } } }"""
    told = []
    for first in (1, 30):
        create_sensors(
            sensors=[
                Sensor(asset=asset, name=f"s{first}", quantity="any")
                for asset in Asset.objects.filter(level="product").order_by("tag")[:first]
            ]
        )
        cost = ask(client, query, variables={"first": first}, extensions={"cost": True}).json()["extensions"]["cost"]
        told.append((cost["statements"], cost["scans"]))
    assert told[0] == told[1]
    assert told[0][1] == 2


def test_json_is_not_parsed_when_it_is_nested_too_deeply(client: httpx.Client) -> None:
    def nested(levels: int, text: str = "") -> bytes:
        return b'{"query": "{ __typename }", "variables": {"a": %s"%s"%s}}' % (
            b"[" * levels, text.encode(), b"]" * levels,
        )  # fmt: skip

    def post(content: bytes) -> httpx.Response:
        return client.post("/graphql/", content=content, headers={"Content-Type": "application/json"})

    assert post(nested(62)).status_code == 200
    assert post(nested(62, "[{" * 100 + '\\\\\\"[')).status_code == 200  # in a text they nest nothing
    for content in (nested(63), b"[" * 200_000, b'{"a":' * 40_000, b'"\\"' + b"[" * 70 + b'"' + b"[" * 70):
        answer = post(content)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["message"] == "The body is nested deeper than 64: make it flatter."


@pytest.mark.parametrize("content", [b'"' + b'\\"' * 100_000 + b"[" * 65, b"[" * 65 + b'"' * 200_000, b"[]" * 100_000])
def test_looking_at_the_nesting_is_linear(content: bytes, collector_at_rest: None) -> None:
    from twins.exceptions import MalformedBody
    from twins.http.bodies import read_json

    begin = time.process_time()
    with pytest.raises(MalformedBody):
        read_json(content)
    assert within(time.process_time() - begin, 0.5)


def test_whoever_asks_too_often_is_told_when_to_come_again(client: httpx.Client, settings: Any) -> None:
    settings.TWINS = {**settings.TWINS, "QUERY_RATE": 0.5}
    answers = [ask(client, "{ __typename }") for _ in range(15)]  # a slow machine refills the bucket meanwhile
    assert [answer.status_code for answer in answers][:5] == [200] * 5
    refused = next(answer for answer in answers if answer.status_code != 200)
    assert (refused.status_code, 1 <= int(refused.headers["Retry-After"]) <= 2) == (429, True)
    assert refused.json()["errors"][0]["message"].startswith("More than 0.5 requests a second: slow down")
    _, other = create_token(name="other", scopes=["read"])
    headers = {"Authorization": f"Bearer {other}"}
    assert client.post("/graphql/", json={"query": "{ __typename }"}, headers=headers).status_code == 200


def test_a_socket_spends_from_the_same_bucket(client: httpx.Client, token: str, settings: Any) -> None:
    settings.TWINS = {**settings.TWINS, "QUERY_RATE": 0.5}
    assert [ask(client, "{ __typename }").status_code for _ in range(4)] == [200] * 4

    async def story() -> list[Any]:
        address = str(client.base_url).replace("http", "ws") + "/graphql/"
        async with websockets.connect(address, subprotocols=[websockets.Subprotocol("graphql-transport-ws")]) as live:

            async def last(id_: str) -> Any:
                await live.send(json.dumps({"type": "subscribe", "id": id_, "payload": {"query": "{ __typename }"}}))
                while (message := json.loads(await live.recv()))["type"] == "next":
                    pass
                return message

            await live.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}))
            await live.recv()
            return [await last(id_) for id_ in "1234567890"]

    ends = asyncio.run(story())
    assert ends[0] == {"type": "complete", "id": "1"}
    refused = next(end for end in ends if end["type"] == "error")
    assert refused["payload"][0]["message"].startswith("More than 0.5 requests a second")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Redis is waited for as long as it takes where much else runs."""
    monkeypatch.setattr(rate, "_PATIENCE", PATIENCE)
    rate._client.cache_clear()
    yield
    rate._client.cache_clear()


def test_processes_share_a_bucket_and_it_fills_again(settings: Any, patient: None) -> None:
    settings.TWINS = {**settings.TWINS, "KEY_PREFIX": "test-shared"}
    one, two = Limiter(), Limiter()
    begin = time.monotonic()
    granted = sum(limiter.spend("x", 10, 0.0) == 0 for _ in range(2 * BURST * 10) for limiter in (one, two))
    filled = 10 * (time.monotonic() - begin)  # while it was emptied
    assert BURST * 10 <= granted <= BURST * 10 + filled + 1
    time.sleep(0.5)
    assert one.spend("x", 10, 1.0) == 0


def test_with_redis_away_each_process_keeps_a_bucket_of_its_own(settings: Any) -> None:
    settings.TWINS = {**settings.TWINS, "REDIS_URL": "redis://127.0.0.1:1/0"}
    limiter = Limiter()
    waits = [limiter.spend("x", 2, 100.0) for _ in range(25)]
    assert waits[:20] == [0] * 20
    assert all(wait == pytest.approx(0.5) for wait in waits[20:])
    assert limiter.spend("x", 2, 100.5) == 0
    assert limiter.spend("x", 2, 100.5) > 0
    assert [limiter.spend("x", 2, 200.0) for _ in range(25)].count(0) == 20


def test_what_is_kept_is_bounded_by_its_bytes() -> None:
    kept: Kept[int, str] = Kept(limit=1000)
    kept.put(0, "first", 400)
    for number in range(1, 100):
        assert kept.get(0) == "first"
        kept.put(number, "other", 300)
    assert [number for number in range(100) if kept.get(number)] == [0, 98, 99]
    kept.put(99, "heavier", 500)
    assert [kept.get(number) for number in (0, 98, 99)] == [None, "other", "heavier"]
    kept.put(7, "too heavy", 1001)
    assert (kept.get(7), kept._bytes, len(kept._known)) == (None, 0, 0)
