"""GraphQL over HTTP, over a real socket: who may ask, in which form, and what the answers look like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from twins.services.tokens import create_token

QUERY = '{ twin(tag: "P") { name } }'
ANSWER = {"data": {"twin": {"name": "plant"}}}


@pytest.fixture
def base(live_server_asgi: str) -> str:
    from assets.services import NewAsset, create_assets

    create_assets(rows=[NewAsset(tag="P", name="plant", level="system")])
    return live_server_asgi


@pytest.fixture
def anonymous(base: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base, timeout=30) as client:
        yield client


@pytest.fixture
def client(anonymous: httpx.Client) -> httpx.Client:
    anonymous.headers["Authorization"] = f"Bearer {create_token(name='app', scopes=['read'])[1]}"
    return anonymous


@pytest.fixture
def browser(anonymous: httpx.Client) -> httpx.Client:
    """Signed in, as a browser is."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    session = Client()
    session.force_login(get_user_model().objects.create_user("ada"))
    anonymous.cookies.set("sessionid", session.cookies["sessionid"].value)
    return anonymous


def test_a_query_is_answered_by_post_and_by_get(client: httpx.Client) -> None:
    posted = client.post("/graphql/", json={"query": QUERY})
    assert (posted.status_code, posted.json()) == (200, ANSWER)
    assert posted.headers["Content-Type"] == "application/json"
    assert client.get("/graphql/", params={"query": QUERY}).json() == ANSWER


def test_variables_and_the_name_of_the_operation_are_heard(client: httpx.Client) -> None:
    query = "query A($t: String!) { twin(tag: $t) { name } } query B { __typename }"
    content = {"query": query, "variables": {"t": "P"}, "operationName": "A"}
    assert client.post("/graphql/", json=content).json() == ANSWER
    params = {**content, "variables": json.dumps(content["variables"])}
    assert client.get("/graphql/", params=params).json() == ANSWER
    ambiguous = client.post("/graphql/", json={"query": query}).json()
    assert (ambiguous["data"], len(ambiguous["errors"])) == (None, 1)


@pytest.mark.parametrize("header", [None, "Bearer twins_wrong", "Token x", "Basic YTpi"])
def test_nobody_unknown_gets_an_answer(anonymous: httpx.Client, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    for answer in (
        anonymous.post("/graphql/", json={"query": QUERY}, headers=headers),
        anonymous.get("/graphql/", params={"query": QUERY}, headers=headers),
    ):
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json()["errors"][0]["message"]
        assert "plant" not in answer.text


def test_a_token_that_may_only_send_readings_may_not_ask(anonymous: httpx.Client) -> None:
    _, sender = create_token(name="sender", scopes=["ingest"])
    answer = anonymous.post("/graphql/", json={"query": QUERY}, headers={"Authorization": f"Bearer {sender}"})
    assert answer.status_code == 403
    assert "'read'" in answer.json()["errors"][0]["message"]


def test_a_token_that_may_only_write_reads_nothing(anonymous: httpx.Client) -> None:
    _, writer = create_token(name="writer", scopes=["write"])
    answer = anonymous.post("/graphql/", json={"query": QUERY}, headers={"Authorization": f"Bearer {writer}"})
    assert "plant" not in answer.text
    assert "'read'" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b'{"query": NaN}', 400, "not JSON"),
        (b"[" * 50_000, 400, "not JSON"),
        (b'{"query": "\xff"}', 400, "not JSON"),
        (b"[]", 400, "one JSON object"),
        (b'[{"query": "{ __typename }"}]', 400, "one JSON object"),
        (b"{}", 400, "'query'"),
        (b'{"query": 7}', 400, "'query'"),
        (b'{"query": "  "}', 400, "'query'"),
        (b'{"query": "{ __typename }", "variables": []}', 400, "'variables'"),
        (b'{"query": "{ __typename }", "operationName": 1}', 400, "'operationName'"),
        (b'{"query": "# only a comment"}', 200, "Syntax Error"),
        (b'{"query": "{ nothing }"}', 200, "Cannot query field"),
        (b'{"query": "fragment f on Query { __typename }"}', 400, "no such operation"),
        (b'{"query": "subscription { readings { value } }"}', 400, "WebSocket"),
        (b'{"query": "' + b"{" * 100_000 + b'"}', 200, ""),
        (b'{"query": "' + b"x" * 262_144 + b'"}', 413, "larger than 262144 bytes"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_cannot_be_executed_is_told_why(client: httpx.Client, content: bytes, status: int, message: str) -> None:
    answer = client.post("/graphql/", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert message in answer.json()["errors"][0]["message"]
    assert answer.json().get("data") is None


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_only_json_is_read(client: httpx.Client, kind: str) -> None:
    answer = client.post("/graphql/", content=b'{"query": "{ __typename }"}', headers={"Content-Type": kind})
    assert (answer.status_code, "application/json" in answer.text) == (415, True)


def test_broken_variables_of_a_get_are_told(client: httpx.Client) -> None:
    answer = client.get("/graphql/", params={"query": QUERY, "variables": "{"})
    assert (answer.status_code, "variables" in answer.text) == (400, True)


def test_other_methods_are_refused(client: httpx.Client) -> None:
    assert [client.request(method, "/graphql/").status_code for method in ("PUT", "DELETE", "PATCH")] == [405] * 3


def test_a_client_that_prefers_the_new_media_type_gets_it_with_its_status(client: httpx.Client) -> None:
    kind = "application/graphql-response+json"
    headers = {"Accept": f"{kind}, application/json;q=0.5"}
    good = client.post("/graphql/", json={"query": QUERY}, headers=headers)
    assert (good.status_code, good.headers["Content-Type"], good.json()) == (200, kind, ANSWER)
    bad = client.post("/graphql/", json={"query": "{ nothing }"}, headers=headers)
    assert (bad.status_code, bad.headers["Content-Type"]) == (400, kind)


PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_a_stranger_s_browser_is_led_to_the_login_and_back(anonymous: httpx.Client) -> None:
    answer = anonymous.get("/graphql/?q=1", headers=PAGE)
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/admin/login/?next=/graphql/%3Fq%3D1"


def test_a_browser_that_is_signed_in_gets_the_page(browser: httpx.Client) -> None:
    answer = browser.get("/graphql/", headers=PAGE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert '"X-Requested-With": "GraphiQL"' in answer.text


def test_the_page_brings_its_stand_in_for_a_network_without_internet(browser: httpx.Client) -> None:
    page = browser.get("/graphql/", headers=PAGE).text
    stand_in = page.index('<script src="/static/twins/console.js">')
    assert stand_in < page.index("https://unpkg.com/")  # else it would wait behind what does not come
    script = browser.get("/static/twins/console.js")
    assert script.headers["Content-Type"].startswith("text/javascript")
    assert "https://" not in script.text


def test_a_session_asks_by_post_only_with_a_proof_that_it_was_meant(browser: httpx.Client) -> None:
    content = {"query": QUERY}
    assert browser.post("/graphql/", json=content).status_code == 403
    assert browser.post("/graphql/", json=content, headers={"X-Requested-With": "GraphiQL"}).json() == ANSWER
    forged = {"X-Requested-With": "x", "Origin": "https://evil.example"}
    assert browser.post("/graphql/", json=content, headers=forged).status_code == 403
    browser.cookies.set("csrftoken", "a" * 32)
    assert browser.post("/graphql/", json=content, headers={"X-CSRFToken": "a" * 32}).json() == ANSWER


def test_a_session_of_a_user_who_was_deactivated_is_nobody(browser: httpx.Client) -> None:
    from django.contrib.auth import get_user_model

    get_user_model().objects.update(is_active=False)
    assert browser.get("/graphql/", params={"query": QUERY}).status_code == 401


def test_an_unexpected_error_is_masked_and_logged_under_its_id(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ValueError("secret address")

    monkeypatch.setattr("twins.graphql.context.Context.visible", fail)
    error = client.post("/graphql/", json={"query": QUERY}).json()["errors"][0]
    assert "secret" not in json.dumps(error)
    assert error["extensions"]["reference"] in caplog.text
