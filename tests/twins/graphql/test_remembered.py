"""What is remembered of a question and of who asks it never answers another one: not another's, not yesterday's.

Over a real socket, because that is where tokens are remembered, statements prove who asks and plans are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets.models import Asset, Sensor
from assets.services import NewAsset, create_assets, create_sensors, give_role, take_role
from tests.waiting import PATIENCE
from twins.models.access import ApiToken
from twins.services import principals
from twins.services.tokens import create_token, revoke_token

PLANNED = "query Seen($tag: String!) { twin(tag: $tag) { tag children { nodes { tag } } } }"
ORDINARY = """query Seen($tag: String!) { twin(tag: $tag) { tag children { nodes { tag } }
    sensors { nodes { series(last: "PT1H") { count } } } } }"""
LATEST = '{ worst { totalCount } twin(tag: "A1") { sensors { nodes { latest { value } } } } }'
A1 = {"tag": "A1", "children": {"nodes": []}}
ROADS = pytest.mark.parametrize("query", [PLANNED, ORDINARY], ids=["planned", "ordinary"])


class Client:
    """Asks with one token after the other."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def answer(self, token: str, query: str, **fields: Any) -> httpx.Response:
        content = {"query": query, **fields}
        return self._http.post("/graphql/", json=content, headers={"Authorization": f"Bearer {token}"})

    def twin(self, token: str, query: str, tag: str) -> Any:
        content = self.answer(token, query, variables={"tag": tag}).json()
        assert "errors" not in content, content
        twin = content["data"]["twin"]
        return twin and {"tag": twin["tag"], "children": twin["children"]}


@pytest.fixture
def client(live_server_asgi: str) -> Iterator[Client]:
    """Of two plants, A over A1 and B over B1."""
    for top in ("A", "B"):
        rows = [NewAsset(tag=top, name=top, level="system")]
        create_assets(rows=[*rows, NewAsset(tag=f"{top}1", name="part", level="part", parent=top)])
    with httpx.Client(verify=False, base_url=live_server_asgi, timeout=PATIENCE) as http:
        yield Client(http)


def _user(name: str, *tops: str) -> Any:
    user = get_user_model().objects.create_user(name)
    for top in tops:
        give_role(role="viewer", user=user, asset=Asset.objects.get(tag=top))
    return user


def _token(name: str, user: Any = None, *, scopes: list[str] | None = None) -> str:
    return create_token(name=name, scopes=scopes or ["read"], user=user)[1]


@ROADS
def test_each_token_sees_its_own_however_they_take_turns(client: Client, query: str) -> None:
    tokens = {
        "a": _token("a", _user("ann", "A")), "b": _token("b", _user("bob", "B")), "all": _token("all"),
        "none": _token("none", _user("nan")), "root": _token("root", get_user_model().objects.create_superuser("root")),
    }  # fmt: skip
    seen = {"a": {"A1"}, "b": {"B1"}, "all": {"A1", "B1"}, "none": set(), "root": {"A1", "B1"}}
    for _ in range(3):
        for (name, token), tag in product(tokens.items(), ("A1", "B1", "B1", "A1")):
            wanted = {"tag": tag, "children": {"nodes": []}} if tag in seen[name] else None
            assert client.twin(token, query, tag) == wanted, (name, tag)


@ROADS
def test_a_token_that_is_revoked_is_refused_at_once(client: Client, query: str) -> None:
    token = _token("a", _user("ann", "A"))
    for _ in range(3):
        assert client.twin(token, query, "A1") == A1
    revoke_token(name="a")
    answer = client.answer(token, query, variables={"tag": "A1"})
    assert (answer.status_code, list(answer.json()), "A1" in answer.text) == (401, ["errors"], False)


@ROADS
def test_rights_hold_from_the_moment_they_change(client: Client, query: str) -> None:
    user, group, plant = _user("ann"), Group.objects.create(name="crew"), Asset.objects.get(tag="A")
    token = _token("a", user)

    def sees() -> bool:
        found = client.twin(token, query, "A1")
        assert found in (None, A1)
        return found is not None

    assert not sees()
    grant = give_role(role="viewer", user=user, asset=plant)
    assert sees()
    take_role(grant=grant)
    assert not sees()
    of_group = give_role(role="viewer", group=group, asset=plant)
    assert not sees()
    user.groups.add(group)
    assert sees()
    user.groups.remove(group)
    assert not sees()
    user.is_superuser = True
    user.save()
    assert sees()
    user.is_superuser = False
    user.save()
    assert not sees()
    user.groups.add(group)
    give_role(role="viewer", user=user, asset=Asset.objects.get(tag="B"))
    assert sees()
    take_role(grant=of_group)
    assert not sees()


@ROADS
def test_a_user_who_is_deactivated_is_refused_at_once(client: Client, query: str) -> None:
    user = _user("ann", "A")
    token = _token("a", user)
    assert client.twin(token, query, "A1") == A1
    user.is_active = False
    user.save()
    assert client.answer(token, query, variables={"tag": "A1"}).status_code == 401


@ROADS
def test_a_scope_that_is_taken_is_gone_at_once(client: Client, query: str) -> None:
    token = _token("a")
    assert client.twin(token, query, "A1") == A1
    ApiToken.objects.filter(name="a").update(scopes=["ingest"])
    answer = client.answer(token, query, variables={"tag": "A1"})
    assert (answer.status_code, "A1" in answer.text) == (403, False)
    ApiToken.objects.filter(name="a").update(scopes=["write"])
    answer = client.answer(token, query, variables={"tag": "A1"})
    assert ("'read'" in answer.text, "A1" in answer.text) == (True, False)


def test_a_right_to_the_schema_is_nobody_elses(client: Client) -> None:
    developer, reader = _token("dev", scopes=["read", "introspect"]), _token("app")
    told, wrong = "{ __schema { queryType { name } } systems { totalCount } }", "{ sistems { totalCount } }"
    for _ in range(2):
        assert client.answer(developer, told).json()["data"]["__schema"] == {"queryType": {"name": "Query"}}
        assert client.answer(reader, told).status_code == 403
        assert "Did you mean" in client.answer(developer, wrong).text
        assert "Did you mean" not in client.answer(reader, wrong).text


def test_a_question_that_comes_again_is_one_statement(client: Client) -> None:
    token, cost = _token("a", _user("ann", "A")), {"extensions": {"cost": True}}
    counts = [client.answer(token, LATEST, **cost).json()["extensions"]["cost"] for _ in range(4)]
    assert [each["statements"] for each in counts[1:]] == [2, 2, 2]
    counts = [client.answer(token, PLANNED, variables={"tag": tag}, **cost).json() for tag in ("A1", "B1", "A", "x")]
    assert [each["extensions"]["cost"]["statements"] for each in counts] == [1, 1, 1, 1]


VARIED = """query Varied($tag: String = "A", $n: Int = 1, $yes: Boolean! = true, $after: String, $where: TwinFilter,
    $order: TwinOrderBy, $level: Level) {
  twin(tag: $tag) @include(if: $yes) { tag children(first: $n, after: $after, where: $where, orderBy: $order) {
    totalCount nodes { tag level @skip(if: $yes) } pageInfo { hasNextPage endCursor } } }
  worst(level: $level, first: $n) { totalCount } }"""
GIVEN: list[dict[str, Any]] = [
    {}, {"tag": "A"}, {"tag": "B"}, {"tag": None}, {"tag": 1}, {"tag": "no\x00"}, {"tag": "A' or true --"}, {"n": 2},
    {"n": 2.0}, {"n": 1.5}, {"n": True}, {"n": "2"}, {"n": None}, {"n": 0}, {"n": 1001}, {"n": [1]}, {"n": 10**30},
    {"yes": False}, {"yes": None}, {"yes": 1}, {"yes": "true"}, {"after": None}, {"after": ""}, {"after": "foreign"},
    {"after": "dGFnOjE6QTE="}, {"where": {}}, {"where": None}, {"where": {"levels": ["PART"]}}, {"where": []},
    {"where": {"levels": []}}, {"where": {"levels": ["part"]}}, {"where": {"tag": {"contains": "%"}}},
    {"where": {"tag": {"equals": "A1"}, "criticality": {"least": 3}}}, {"where": {"unknown": 1}},
    {"where": {"related": {"kinds": ["FEEDS"]}}}, {"order": {"field": "NAME", "descending": True}},
    {"order": {"field": "LATEST"}}, {"order": {"field": "LATEST", "sensor": "T' %s"}}, {"order": {}}, {"level": "PART"},
    {"level": "part"}, {"level": None}, {"other": 1},
]  # fmt: skip


def _told(answer: httpx.Response) -> Any:
    content = answer.json()
    for error in content.get("errors", ()):
        error.pop("locations", None)
    return answer.status_code, content


def test_whatever_is_given_for_a_variable_the_answer_is_that_of_its_own(client: Client) -> None:
    """Each alone is what a fresh document says, which differs by a comment only, so that nothing is kept of it."""
    rows = [NewAsset(tag=f"A{n}", name=f"part {9 - n}", level="part") for n in (2, 3)]
    create_assets(rows=rows, under=Asset.objects.get(tag="A"))
    token = _token("a", _user("ann", "A"))
    known = [GIVEN[(7 * place) % len(GIVEN)] for place in range(2 * len(GIVEN))]
    for place, variables in enumerate(known):
        own = client.answer(token, f"{VARIED} # {place}", variables=variables)
        kept = client.answer(token, VARIED, variables=variables)
        assert _told(kept) == _told(own), variables


def test_no_text_is_taken_for_a_parameter(client: Client) -> None:
    tags = ["%(p0)s", "%%(who0)s", "100%", "%s", "$1"]
    create_assets(rows=[NewAsset(tag=tag, name=tag, level="part") for tag in tags], under=Asset.objects.get(tag="A"))
    token = _token("a", _user("ann", "A"))
    for _ in range(3):
        for tag in tags:
            query = f"""query($t: String!) {{ own: twin(tag: "{tag}") {{ tag name }} given: twin(tag: $t) {{ tag name }}
                twin(tag: "A") {{ children(where: {{tag: {{equals: "{tag}"}}}}) {{ nodes {{ tag }} }} }} }}"""
            found = {"tag": tag, "name": tag}
            wanted = {"own": found, "given": found, "twin": {"children": {"nodes": [{"tag": tag}]}}}
            assert client.answer(token, query, variables={"t": tag}).json() == {"data": wanted}


def test_a_question_costs_what_its_own_variables_say(client: Client) -> None:
    token, cost = _token("a"), {"extensions": {"cost": True}}
    query = """query($n: Int, $m: Int) { systems(first: $n) { nodes { children(first: $m) {
        nodes { children(first: $m) { nodes { tag name level } } } } } } }"""
    sizes: list[Any] = [1, 2, 1000, 2.0, None, True, "1", 1001, 1, 0]
    for place, (n, m) in enumerate(product(sizes, sizes)):
        given = {"variables": {"n": n, "m": m}, **cost}
        own, kept = client.answer(token, f"{query} # {place}", **given), client.answer(token, query, **given)
        told = [_told(each) for each in (own, kept)]
        for _, content in told:
            content.get("extensions", {}).get("cost", {}).pop("milliseconds", None)
        assert told[0] == told[1], (n, m)
        assert kept.status_code == 400 or not (m == 1000 or {0, 1001} & {n, m}), (n, m)


def test_what_was_changed_and_what_came_in_is_seen_at_once(client: Client, accept: Any) -> None:
    from datetime import UTC, datetime, timedelta

    token = _token("a")
    (sensor,) = create_sensors(sensors=[Sensor(asset=Asset.objects.get(tag="A1"), name="T", quantity="x")])
    for value in range(5):
        accept([(sensor.pk, datetime(2026, 5, 1, tzinfo=UTC) + timedelta(hours=value), float(value))])
        told = client.answer(token, LATEST).json()["data"]["twin"]["sensors"]["nodes"]
        assert told == [{"latest": {"value": float(value)}}]
        Asset.objects.filter(tag="A1").update(name=f"name {value}")
        told = client.answer(token, '{ twin(tag: "A1") { name } }').json()
        assert told == {"data": {"twin": {"name": f"name {value}"}}}


@pytest.mark.django_db
def test_a_token_of_one_database_is_not_known_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    look_ups: list[Callable[[], Any]] = []
    token = _token("a")
    for name, queries in (("here", True), ("here", False), ("there", True), ("here", False)):
        monkeypatch.setitem(connection.settings_dict, "NAME", name)
        with CaptureQueriesContext(connection) as captured:
            found = principals.remembered_reader(token)
        assert found is not None and found.proof is not None
        assert bool(captured) is queries, (name, look_ups)
