"""Sideways, back in time and by wish: relations, installation history, attributes, filters, orders, search.

Each is asked both ways: as one statement, and by ordinary execution.
"""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets.models import Asset, Relation
from assets.services import give_role
from twins.graphql.ids import Kind, global_id
from twins.models import Assessment
from twins.services.principals import Principal

pytestmark = pytest.mark.parametrize("splice", [False, True], ids=["ordinary", "planned"])


@pytest.fixture
def plant(standing_plant: dict[str, Asset]) -> dict[str, Asset]:
    return standing_plant


def test_relations_are_seen_from_both_ends_and_at_their_time(ask: Any, plant: Any, splice: bool) -> None:
    shown = "nodes { kind direction since until note twin { tag parent { tag } } }"
    query = f"""{{
        now: twin(tag: "GT1") {{ relations {{ totalCount {shown} }} }}
        then: twin(tag: "GT2") {{ relations(at: "2026-02-01T00:00:00Z", kinds: [FEEDS, COOLS], direction: IN)
            {{ totalCount nodes {{ kind direction twin {{ tag }} until }} }} }} }}"""
    answer = ask(query, splice=splice)
    edge = {"since": "2026-01-30T12:00:00.000000Z", "until": None, "twin": {"tag": "GT2", "parent": {"tag": "PLANT"}}}
    assert answer["now"]["relations"] == {
        "totalCount": 2,
        "nodes": [
            {"kind": "FEEDS", "direction": "OUT", "note": "feeds", **edge},
            {"kind": "REDUNDANT_WITH", "direction": None, "note": "redundant_with", **edge},
        ],
    }
    assert answer["then"]["relations"] == {
        "totalCount": 2,
        "nodes": [
            {"kind": "FEEDS", "direction": "IN", "twin": {"tag": "GT1"}, "until": None},
            {"kind": "COOLS", "direction": "IN", "twin": {"tag": "GT1"}, "until": "2026-03-01T12:00:00.000000Z"},
        ],
    }


def test_what_was_installed_is_there_with_its_build_record_and_its_keys(ask: Any, plant: Any, splice: bool) -> None:
    query = """{ twin(tag: "GT1-B1") { externalReferences { system kind key } installations { totalCount nodes {
        since until removalReason item { serialNumber build acceptance retiredAt externalReferences { key }
        design { code externalReferences { key } } } } } sensors { nodes { externalReferences { key } } } } }"""
    twin = ask(query, splice=splice)["twin"]
    assert twin["externalReferences"] == [
        {"system": "ERP", "kind": "", "key": "ERP-0"},
        {"system": "ERP", "kind": "place", "key": "ERP-7"},
    ]
    design = {"code": "6205", "externalReferences": [{"key": "ERP-3"}]}
    item = {"serialNumber": "SN-GT1-B1", "build": {"batch": "a"}, "acceptance": {}, "retiredAt": None}
    old = {
        "serialNumber": "SN-OLD",
        "build": {},
        "acceptance": {"noise": 3.5},
        "retiredAt": "2026-03-01T12:00:00.000000Z",
    }
    assert twin["installations"]["nodes"] == [
        {
            "since": "2026-02-20T12:00:00.000000Z",
            "until": None,
            "removalReason": "",
            "item": item | {"externalReferences": [], "design": design},
        },
        {
            "since": "2026-01-30T12:00:00.000000Z",
            "until": "2026-02-20T12:00:00.000000Z",
            "removalReason": "worn",
            "item": old | {"externalReferences": [{"key": "ERP-1"}], "design": design},
        },
    ]
    assert twin["installations"]["totalCount"] == 2
    assert twin["sensors"]["nodes"] == [{"externalReferences": [{"key": "ERP-2"}]}, {"externalReferences": []}]


def test_an_attribute_is_a_number_with_its_unit_a_text_or_a_truth(ask: Any, plant: Any, splice: bool) -> None:
    shown = """{ __typename ... on NumberAttribute { name value unit } ... on TextAttribute { name text }
                 ... on TruthAttribute { name truth } ... on OtherAttribute { name json } }"""
    query = f"""{{ first: twin(tag: "GT1-B1") {{ type {{ code }} design {{ code }} attributes {shown} }}
                  second: twin(tag: "GT1-B2") {{ type {{ code }} design {{ code }}
                      attributes(names: ["power", "nothing", "fits"]) {shown} }} }}"""
    answer = ask(query, splice=splice)
    assert answer["first"] == {
        "type": {"code": "bearing"},
        "design": None,
        "attributes": [
            {"__typename": "TruthAttribute", "name": "fits", "truth": True},
            {"__typename": "OtherAttribute", "name": "odd", "json": "array"},
            {"__typename": "NumberAttribute", "name": "power", "value": 7, "unit": "kW"},
            {"__typename": "TextAttribute", "name": "site", "text": 'Süd "1"'},
            {"__typename": "OtherAttribute", "name": "z", "json": "null"},
        ],
    }
    assert answer["second"] == {
        "type": {"code": "bearing"},
        "design": {"code": "6205"},
        "attributes": [
            {"__typename": "TruthAttribute", "name": "fits", "truth": False},
            {"__typename": "NumberAttribute", "name": "power", "value": 7.5, "unit": "MW"},
        ],
    }


@pytest.mark.parametrize(
    ("where", "tags"),
    [
        ('tag: {contains: "b1"}', ["GT1-B1", "GT2-B1"]),
        ('tag: {startsWith: "gt2"}, levels: [PART]', ["GT2-B1", "GT2-B2", "GT2-B3"]),
        ('tag: {contains: "%"}', []),
        ('tag: {among: ["GT1", "GT2-B3", "none"]}', ["GT1", "GT2-B3"]),
        ('name: {equals: "Asset GT1-B2"}', ["GT1-B2"]),
        ("levels: [PRODUCT]", ["GT1", "GT2"]),
        ("levels: []", []),
        ("statuses: [STANDBY]", ["GT1-B3"]),
        ("criticality: {least: 1, most: 1}", ["GT1-B1", "GT2-B1"]),
        ("criticality: {least: 1e300}", []),
        ('types: ["rolling"]', ["GT1-B1", "GT1-B2"]),
        ('types: ["nothing"]', []),
        ("health: {least: 80}", ["GT1-B1", "GT2-B1"]),
        ("health: {}, levels: [PRODUCT]", ["GT1", "GT2"]),
        ('latest: [{sensor: "T1", value: {least: -10}}]', ["GT1-B1", "GT1-B2"]),
        ('latest: [{sensor: "T1", value: {most: 0}}]', ["GT1-B2"]),
        ('attributes: [{name: "power", number: {least: 7.25}}]', ["GT1-B2"]),
        ('attributes: [{name: "fits", truth: true}]', ["GT1-B1"]),
        ('attributes: [{name: "site", text: "Süd \\"1\\""}]', ["GT1-B1"]),
        ('attributes: [{name: "odd"}, {name: "power", number: {most: 7}}]', ["GT1-B1"]),
        ("related: {}", ["GT1", "GT1-B1", "GT2", "GT2-B2"]),
        ("related: {kinds: [MONITORS], direction: IN}", ["GT2-B2"]),
        ("related: {kinds: [FEEDS], to: $to}", ["GT1"]),
        ("related: {kinds: [COOLS]}", []),
    ],
)
def test_a_list_is_narrowed_by_what_its_twins_are(
    ask: Any, plant: dict[str, Asset], splice: bool, where: str, tags: list[str]
) -> None:
    query = f"""query($to: ID) {{ used: node(id: $to) {{ id }} twin(tag: "PLANT") {{
        descendants(where: {{{where}}}) {{ totalCount nodes {{ tag }} }} }} }}""".replace("ID", "ID!")
    with CaptureQueriesContext(connection) as captured:
        found = ask(query, splice=splice, to=global_id(Kind.TWIN, plant["GT2"].pk))["twin"]["descendants"]
    assert [each["tag"] for each in found["nodes"]] == tags
    assert found["totalCount"] == len(tags)
    assert not splice or len(captured) == 2


@pytest.mark.parametrize(
    ("order", "tags"),
    [
        ("TAG, descending: true", ["GT1-B3", "GT1-B2", "GT1-B1"]),
        ("HEALTH", ["GT1-B2", "GT1-B1", "GT1-B3"]),
        ("HEALTH, descending: true", ["GT1-B1", "GT1-B2", "GT1-B3"]),
        ('LATEST, sensor: "T1"', ["GT1-B2", "GT1-B1", "GT1-B3"]),
        ('LATEST, sensor: "T1", descending: true', ["GT1-B1", "GT1-B2", "GT1-B3"]),
        ("CRITICALITY, descending: true", ["GT1-B3", "GT1-B2", "GT1-B1"]),
        ("STATUS, descending: true", ["GT1-B3", "GT1-B2", "GT1-B1"]),
        ("TYPE", ["GT1-B3", "GT1-B1", "GT1-B2"]),
    ],
)
def test_a_list_is_in_the_order_that_is_asked_for_and_what_has_no_value_is_last(
    ask: Any, plant: Any, splice: bool, order: str, tags: list[str]
) -> None:
    parts = f"... on ProductTwin {{ parts(orderBy: {{field: {order}}}) {{ nodes {{ tag }} }} }}"
    query = f'{{ twin(tag: "GT1") {{ {parts} }} }}'
    assert [each["tag"] for each in ask(query, splice=splice)["twin"]["parts"]["nodes"]] == tags


def test_a_cursor_of_a_moving_order_goes_on_where_it_was(ask: Any, plant: Any, splice: bool) -> None:
    query = """query($after: String) { twin(tag: "GT1") { children(first: 1, after: $after, orderBy: {field: HEALTH})
        { nodes { tag } pageInfo { hasNextPage endCursor } } } }"""
    page = ask(query, splice=splice)["twin"]["children"]
    assert page["nodes"] == [{"tag": "GT1-B2"}]
    Assessment.objects.filter(asset__tag="GT1-B2").update(health=99)
    page = ask(query, splice=splice, after=page["pageInfo"]["endCursor"])["twin"]["children"]
    assert page["nodes"] == [{"tag": "GT1-B1"}]
    page = ask(query, splice=splice, after=page["pageInfo"]["endCursor"])["twin"]["children"]
    assert page["nodes"] == [{"tag": "GT1-B2"}]
    Assessment.objects.all().delete()
    page = ask(query, splice=splice, after=page["pageInfo"]["endCursor"])["twin"]["children"]
    assert page == {
        "nodes": [{"tag": "GT1-B1"}],
        "pageInfo": {"hasNextPage": True, "endCursor": page["pageInfo"]["endCursor"]},
    }


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("gt1-b", ["GT1-B1", "GT1-B2", "GT1-B3"]),
        ("asset gt2", ["GT2", "GT2-B1", "GT2-B2", "GT2-B3"]),
        ("SN-OLD", ["GT1-B1"]),
        ("ERP-7", ["GT1-B1"]),
        ("süd", ["PLANT"]),
        ("%%%", []),
        ("___", []),
    ],
)
def test_a_twin_is_found_by_its_names_and_those_of_others_for_it(
    ask: Any, plant: Any, splice: bool, text: str, tags: list[str]
) -> None:
    query = "query($text: String!) { search(text: $text) { totalCount nodes { tag } } }"
    found = ask(query, text=text, splice=splice)["search"]
    assert found == {"totalCount": len(tags), "nodes": [{"tag": tag} for tag in tags]}


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ('search(text: " ")', "A search needs at least one word."),
        ("systems(orderBy: {field: LATEST})", "An order by LATEST needs the name of a sensor, and no other"),
        ('systems(orderBy: {field: TAG, sensor: "T1"})', "An order by LATEST needs the name of a sensor, and no other"),
        ('systems(where: {tag: {equals: "a\\u0000"}})', "A text cannot contain the character NUL."),
        (f"systems(where: {{types: {['a'] * 101}}})".replace("'", '"'), "has 101 entries: give at most 100."),
        ('systems(where: {related: {to: "U2Vuc29yOjE="}})', "is not the id of a Twin"),
        ('systems(orderBy: {field: NAME}, after: "aGVhbHRoOjE6eA==")', "is not a cursor of this list"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_in_a_sentence(
    ask: Any, plant: Any, splice: bool, field: str, message: str
) -> None:
    answer = ask(f"{{ {field} {{ nodes {{ tag }} }} }}", splice=splice)
    assert (answer.data, len(answer.errors)) == (None, 1)
    assert message in answer.errors[0]


def test_what_may_not_be_seen_is_no_end_of_a_relation_and_tells_no_filter(
    ask: Any, plant: dict[str, Asset], splice: bool
) -> None:
    ada = User.objects.create_user("ada")
    give_role(role="viewer", user=ada, asset=plant["GT1"])
    reader = Principal(user=ada, scopes=frozenset({"read"})).with_rights()
    query = """query($there: ID!, $edge: ID!) { twin(tag: "GT1") { relations { totalCount nodes { kind } }
            descendants(where: {related: {}}) { totalCount } }
        search(text: "GT2") { totalCount } found: search(text: "GT1", where: {related: {to: $there}}) { totalCount }
        node(id: $edge) { id } }"""
    given = {
        "there": global_id(Kind.TWIN, plant["GT2"].pk),
        "edge": global_id(Kind.RELATION, Relation.objects.get(kind="feeds").pk),
    }
    nothing = {"totalCount": 0}
    assert ask(query, principal=reader, splice=splice, **given).data == {
        "twin": {"relations": nothing | {"nodes": []}, "descendants": nothing},
        "search": nothing,
        "found": nothing,
        "node": None,
    }
    assert ask(query, splice=splice, **given)["node"] == {"id": given["edge"]}
