"""How a frontend gets its answers: persisted documents, answers it keeps, compression, scripts of other origins."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from django.core.management import CommandError, call_command

from tests.waiting import PATIENCE
from twins.conf import read_settings
from twins.exceptions import ConfigurationError
from twins.models import PersistedDocument
from twins.services.documents import persist_documents
from twins.services.tokens import create_token

QUERY = "query Name($tag: String!) { twin(tag: $tag) { name } }"
DIGEST = hashlib.sha256(QUERY.encode()).hexdigest()
ID = f"sha256:{DIGEST}"
ASKED = {"documentId": ID, "variables": '{"tag": "P"}'}
ANSWER = {"data": {"twin": {"name": "plant"}}}
SUBSCRIPTION = "subscription { readings { value } }"


@pytest.fixture
def token(live_server_asgi: str) -> str:
    from assets.services import NewAsset, create_assets

    parts = [NewAsset(tag=f"B{i:02}", name="bearing", level="part", parent="P") for i in range(40)]
    create_assets(rows=[NewAsset(tag="P", name="plant", level="system"), *parts])
    return create_token(name="app", scopes=["read"])[1]


@pytest.fixture
def client(live_server_asgi: str, token: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}
    with httpx.Client(verify=False, base_url=live_server_asgi, headers=headers, timeout=PATIENCE) as client:
        yield client


def test_a_persisted_document_is_asked_for_by_post_and_by_get(client: httpx.Client) -> None:
    assert persist_documents(texts=[QUERY]) == {DIGEST: True}
    assert persist_documents(texts=[QUERY]) == {DIGEST: False}
    assert client.get("/graphql/", params=ASKED).json() == ANSWER
    assert client.post("/graphql/", json={"documentId": ID, "variables": {"tag": "P"}}).json() == ANSWER
    assert client.get("/graphql/", params={**ASKED, "operationName": "Name"}).json() == ANSWER


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        ({"documentId": "sha256:" + "0" * 64}, 404, f"There is no document sha256:{'0' * 64}"),
        ({"documentId": DIGEST}, 400, "'sha256:' and 64 digits"),
        ({"documentId": "sha256:" + DIGEST.upper()}, 400, "'sha256:' and 64 digits"),
        ({"documentId": 7}, 400, "'sha256:' and 64 digits"),
        ({"documentId": ID, "query": QUERY}, 400, "either 'query' or 'documentId'"),
        ({"documentId": None}, 400, "'query'"),
    ],
)
def test_an_id_that_names_no_document_is_refused(client: httpx.Client, content: Any, status: int, message: str) -> None:
    persist_documents(texts=[QUERY])
    answer = client.post("/graphql/", json=content)
    assert (answer.status_code, list(answer.json())) == (status, ["errors"])
    assert message in answer.json()["errors"][0]["message"]


def test_a_persisted_document_obeys_the_limits_and_the_schema_of_now(client: httpx.Client) -> None:
    for text, status in [("{ __schema { description } }", 403), ("{ gone }", 200), ("mutation { __typename }", 405)]:
        (digest,) = persist_documents(texts=[text])
        answer = client.get("/graphql/", params={"documentId": f"sha256:{digest}"})
        assert (answer.status_code, list(answer.json())) == (status, ["errors"])


def test_only_persisted_documents_where_that_is_set(client: httpx.Client, settings: Any) -> None:
    settings.TWINS = {**settings.TWINS, "DOCUMENTS": "persisted"}
    persist_documents(texts=[QUERY])
    refused = client.post("/graphql/", json={"query": QUERY, "variables": {"tag": "P"}})
    assert (refused.status_code, list(refused.json())) == (403, ["errors"])
    assert client.get("/graphql/", params=ASKED).json() == ANSWER
    _, developer = create_token(name="dev", scopes=["read", "introspect"])
    headers = {"Authorization": f"Bearer {developer}"}
    content = {"query": QUERY, "variables": {"tag": "P"}}
    assert client.post("/graphql/", json=content, headers=headers).json() == ANSWER


def test_a_socket_asks_for_persisted_documents_too(client: httpx.Client, token: str, settings: Any) -> None:
    settings.TWINS = {**settings.TWINS, "DOCUMENTS": "persisted"}
    digests = persist_documents(texts=[QUERY, SUBSCRIPTION])
    asked: dict[str, Any] = {
        "query": {"documentId": ID, "variables": {"tag": "P"}},
        "live": {"documentId": f"sha256:{next(digest for digest in digests if digest != DIGEST)}"},
        "text": {"query": QUERY, "variables": {"tag": "P"}},
    }

    async def story() -> dict[str, Any]:
        address = str(client.base_url).replace("http", "ws") + "/graphql/"
        async with websockets.connect(address, subprotocols=[websockets.Subprotocol("graphql-transport-ws")]) as live:
            await live.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}))
            await live.recv()
            for name, payload in asked.items():
                await live.send(json.dumps({"type": "subscribe", "id": name, "payload": payload}))
            told = [json.loads(await asyncio.wait_for(live.recv(), PATIENCE)) for _ in range(4)]
            return {message["id"]: message for message in told if message["type"] != "complete"}

    told = asyncio.run(story())
    assert told["query"]["payload"] == ANSWER
    assert told["live"]["payload"] == {"data": {"readings": []}}
    assert (told["text"]["type"], "Only persisted" in told["text"]["payload"][0]["message"]) == ("error", True)


def test_the_command_persists_documents_and_manifests(client: httpx.Client, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "one.graphql").write_text(QUERY)
    manifest = {hashlib.sha256(text.encode()).hexdigest(): text for text in (QUERY, SUBSCRIPTION)}
    (tmp_path / "two.json").write_text(json.dumps(manifest))
    call_command("persist_documents", str(tmp_path / "one.graphql"))
    call_command("persist_documents", str(tmp_path / "two.json"))
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == ID
    assert sorted(rest) == sorted(
        f"sha256:{digest}" + ("   (known)" if digest == DIGEST else "") for digest in manifest
    )
    assert dict(PersistedDocument.objects.values_list("digest", "text")) == manifest


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.graphql", "{ nothing }", "Cannot query field 'nothing'"),
        ("a.graphql", "{", "Syntax Error"),
        ("a.json", "[]", "is no manifest"),
        ("a.json", "{", "cannot be read"),
        ("a.json", json.dumps({"0" * 64: QUERY}), "is not the SHA-256 of its text"),
        ("a.json", json.dumps({DIGEST: QUERY, "x": 1}), "is no manifest"),
    ],
)
@pytest.mark.django_db
def test_what_cannot_be_persisted_is_refused_whole(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / "good.graphql").write_text(QUERY)
    (tmp_path / name).write_text(content)
    with pytest.raises(CommandError, match=message):
        call_command("persist_documents", str(tmp_path / "good.graphql"), str(tmp_path / name))
    assert not PersistedDocument.objects.exists()


def test_an_answer_to_get_is_kept_by_its_client_alone(client: httpx.Client) -> None:
    persist_documents(texts=[QUERY])
    first = client.get("/graphql/", params=ASKED)
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert {"Authorization", "Cookie", "Accept", "Origin"} <= set(first.headers["Vary"].split(", "))
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')
    for known in (tag, f'W/"other", {tag}'):
        again = client.get("/graphql/", params=ASKED, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    other = client.get("/graphql/", params={**ASKED, "variables": '{"tag": "B01"}'}, headers={"If-None-Match": tag})
    assert (other.status_code, other.json()) == (200, {"data": {"twin": {"name": "bearing"}}})


def test_a_change_gives_the_answer_another_tag(client: httpx.Client) -> None:
    from assets.models import Asset

    persist_documents(texts=[QUERY])
    tag = client.get("/graphql/", params=ASKED).headers["ETag"]
    Asset.objects.filter(tag="P").update(name="works")
    answer = client.get("/graphql/", params=ASKED, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.json()) == (200, {"data": {"twin": {"name": "works"}}})


def test_nothing_else_is_kept(client: httpx.Client) -> None:
    persist_documents(texts=[QUERY])
    posted = client.post("/graphql/", json={"documentId": ID, "variables": {"tag": "P"}})
    refused = client.get("/graphql/", params={"documentId": "sha256:" + "0" * 64})
    for answer in (posted, refused):
        assert (answer.headers["Cache-Control"], "ETag" in answer.headers) == ("no-store", False)


LONG = {"query": '{ system(tag: "P") { children(first: 40) { nodes { id tag name level path } } } }'}


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.2", True),
        ("*", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("br", False),
        ("gzip;q=x", False),
    ],
)
def test_a_long_answer_is_compressed_for_who_reads_it(client: httpx.Client, accepted: str, packed: bool) -> None:
    plain = client.post("/graphql/", json=LONG).content
    with client.stream("POST", "/graphql/", json=LONG, headers={"Accept-Encoding": accepted}) as answer:
        body = b"".join(answer.iter_raw())
    assert (answer.headers.get("Content-Encoding") == "gzip") is packed
    assert (gzip.decompress(body) if packed else body) == plain
    assert int(answer.headers["Content-Length"]) == len(body)
    assert "Accept-Encoding" in answer.headers["Vary"]


def test_a_short_answer_is_not_compressed(client: httpx.Client) -> None:
    answer = client.post("/graphql/", json={"query": "{ __typename }"}, headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in answer.headers


APP = "https://app.plant.example"


@pytest.fixture
def origins(settings: Any) -> None:
    settings.TWINS = {**settings.TWINS, "ORIGINS": [APP, "https://*.wide.example:8443"]}


@pytest.mark.parametrize("origin", [APP, "https://a.b.wide.example:8443"])
def test_scripts_of_an_allowed_origin_may_ask(client: httpx.Client, origins: None, origin: str) -> None:
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    preflight = client.options("/graphql/", headers={"Origin": origin, **asking})
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["Access-Control-Allow-Origin"] == origin
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, OPTIONS, POST"
    assert {"Authorization", "Content-Type"} <= set(preflight.headers["Access-Control-Allow-Headers"].split(", "))
    answer = client.post("/graphql/", json={"query": "{ __typename }"}, headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in answer.headers["Vary"]
    refused = client.post("/graphql/", content=b"", headers={"Origin": origin})
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (415, origin)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.plant.example",
        "https://app.plant.example:444",
        "https://app.plant.example.evil.example",
        "https://xapp.plant.example",
        "https://a.wide.example",
        "null",
        "",
        "*",
    ],
)
def test_scripts_of_any_other_origin_get_no_permission(client: httpx.Client, origins: None, origin: str) -> None:
    for answer in (
        client.options("/graphql/", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}),
        client.post("/graphql/", json={"query": "{ __typename }"}, headers={"Origin": origin}),
    ):
        assert [name for name in answer.headers if name.startswith("access-control")] == []
        assert "Origin" in answer.headers["Vary"]


def test_without_the_setting_nobody_else_may_ask(client: httpx.Client) -> None:
    answer = client.options("/graphql/", headers={"Origin": APP, "Access-Control-Request-Method": "POST"})
    assert [name for name in answer.headers if name.startswith("access-control")] == []


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [(APP, True), ("{base}", True), (None, True), ("https://evil.example", False), ("null", False)],
)
def test_a_socket_heeds_the_same_list(
    live_server_asgi: str, token: str, origins: None, origin: str | None, welcome: bool
) -> None:
    async def story() -> None:
        protocol = websockets.Subprotocol("graphql-transport-ws")
        sent: Any = origin and origin.format(base=live_server_asgi)
        address = live_server_asgi.replace("http", "ws") + "/graphql/"
        async with websockets.connect(address, subprotocols=[protocol], origin=sent) as live:
            await live.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}))
            if welcome:
                assert json.loads(await live.recv()) == {"type": "connection_ack"}
            else:
                await asyncio.wait_for(live.wait_closed(), PATIENCE)
                assert (live.close_code, "ORIGINS" in (live.close_reason or "")) == (4403, True)

    asyncio.run(story())


@pytest.mark.parametrize("value", ["https://app.example", ["*"], ["app.example"], ["https://app.example/"], [7]])
def test_what_is_no_list_of_origins_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="TWINS\\['ORIGINS'\\] has"):
        read_settings({"REDIS_URL": "redis://x", "LAKE": "lake", "ORIGINS": value})


@pytest.mark.parametrize(
    ("name", "value"), [("DOCUMENTS", "some"), ("QUERY_RATE", 0), ("QUERY_SECONDS", "1"), ("ANSWER_MAX_BYTES", True)]
)
def test_a_bound_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"TWINS\\['{name}'\\] is "):
        read_settings({"REDIS_URL": "redis://x", "LAKE": "lake", name: value})


def test_the_schema_is_exported_as_it_is_committed(tmp_path: Path, capsys: Any) -> None:
    committed = (Path(__file__).parents[3] / "twins" / "graphql" / "schema.graphql").read_text()
    call_command("export_schema")
    assert capsys.readouterr().out == committed
    call_command("export_schema", "--output", str(tmp_path / "schema.graphql"))
    assert (tmp_path / "schema.graphql").read_text() == committed
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export_schema", "--output", str(tmp_path / "no" / "schema.graphql"))
