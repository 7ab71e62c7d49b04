"""A nested query answers from system to product to part and back up, and says what is wrong with a bad one."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from assets.models import Asset, Level, Sensor
from assets.services import give_role
from twins.graphql.ids import Kind, global_id
from twins.models import ApiToken
from twins.services.principals import Principal


@pytest.fixture
def plant(standing_plant: dict[str, Asset]) -> dict[str, Asset]:
    return standing_plant


NESTED = """{ system(tag: "PLANT") { name level path health { score }
  products { totalCount nodes { tag health { score source worst { tag } }
    parts(first: 2) { totalCount pageInfo { hasNextPage endCursor } nodes {
      tag path ancestors { tag __typename } parent { tag }
      health { score coverage rul { p10 p50 p90 unit beyondHorizon } drivers { input points }
               failureProbabilities { horizon probability } dataTime }
      installed { since item { serialNumber design { code revision type { name } failureModes parameters } build } }
      sensors { nodes { name unit role latest { value } } }
      events { nodes { kind mode startedAt } } } } } } } }"""


def test_one_query_goes_from_system_to_part_and_back_up(ask: Any, plant: dict[str, Asset]) -> None:
    system = ask(NESTED)["system"]
    assert (system["name"], system["level"], system["path"]) == ('Kraftwerk "Süd"\n', "SYSTEM", ["PLANT"])
    assert system["health"] is None
    products = system["products"]
    assert (products["totalCount"], [each["tag"] for each in products["nodes"]]) == (2, ["GT1", "GT2"])
    assert products["nodes"][1]["health"] == {"score": 70.5, "source": "ROLLUP", "worst": {"tag": "GT2-B2"}}
    parts = products["nodes"][0]["parts"]
    assert (parts["totalCount"], parts["pageInfo"]["hasNextPage"], len(parts["nodes"])) == (3, True, 2)
    part = parts["nodes"][1]
    assert part["ancestors"] == [
        {"tag": "PLANT", "__typename": "SystemTwin"},
        {"tag": "GT1", "__typename": "ProductTwin"},
    ]
    assert (part["tag"], part["path"], part["parent"]) == ("GT1-B2", ["PLANT", "GT1", "GT1-B2"], {"tag": "GT1"})
    assert part["health"] == {
        "score": 70.5,
        "coverage": 0.75,
        "rul": {"p10": 10.0, "p50": 20.5, "p90": 40.0, "unit": "d", "beyondHorizon": False},
        "drivers": [{"input": "T1", "points": -4.5}],
        "failureProbabilities": [{"horizon": 30, "probability": 0.25}],
        "dataTime": "2026-03-01T12:00:00.000000Z",
    }
    assert part["installed"] == {
        "since": "2026-02-20T12:00:00.000000Z",
        "item": {
            "serialNumber": "SN-GT1-B2",
            "build": {"batch": "a"},
            "design": {
                "code": "6205",
                "revision": "A",
                "type": {"name": "Rolling bearing"},
                "failureModes": ["lubrication", "spalling"],
                "parameters": {"bore": 25.0},
            },
        },
    }
    assert part["sensors"]["nodes"] == [
        {"name": name, "unit": "Cel", "role": "MEASUREMENT", "latest": latest}
        for name, latest in (("T1", {"value": -2.5}), ("T2", None))
    ]
    assert part["events"]["nodes"] == [
        {"kind": "FAILURE", "mode": "spalling", "startedAt": "2026-03-01T12:00:00.000000Z"},
        {"kind": "INSPECTION", "mode": "", "startedAt": "2026-03-01T10:00:00.000000Z"},
    ]


def _walk(ask: Any, field: str, rest: str, root: str = "") -> list[str]:
    """All nodes of a list, one a page."""
    found: list[str] = []
    after = None
    while True:
        name = "since" if field == "installations" else "id"
        page = f"{field}(first: 1, after: $after{rest}) {{ nodes {{ {name} }} pageInfo {{ hasNextPage endCursor }} }}"
        query = f"query($after: String) {{ {root} {page} {'}' if root else ''} }}"
        answer = ask(query, after=after)
        assert not answer.errors, answer.errors
        page = answer.data[field] if not root else next(iter(answer.data.values()))[field]
        found += [node[name] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


@pytest.mark.parametrize(
    ("field", "rest", "root", "count"),
    [
        ("systems", "", "", 1),
        ("worst", "", "", 6),
        ("worst", ", level: PART", "", 4),
        ("children", "", 'twin(tag: "GT1") {', 3),
        ("sensors", "", 'twin(tag: "GT1-B1") {', 2),
        ("events", "", 'twin(tag: "GT1-B1") {', 2),
        ("events", ", where: {kinds: [FAILURE]}", 'twin(tag: "GT1-B1") {', 1),
        ("installations", "", 'twin(tag: "GT1-B1") {', 2),
        ("relations", "", 'twin(tag: "GT1") {', 2),
        ("descendants", "", 'twin(tag: "PLANT") {', 8),
        ("descendants", ", where: {levels: [PART]}", 'twin(tag: "PLANT") {', 6),
        *(
            ("descendants", f", orderBy: {{field: {field}, descending: {descending}}}", 'twin(tag: "PLANT") {', 8)
            for field in ('LATEST, sensor: "T1"', "HEALTH", "TYPE", "STATUS", "CRITICALITY", "NAME", "TAG")
            for descending in ("true", "false")
        ),
        ("search", ', text: "b"', "", 0),
        ("search", ', text: "gt"', "", 8),
    ],
)
def test_following_the_cursor_gives_every_node_once(
    ask: Any, plant: dict[str, Asset], field: str, rest: str, root: str, count: int
) -> None:
    found = _walk(ask, field, rest, root)
    assert len(found) == len(set(found)) == count


def test_a_cursor_holds_when_its_row_has_gone(ask: Any, plant: dict[str, Asset], make: Any) -> None:
    sensors = '{ twin(tag: "GT1-B1") { sensors(first: 1%s) { nodes { name } pageInfo { endCursor } } } }'
    first = ask(sensors % "")["twin"]["sensors"]
    Sensor.objects.filter(name="T1").delete()
    after = f', after: "{first["pageInfo"]["endCursor"]}"'
    assert ask(sensors % after)["twin"]["sensors"]["nodes"] == [{"name": "T2"}]


def test_the_worst_come_first(ask: Any, plant: dict[str, Asset]) -> None:
    nodes = ask("{ worst(first: 4) { totalCount nodes { tag health { score } } } }")["worst"]["nodes"]
    assert [(node["tag"], node["health"]["score"]) for node in nodes] == [
        ("GT1", 70.5), ("GT1-B2", 70.5), ("GT2", 70.5), ("GT2-B2", 70.5),
    ]  # fmt: skip


@pytest.mark.parametrize("splice", [False, True])
def test_every_id_is_found_again_by_node(ask: Any, plant: dict[str, Asset], splice: bool) -> None:
    query = """{ twin(tag: "GT1-B1") { id sensors(first: 1) { nodes { id } } events(first: 1) { nodes { id } }
                 installed { item { id } } } }"""
    twin = ask(query)["twin"]
    ids = {
        "PartTwin": twin["id"],
        "Sensor": twin["sensors"]["nodes"][0]["id"],
        "MaintenanceEvent": twin["events"]["nodes"][0]["id"],
        "Item": twin["installed"]["item"]["id"],
    }
    for name, id_ in ids.items():
        assert ask("query($id: ID!) { node(id: $id) { id __typename } }", id=id_, splice=splice)["node"] == {
            "id": id_,
            "__typename": name,
        }
    assert ask("query($id: ID) { system(id: $id) { tag } }", id=ids["PartTwin"])["system"] is None


def test_a_tag_of_two_trees_needs_its_site(ask: Any, plant: dict[str, Asset], make: Any) -> None:
    make.asset("GT1", Level.PRODUCT, make.asset("OTHER", Level.SYSTEM))
    answer = ask('{ twin(tag: "GT1") { tag } }')
    assert answer.data == {"twin": None}
    assert answer.errors == ["The tag 'GT1' is ambiguous: name the tree by site (tag of its top), or ask node(id:)."]
    assert ask('{ twin(tag: "GT1", site: "OTHER") { path } }')["twin"] == {"path": ["OTHER", "GT1"]}
    assert ask('{ twin(tag: "nothing") { tag } }')["twin"] is None


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('{ node(id: "nonsense") { id } }', "'nonsense' is not an id"),
        ('{ node(id: "VHdpbjp4") { id } }', "is not the id of a Twin"),
        ('{ node(id: "U2Vuc29yOng=") { id } }', "'x' is not the key of a sensor"),
        ('{ system(id: "U2Vuc29yOjE=") { id } }', "is not the id of a Twin"),
        ("{ system { id } }", "system needs either a tag or an id"),
        ('{ systems(after: "bmFtZToxOng=") { totalCount } }', "is not a cursor of this list"),
        ('{ worst(after: "aGVhbHRoOjE6eA==") { totalCount } }', "is not a cursor of this list"),
        ("{ systems(first: 0) { totalCount } }", "first is 0: ask for 1 to 1000"),
        ("{ systems(first: -5) { totalCount } }", "first is -5: ask for 1 to 1000"),
        ("{ systems(first: 1001) { totalCount } }", "first is 1001: ask for 1 to 1000"),
        (f"{{ systems(first: {'9' * 5000}) {{ totalCount }} }}", "first is 9999"),
        ('{ twin(tag: "GT1-B1") { sensors { nodes { series { count } } } } }', "series needs a window"),
        ('{ twin(tag: "GT1-B1") { sensors { nodes { series(last: "x") { count } } } } }', "is not a duration"),
        ('{ twin(tag: "GT1-B1") { sensors { nodes { series(from: "2026-01-01") { count } } } } }', "with a zone"),
        (r'{ twin(tag: "a\u0000") { tag } }', "cannot contain"),
    ],
)
def test_a_bad_argument_gets_one_clear_error(ask: Any, plant: dict[str, Asset], query: str, message: str) -> None:
    answer = ask(query)
    assert len({error.split(" at ")[0] for error in answer.errors}) == 1
    assert message in answer.errors[0]


def test_without_the_scope_read_nothing_is_answered(ask: Any, plant: dict[str, Asset]) -> None:
    for query in (
        '{ twin(tag: "GT1") { tag } }', '{ system(tag: "PLANT") { tag } }', "{ systems { totalCount } }",
        "{ worst { totalCount } }", '{ node(id: "VHdpbjox") { id } }',
    ):  # fmt: skip
        for splice in (False, True):
            answer = ask(query, principal=Principal(user=object(), scopes=frozenset({"ingest"})), splice=splice)
            assert answer.data is None or set(answer.data.values()) == {None}
            assert [error.split(":")[0] for error in answer.errors] == ["Reading twins needs the scope 'read'"]
            assert answer.raw.errors[0].extensions == {"code": "FORBIDDEN"}


@pytest.mark.parametrize("splice", [False, True])
def test_a_role_on_a_subtree_shows_that_subtree_alone(ask: Any, plant: dict[str, Asset], splice: bool) -> None:
    ada = User.objects.create_user("ada")
    give_role(role="viewer", user=ada, asset=plant["GT1"])
    foreign = global_id(Kind.TWIN, plant["GT2-B1"].pk)
    reader = Principal(user=ada, scopes=frozenset({"read"})).with_rights()
    answer = ask(
        """query ($foreign: ID!) {
            twin(tag: "GT1") { path parent { tag } ... on ProductTwin { parts { totalCount nodes { tag } } } }
            foreign: twin(tag: "GT2-B1") { tag }
            node(id: $foreign) { id }
            systems { totalCount }
            worst(level: PART) { totalCount nodes { tag } }
        }""",
        principal=reader,
        splice=splice,
        foreign=foreign,
    )
    assert not answer.errors
    assert answer.data == {
        "twin": {
            "path": ["GT1"],
            "parent": None,
            "parts": {"totalCount": 3, "nodes": [{"tag": f"GT1-B{number}"} for number in (1, 2, 3)]},
        },
        "foreign": None,
        "node": None,
        "systems": {"totalCount": 0},
        "worst": {"totalCount": 2, "nodes": [{"tag": "GT1-B2"}, {"tag": "GT1-B1"}]},
    }


@pytest.mark.parametrize("splice", [False, True])
def test_who_has_no_role_is_answered_with_nothing(ask: Any, plant: dict[str, Asset], splice: bool) -> None:
    reader = Principal(user=User.objects.create_user("eve"), scopes=frozenset({"read"})).with_rights()
    answer = ask('{ twin(tag: "GT1") { tag } worst { totalCount } }', principal=reader, splice=splice)
    assert answer.data == {"twin": None, "worst": {"totalCount": 0}}
    token = Principal(token=ApiToken(), scopes=frozenset({"read"})).with_rights()
    answer = ask('{ twin(tag: "GT1") { tag } worst { totalCount } }', principal=token, splice=splice)
    assert answer.data == {"twin": {"tag": "GT1"}, "worst": {"totalCount": 6}}
