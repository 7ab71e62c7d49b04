"""GraphQL over HTTP, over a real socket: who may ask, in which form, and what the answers look like."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.waiting import PATIENCE
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
    with httpx.Client(verify=False, base_url=base, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def client(anonymous: httpx.Client) -> httpx.Client:
    anonymous.headers["Authorization"] = f"Bearer {create_token(name='app', scopes=['read'])[1]}"
    return anonymous


@pytest.fixture
def developer(anonymous: httpx.Client) -> httpx.Client:
    """With a token that may read the schema as well."""
    anonymous.headers["Authorization"] = f"Bearer {create_token(name='dev', scopes=['read', 'introspect'])[1]}"
    return anonymous


def sign_in(client: httpx.Client, *, staff: bool) -> httpx.Client:
    from django.contrib.auth import get_user_model
    from django.test import Client

    from assets.services import give_role

    session, ada = Client(), get_user_model().objects.create_user("ada", is_staff=staff)
    give_role(role="viewer", user=ada)
    session.force_login(ada)
    client.cookies.set("sessionid", session.cookies["sessionid"].value)
    return client


@pytest.fixture
def browser(anonymous: httpx.Client) -> httpx.Client:
    """Signed in as a member of staff, as a browser is."""
    return sign_in(anonymous, staff=True)


def test_a_query_is_answered_by_post_and_by_get(developer: httpx.Client) -> None:
    posted = developer.post("/graphql/", json={"query": QUERY})
    assert (posted.status_code, posted.json()) == (200, ANSWER)
    assert posted.headers["Content-Type"] == "application/json"
    assert developer.get("/graphql/", params={"query": QUERY}).json() == ANSWER


def test_the_text_of_a_document_comes_by_get_only_from_who_may_read_the_schema(client: httpx.Client) -> None:
    answer = client.get("/graphql/", params={"query": QUERY})
    assert (answer.status_code, "'introspect'" in answer.json()["errors"][0]["message"]) == (403, True)
    assert "plant" not in answer.text


def test_a_mutation_or_subscription_does_not_come_by_get(developer: httpx.Client) -> None:
    answer = developer.get("/graphql/", params={"query": "mutation { __typename }"})
    assert (answer.status_code, answer.headers["Allow"], answer.json().get("data")) == (405, "POST", None)
    answer = developer.get("/graphql/", params={"query": "subscription { readings { value } }"})
    assert (answer.status_code, "WebSocket" in answer.text) == (400, True)


def test_variables_and_the_name_of_the_operation_are_heard(developer: httpx.Client) -> None:
    client = developer
    query = "query A($t: String!) { twin(tag: $t) { name } } query B { __typename }"
    content = {"query": query, "variables": {"t": "P"}, "operationName": "A"}
    assert client.post("/graphql/", json=content).json() == ANSWER
    params = {**content, "variables": json.dumps(content["variables"])}
    assert client.get("/graphql/", params=params).json() == ANSWER
    ambiguous = client.post("/graphql/", json={"query": query}).json()
    assert ("data" in ambiguous, len(ambiguous["errors"])) == (False, 1)


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
        (b"[" * 50_000, 400, "nested deeper than 64"),
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
        (b'{"query": "{ __typename }", "extensions": [1]}', 400, "'extensions'"),
        (b'\xef\xbb\xbf{"query": "{ __typename }"}', 400, "not JSON"),
        ('{"query": "{ __typename }"}'.encode("utf-16"), 400, "not JSON"),
        (b'{"query": "query($i: ID!) { node(id: $i) { id } }", "variables": {"i": null}}', 200, "invalid value"),
        (b'{"query": "' + b"{" * 100_000 + b'"}', 200, "Syntax Error"),
        (b'{"query": "' + b"x" * 262_144 + b'"}', 413, "larger than 262144 bytes"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_cannot_be_executed_is_told_why(client: httpx.Client, content: bytes, status: int, message: str) -> None:
    answer = client.post("/graphql/", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert message in answer.json()["errors"][0]["message"]
    assert answer.json().get("data") is None


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
    ],
)
def test_only_json_in_utf_8_is_read(client: httpx.Client, kind: str) -> None:
    answer = client.post("/graphql/", content=b'{"query": "{ __typename }"}', headers={"Content-Type": kind})
    assert (answer.status_code, "application/json" in answer.text) == (415, True)


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", 'APPLICATION/JSON; charset="UTF-8"'])
def test_json_may_say_that_it_is_utf_8(client: httpx.Client, kind: str) -> None:
    content = '{"query": "{ twin(tag: \\"Süd\\") { tag } }"}'.encode()
    assert client.post("/graphql/", content=content, headers={"Content-Type": kind}).json() == {"data": {"twin": None}}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("query=%7B__typename%7D&variables=%7B", "The variables is not JSON"),
        ("query=%7B__typename%7D&variables=7", "'variables'"),
        ("query=%7B__typename%7D&extensions=7", "'extensions'"),
        ("query=%ff", "cannot be read"),
        ("query=%7Ba%7D&query=%7Bb%7D", "stands twice"),
        ("query=", "'query'"),
        ("query=%7B__typename%7D" + "&a=1" * 60, "cannot be read"),
    ],
)
def test_what_a_get_cannot_mean_is_told(developer: httpx.Client, query: str, message: str) -> None:
    answer = developer.get(f"/graphql/?{query}")
    assert (answer.status_code, message in answer.json()["errors"][0]["message"]) == (400, True)


def test_empty_parameters_are_none(developer: httpx.Client) -> None:
    answer = developer.get("/graphql/?query=%7B__typename%7D&variables=&operationName=&extensions=")
    assert answer.json() == {"data": {"__typename": "Query"}}


def test_other_methods_are_refused(client: httpx.Client) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        answer = client.request(method, "/graphql/")
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, OPTIONS, POST")
        assert answer.json()["errors"][0]["message"] == f"{method} is not answered here: use POST."


JSON, RESPONSE = "application/json", "application/graphql-response+json; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        ("application/graphql-response+json", RESPONSE),
        ("Application/GraphQL-Response+JSON;Charset=UTF-8", RESPONSE),
        ("application/graphql-response+json, application/json", RESPONSE),
        ("application/json, application/graphql-response+json", RESPONSE),
        ("application/graphql-response+json, application/json;q=0.9", RESPONSE),
        ("application/graphql-response+json;q=0.5, application/json", JSON),
        ("application/graphql-response+json;q=0, */*", JSON),
        ("application/json;q=0, */*;q=0.1", RESPONSE),
        ("text/html, application/graphql-response+json;q=0.1", RESPONSE),
        ("text/html, */*;q=0.1", JSON),
        ("text/html", None),
        ("application/json;q=0", None),
        ("image/*;q=nonsense, text/plain", None),
    ],
)
def test_the_answer_is_of_the_type_that_is_preferred(client: httpx.Client, accept: str, kind: str | None) -> None:
    good = client.post("/graphql/", json={"query": QUERY}, headers={"Accept": accept})
    if kind is None:
        assert (good.status_code, "data" in good.json()) == (406, False)
        return
    assert (good.status_code, good.headers["Content-Type"], good.json()) == (200, kind, ANSWER)
    bad = client.post("/graphql/", json={"query": "{ nothing }"}, headers={"Accept": accept})
    assert (bad.status_code, bad.headers["Content-Type"]) == (400 if kind == RESPONSE else 200, kind)
    assert list(bad.json()) == ["errors"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({"query": "{"}, 400),
        ({"query": "{ nothing }"}, 400),
        ({"query": "query($i: ID!) { node(id: $i) { id } }"}, 400),
        ({"query": '{ twin(tag: "P") { name } node(id: "x") { id } }'}, 200),
        ({"query": "{ __schema { description } }"}, 403),
    ],
)
def test_the_newer_type_says_by_its_status_whether_anything_was_executed(
    client: httpx.Client, content: Any, status: int
) -> None:
    answer = client.post("/graphql/", json=content, headers={"Accept": RESPONSE})
    assert (answer.status_code, "data" in answer.json(), len(answer.json()["errors"])) == (status, status == 200, 1)
    assert answer.headers["Content-Type"] == RESPONSE


def test_what_is_not_allowed_or_too_much_is_refused_in_both_types(client: httpx.Client) -> None:
    for query, status in [("{ __schema { description } }", 403), ("{ systems(first: -1) { totalCount } }", 400)]:
        for kind in (JSON, RESPONSE):
            answer = client.post("/graphql/", json={"query": query}, headers={"Accept": kind})
            assert (answer.status_code, list(answer.json())) == (status, ["errors"])


PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_a_stranger_s_browser_is_led_to_the_login_and_back(anonymous: httpx.Client) -> None:
    answer = anonymous.get("/graphql/?q=1", headers=PAGE)
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/admin/login/?next=/graphql/%3Fq%3D1"


def test_a_browser_that_is_signed_in_gets_the_page(browser: httpx.Client) -> None:
    answer = browser.get("/graphql/", headers=PAGE)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_the_page_needs_and_gets_nothing_from_elsewhere(browser: httpx.Client) -> None:
    page = browser.get("/graphql/", headers=PAGE)
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert addresses == ["data:,", "/static/twins/console.css", "/static/twins/console.js"]
    policy = dict(rule.split(" ", 1) for rule in page.headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "data:",
        "connect-src": "'self'", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
    }  # fmt: skip
    files = [browser.get(address) for address in addresses[1:]]
    assert [file.headers["Content-Type"].split(";")[0] for file in files] == ["text/css", "text/javascript"]
    assert [text for text in (page.text, *(file.text for file in files)) if "//" in text.replace("<!--", "")] == []


def test_the_page_is_for_those_who_may_read_the_schema(client: httpx.Client) -> None:
    assert client.get("/graphql/", headers={"Accept": "text/html"}).status_code == 406  # a token has no use for it
    del client.headers["Authorization"]
    answer = sign_in(client, staff=False).get("/graphql/", headers=PAGE)
    assert (answer.status_code, "'introspect'" in answer.text) == (403, True)


def test_a_link_does_not_make_a_session_ask(browser: httpx.Client) -> None:
    params = {"query": QUERY}
    assert browser.get("/graphql/", params=params).status_code == 403
    assert browser.get("/graphql/", params=params, headers={"X-CSRFToken": "a" * 32}).status_code == 403
    assert browser.get("/graphql/", params=params, headers={"X-Requested-With": "x"}).json() == ANSWER
    assert browser.get("/graphql/", headers=PAGE, params={"query": QUERY}).status_code == 403


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
