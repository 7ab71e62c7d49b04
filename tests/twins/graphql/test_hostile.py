"""Bad input over a real socket: one clear GraphQL error, a status of 4xx, soon, and without memory that stays taken."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest
import websockets

from tests.pace import within
from tests.waiting import PATIENCE
from twins.services.tokens import create_token

TYPED = {"Accept": "application/graphql-response+json", "Content-Type": "application/json"}
PLAIN = {"Accept": "application/json", "Content-Type": "application/json"}
MEBIBYTE = 1024 * 1024


def _query(text: str, **variables: Any) -> bytes:
    return json.dumps({"query": text, "variables": variables}).encode()


def _opaque(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _doubling(levels: int) -> str:
    fragments = [f"fragment F{i} on SystemTwin {{ ...F{i + 1} ...F{i + 1} }}" for i in range(levels)]
    return "{ systems { nodes { ...F0 } } } " + " ".join(fragments) + f" fragment F{levels} on SystemTwin {{ tag }}"


_CYCLE = "{ systems { nodes { ...A } } } fragment A on SystemTwin { ...B } fragment B on SystemTwin { ...A }"
_AFTER = "query($a: String) { systems(after: $a) { totalCount } }"
_NODE = "query($i: ID!) { node(id: $i) { id } }"
_TAG = "query($t: String!) { twin(tag: $t) { id } }"

OPERATIONS: dict[str, tuple[bytes, str]] = {
    "10,000 aliases": (_query("{ " + " ".join(f"a{i}:__typename" for i in range(10_000)) + " }"), "4000 tokens"),
    "as many aliases as tokens allow": (
        _query("{ systems { nodes { " + " ".join(f"a{i}:tag" for i in range(1300)) + " } } }"),
        "number of aliases",
    ),
    "doubling fragments": (_query(_doubling(60)), "cost"),
    "cyclic fragments": (_query(_CYCLE), "Cannot spread fragment"),
    "deep selection": (_query("{ systems { nodes { " + "parent { " * 300 + "tag" + " }" * 303), "depth|nested"),
    "one field thousands of times": (_query("{ systems { nodes { " + "tag " * 3900 + "} } }"), "repeats or nests"),
    "a list deep in a list": (_query("{ twin(tag: " + "[" * 1900 + "]" * 1900 + ") { id } }"), "nested"),
    "a variable of another type": (_query(_TAG, t={"a": [1] * 40_000}), "invalid value|String cannot represent"),
    "a negative page": (_query("{ systems(first: -1) { totalCount } }"), "first is -1: ask for 1 to 1000"),
    "a page of none": (_query("query($n: Int!) { systems(first: $n) { totalCount } }", n=0), "first is 0"),
    "an enormous page": (_query("{ systems(first: 99999999999999999999) { totalCount } }"), "first is 999999"),
    "a page beyond 32 bits": (_query("query($n: Int!) { systems(first: $n) { totalCount } }", n=2**40), "first is"),
    "a page that is a fraction": (_query("query($n: Int!) { systems(first: $n) { totalCount } }", n=1.5), "Int cannot"),
    "a cursor that is none": (_query(_AFTER, a="x"), "is not a cursor of this list"),
    "a cursor of another list": (_query(_AFTER, a=_opaque("health:7:404f400000000000")), "is not a cursor of this"),
    "a cursor beyond 64 bits": (_query(_AFTER, a=_opaque("tag:9999999999999999999:P")), "is not a cursor of this"),
    "a cursor with NUL": (_query(_AFTER, a=_opaque("tag:7:\x00")), "is not a cursor of this list"),
    "a long cursor": (_query(_AFTER, a="A" * 200_000), "is not a cursor of this list"),
    "an id that is none": (_query(_NODE, i="x"), "is not an id"),
    "an id of no kind": (_query(_NODE, i=_opaque("User:1")), "is not an id"),
    "an id of another kind": (_query("query($i: ID!) { system(id: $i) { id } }", i=_opaque("Item:1")), "id of a Twin"),
    "an id beyond 64 bits": (_query(_NODE, i=_opaque("Twin:" + "9" * 30)), "is not the id of a Twin"),
    "an id that is SQL": (_query(_NODE, i=_opaque("Twin:1 or 1=1")), "is not the id of a Twin"),
    "a tag with NUL": (_query(_TAG, t="P\x00"), "NUL"),
    "an unknown field": (_query("{ nothing }"), "Cannot query field"),
    "half a document": (_query("{ systems {"), "Syntax Error"),
    "introspection": (_query("{ __schema { types { name } } }"), "'introspect'"),
}

BODIES: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "deep JSON": (b'{"query": "{ __typename }", "variables": ' + b'{"a":' * 50_000, {}, 400, "nested deeper than 64"),
    "nothing but brackets": (b"[" * 262_000, {}, 400, "nested deeper than 64"),
    "bad UTF-8": (b'{"query": "{ twin(tag: \\"\xff\xfe\\") { id } }"}', {}, 400, "not JSON"),
    "half a surrogate": (b'{"query": "{ twin(tag: \\"\\ud800\\") { id } }"}', {}, 400, "not JSON"),
    "a byte order mark": (b'\xef\xbb\xbf{"query": "{ __typename }"}', {}, 400, "not JSON"),
    "UTF-16": ('{"query": "{ __typename }"}'.encode("utf-16"), {}, 400, "not JSON"),
    "not a number": (b'{"query": "{ __typename }", "variables": {"a": NaN}}', {}, 400, "not JSON"),
    "an endless number": (b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 200_000, {}, 400, "not JSON"),
    "a batch": (b"[" + b",".join([b"{}"] * 1000) + b"]", {}, 400, "one JSON object"),
    "too many bytes": (b'{"query": "' + b" " * 300_000 + b'"}', {}, 413, "larger than 262144 bytes"),
    "a form": (b"query=%7Ba%7D", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
    "several parts": (b"--x--", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "application/json"),
    "no type": (_query("{ __typename }"), {"Content-Type": ""}, 415, "application/json"),
    "another charset": (_query("{ __typename }"), {"Content-Type": "application/json; charset=utf-7"}, 415, "utf-7"),
    "a zip bomb": (b"\x1f\x8b" + b"\x00" * 1000, {"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
    "a picture in return": (_query("{ __typename }"), {"Accept": "image/png"}, 406, "accept one of them"),
}  # fmt: skip


@pytest.fixture
def token(live_server_asgi: str) -> str:
    from assets.services import NewAsset, create_assets

    create_assets(rows=[NewAsset(tag="P", name="plant", level="system")])
    return create_token(name="app", scopes=["read"])[1]


@pytest.fixture
def client(live_server_asgi: str, token: str, collector_at_rest: None) -> Iterator[httpx.Client]:
    with httpx.Client(
        verify=False, base_url=live_server_asgi, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE
    ) as client:
        client.post("/graphql/", json={"query": "{ systems { totalCount } }"})  # what is loaded once is no growth
        yield client


class _Watch:
    """Processor time and memory of this process, in which the server runs as well."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._taken, self._begin = self._process.memory_info().rss, time.process_time()

    def growth(self) -> int:
        return int(self._process.memory_info().rss - self._taken)

    def seconds(self) -> float:
        return time.process_time() - self._begin


def test_an_operation_that_cannot_be_is_refused_over_http(client: httpx.Client) -> None:
    memory = _Watch()
    for name, (content, reason) in OPERATIONS.items():
        watch = _Watch()
        answer = client.post("/graphql/", content=content, headers=TYPED)
        assert within(watch.seconds(), 1), name
        assert 400 <= answer.status_code < 500, (name, answer.text[:300])
        assert list(answer.json()) == ["errors"], name
        first = answer.json()["errors"][0]["message"]
        assert any(words in first for words in reason.split("|")), (name, first[:300])
        assert len(answer.content) < 3 * len(content) + 2000, name
        older = client.post("/graphql/", content=content, headers=PLAIN)
        assert (older.status_code in (200, answer.status_code), list(older.json())) == (True, ["errors"]), name
    assert memory.growth() < 100 * MEBIBYTE


def test_a_body_that_is_no_operation_is_refused(client: httpx.Client) -> None:
    memory = _Watch()
    for name, (content, headers, status, reason) in BODIES.items():
        watch = _Watch()
        answer = client.post("/graphql/", content=content, headers={**TYPED, **headers})
        assert within(watch.seconds(), 1), name
        assert (answer.status_code, list(answer.json()), len(answer.json()["errors"])) == (status, ["errors"], 1), name
        assert reason in answer.json()["errors"][0]["message"], name
    assert memory.growth() < 100 * MEBIBYTE


def test_the_same_operations_are_refused_over_a_socket_that_goes_on(client: httpx.Client, token: str) -> None:
    async def story() -> None:
        address = str(client.base_url).replace("http", "ws") + "/graphql/"
        async with websockets.connect(address, subprotocols=[websockets.Subprotocol("graphql-transport-ws")]) as live:
            await live.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}))
            await live.recv()
            for name, (content, reason) in OPERATIONS.items():
                watch = _Watch()
                await live.send(json.dumps({"type": "subscribe", "id": name, "payload": json.loads(content)}))
                message = json.loads(await asyncio.wait_for(live.recv(), PATIENCE))
                assert within(watch.seconds(), 1), name
                assert (message["type"], message["id"]) == ("error", name)
                first = message["payload"][0]["message"]
                assert any(words in first for words in reason.split("|")), (name, first[:300])
            await live.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }"}}))
            assert json.loads(await live.recv())["payload"] == {"data": {"__typename": "Query"}}

    memory = _Watch()
    asyncio.run(story())
    assert memory.growth() < 100 * MEBIBYTE


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("[" * 200_000, 4400),
        ("\ufeff{}", 4400),
        ('[{"type": "ping"}]', 4400),
        ('{"type": "subscribe", "id": "' + "x" * 201 + '", "payload": {"query": "{ __typename }"}}', 4400),
        ('{"type": "subscribe", "id": "1", "payload": {"query": "' + " " * 300_000 + '"}}', 1009),
        (b"\xff\xfe", 4400),
        ('{"type": "connection_init"}', 4429),
    ],
    ids=["deep", "byte order mark", "batch", "long id", "long", "binary", "twice"],
)
def test_a_message_that_is_none_ends_its_socket(client: httpx.Client, token: str, message: Any, code: int) -> None:
    async def story() -> None:
        address = str(client.base_url).replace("http", "ws") + "/graphql/"
        async with websockets.connect(address, subprotocols=[websockets.Subprotocol("graphql-transport-ws")]) as live:
            await live.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}))
            await live.recv()
            await live.send(message)
            await asyncio.wait_for(live.wait_closed(), PATIENCE)
            assert live.close_code == code

    asyncio.run(story())


@pytest.mark.parametrize("tag", ["%", "_", "P%", "\\", "' or 1=1 --", "P' --", '"; drop table x', "P\u200b", "*"])
def test_a_tag_is_taken_as_it_is_written(client: httpx.Client, tag: str) -> None:
    for query in (_TAG, "query($t: String!) { system(tag: $t) { id } }"):
        answer = client.post("/graphql/", content=_query(query, t=tag), headers=TYPED)
        assert (answer.status_code, list(answer.json()["data"].values())) == (200, [None])


def test_variables_that_nobody_declared_cost_nothing(client: httpx.Client) -> None:
    watch = _Watch()
    answer = client.post("/graphql/", content=_query(_TAG, t="P", junk=list(range(30_000))), headers=TYPED)
    assert (answer.status_code, within(watch.seconds(), 1)) == (200, True)
