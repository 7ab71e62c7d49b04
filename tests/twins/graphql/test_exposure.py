"""What graphql-cop looks for, asked over a real socket by nobody and by a token that may only read: none is weak.

Each check is the tool's: the same request, judged the way it judges the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.waiting import PATIENCE
from twins.services.tokens import create_token

Check = Callable[[httpx.Client], bool]


def _ask(client: httpx.Client, query: str) -> Any:
    answer = client.post("/graphql/", json={"query": query, "operationName": "cop"}, follow_redirects=True)
    assert answer.status_code in (200, 400, 401, 403)
    return answer.json()


def _data(content: Any) -> Any:
    return content.get("data") or {} if isinstance(content, dict) else {}


def _suggests(client: httpx.Client) -> bool:
    content = _ask(client, "query cop { __schema { directive } }")
    return "Did you mean" in str(content) or "Did you mean" in str(_ask(client, "query cop { sistems { nodes } }"))


def _introspects(client: httpx.Client) -> bool:
    return bool(_data(_ask(client, "query cop { __schema { types { name fields { name } } } }")).get("__schema"))


def _shows_a_page(client: httpx.Client) -> bool:
    answer = client.get("/graphql/", headers={"Accept": "text/html"}, follow_redirects=True)
    return any(word in answer.text for word in ("graphiql.min", "GraphQL Playground", "GraphiQL", "console.js"))


def _answers_get(client: httpx.Client) -> bool:
    return bool(_data(client.get("/graphql/", params={"query": "query cop {__typename}"}).json()))


def _mutates_by_get(client: httpx.Client) -> bool:
    return bool(_data(client.get("/graphql/", params={"query": "mutation cop {__typename}"}).json()))


def _takes_100_aliases(client: httpx.Client) -> bool:
    aliases = " ".join(f"alias{i}:__typename" for i in range(101))
    return "alias100" in _data(_ask(client, f"query cop {{ {aliases} }}"))


def _takes_batches(client: httpx.Client) -> bool:
    answer = client.post("/graphql/", json=[{"query": "query cop { __typename }"}] * 10)
    return answer.status_code == 200 or len(answer.json()) >= 10


def _traces(client: httpx.Client) -> bool:
    return "tracing" in str(_ask(client, "query cop { __typename }")).lower()


def _answers_each_directive(client: httpx.Client) -> bool:
    return len(_ask(client, "query cop { __typename " + "@aa" * 10 + " }").get("errors", [])) == 10


def _introspects_in_circles(client: httpx.Client) -> bool:
    circles = "fields { type { " * 4 + "name" + " } }" * 4
    return bool(_data(_ask(client, f"query cop {{ __schema {{ types {{ {circles} }} }} }}")).get("__schema"))


def _takes_forms(client: httpx.Client) -> bool:
    return bool(_data(client.post("/graphql/", data={"query": "query cop { __typename }"}).json()))


def _shows_exceptions(client: httpx.Client) -> bool:
    return "exception" in str(_ask(client, "qwerty cop { abc }")).lower()


def _takes_500_times_the_same(client: httpx.Client) -> bool:
    return bool(_data(_ask(client, "query cop { " + "__typename \n" * 500 + "}")))


CHECKS: dict[str, Check] = {
    "field suggestions": _suggests,
    "introspection": _introspects,
    "GraphQL IDE": _shows_a_page,
    "GET method query support": _answers_get,
    "mutation over GET": _mutates_by_get,
    "alias overloading": _takes_100_aliases,
    "array-based query batching": _takes_batches,
    "trace mode": _traces,
    "directive overloading": _answers_each_directive,
    "introspection-based circular query": _introspects_in_circles,
    "POST based url-encoded query": _takes_forms,
    "unhandled errors": _shows_exceptions,
    "field duplication": _takes_500_times_the_same,
}


@pytest.mark.parametrize("scopes", [(), ("read",)], ids=["nobody", "reader"])
def test_no_check_of_graphql_cop_finds_a_weakness(live_server_asgi: str, scopes: tuple[str, ...]) -> None:
    headers = {"Authorization": f"Bearer {create_token(name='cop', scopes=scopes)[1]}"} if scopes else {}
    with httpx.Client(verify=False, base_url=live_server_asgi, headers=headers, timeout=PATIENCE) as client:
        assert [name for name, check in CHECKS.items() if check(client)] == []


def test_the_checks_can_tell_a_weakness(live_server_asgi: str) -> None:
    """With the right to read the schema, what is open to it is seen by the same checks."""
    _, token = create_token(name="dev", scopes=["read", "introspect"])
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(verify=False, base_url=live_server_asgi, headers=headers, timeout=PATIENCE) as client:
        seen = [name for name, check in CHECKS.items() if check(client)]
    assert seen == ["field suggestions", "introspection", "GET method query support"]
