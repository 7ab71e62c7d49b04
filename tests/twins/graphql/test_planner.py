"""A planned query is one statement and gives what ordinary execution gives, whatever is selected."""

from __future__ import annotations

import os
import zlib
from itertools import count
from random import Random
from typing import Any

import orjson
import pytest
from django.db import OperationalError, connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
)

from assets.models import Asset
from twins.graphql import context, loaders
from twins.graphql.planner import plans
from twins.graphql.planner.selected import mapping_of
from twins.graphql.schema import schema
from twins.http import alone
from twins.selectors.hot import hot_tail

EXAMPLES = int(os.environ.get("TWINS_TEST_EXAMPLES", "50"))

NESTED = """{ system(tag: "PLANT") { name health { score } products { nodes { name health { score worst { tag } }
  parts { totalCount pageInfo { hasNextPage endCursor } nodes { name path ancestors { __typename tag }
    health { score drivers { input points } rul { p50 } }
    installed { since item { serialNumber build design { type { name } } } } events { nodes { kind startedAt } }
    sensors { nodes { id name latest { value time } } } } } } } } }"""


def _comparable(answer: Any) -> Any:
    """Data, and whether there are errors: which ones, when several fields fail at once, is a matter of timing.

    As texts the order of keys counts too, and 1 is 1.0.
    """
    return [bool(answer.errors), _floats(answer.data)]


def _floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _floats(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_floats(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_a_nested_query_is_one_statement(ask: Any, plant: dict[str, Asset]) -> None:
    hot_tail()
    with CaptureQueriesContext(connection) as captured:
        planned = ask(NESTED, splice=True)
    assert len(captured) == 1
    assert isinstance(planned.raw.data["system"], orjson.Fragment)
    with CaptureQueriesContext(connection) as captured:
        without = ask(NESTED.replace("latest { value time }", ""), splice=True)
    assert len(captured) == 1
    assert without.errors == []
    assert _comparable(planned) == _comparable(ask(NESTED))


def test_a_statement_that_fails_is_an_error_of_its_field_alone(ask: Any, plant: Any, monkeypatch: Any) -> None:
    def fail() -> None:
        raise OperationalError("connection lost at host 10.0.0.1")

    monkeypatch.setattr(plans, "hot_tail", fail)
    monkeypatch.setattr(plans, "remembered_tail", fail)
    query = """{ a: system(tag: "PLANT") { tag }
                 b: twin(tag: "GT1-B1") { sensors { nodes { latest { value } } } } }"""
    answer = ask(query, splice=True)
    assert answer.data == {"a": {"tag": "PLANT"}, "b": None}
    assert [error.path for error in answer.raw.errors] == [["b"]]
    assert "10.0.0.1" not in answer.errors[0]


def test_a_selection_that_differs_by_level_again_and_again_is_answered_ordinarily(ask: Any, plant: Any) -> None:
    selection = "tag"
    for _ in range(12):
        selection = f"... on ProductTwin {{ id }} ... on PartTwin {{ name }} parent {{ {selection} }}"
    query = f'{{ twin(tag: "GT1-B1") {{ {selection} }} }}'
    answer = ask(query, splice=True)
    assert not isinstance(answer.raw.data["twin"], orjson.Fragment)
    assert answer["twin"]["parent"]["parent"] == {"parent": None}


_UNSAID = {"series", "aggregate", "history", "reliability", "trackRecord", "healthChange"}
"""Fields that no statement could tell: they are read from the lake, or reckoned."""
_ORDERS = ["TAG", "NAME", "CRITICALITY", "STATUS", "TYPE", "HEALTH"]
_TEXTS = [
    "GT1", "GT1-B2", "T1", "bearing", "rolling", "asset", "%", "_", 'Kraftwerk "S', "temperature", "Cel", "spalling",
    "SN", "power", "site", "fits", "odd", "B", "ERP-7",
]  # fmt: skip
_RECKONED = (
    "Series.", "Aggregates.", "Aggregate.", "HealthHistory.", "HealthRecord.", "Reliability.", "TrackRecord.",
    "HealthChange.", "HealthMove.", "MeanTime.", "WeibullLife.", "BuildComparison.", "ModeReliability.",
)  # fmt: skip


class _Queries:
    """Draws a document of the schema: aliases, fragments, variables, directives, pages, cursors."""

    def __init__(self, seed: int, cursors: list[str]) -> None:
        self.random, self.cursors = Random(seed), cursors
        self.fragments: list[str] = []
        self.names = count()
        self.budget = 25

    def chance(self, percent: int) -> bool:
        return self.random.random() * 100 < percent

    def some(self, names: list[str], most: int) -> list[str]:
        return self.random.choices(names, k=self.random.randint(0, most)) if names else []

    def selection(self, kind: Any, depth: int) -> str:
        if isinstance(kind, GraphQLUnionType):
            members = self.random.sample(list(kind.types), k=self.random.randint(1, len(kind.types)))
            return " { __typename " + " ".join(f"... on {m.name}{self.selection(m, 0)}" for m in members) + " }"
        leaves = [name for name, field in kind.fields.items() if is_leaf_type(get_named_type(field.type))]
        inner = [name for name in kind.fields if name not in leaves and name not in _UNSAID]
        if kind.name.endswith("Connection"):
            inner += ["nodes"] * 3
        parts = [self.directive(self.alias(name)) for name in self.some([*leaves, "__typename"], 4)]
        parts += [self.nested(kind, name, depth) for name in self.some(inner, 3) if depth and self.budget > 0]
        if depth and isinstance(kind, GraphQLInterfaceType) and self.chance(40):
            concrete = self.random.choice(list(schema._schema.get_possible_types(kind)))
            parts.append(self.directive(f"... on {concrete.name}") + self.selection(concrete, depth - 1))
        if depth and self.chance(15):
            name = f"F{next(self.names)}"
            self.fragments.append(f"fragment {name} on {kind.name} {self.selection(kind, depth - 1)}")
            parts.append(self.directive(f"...{name}"))
        self.random.shuffle(parts)
        return " { " + (" ".join(parts) or "__typename") + " }"

    def alias(self, name: str) -> str:
        return f"a{next(self.names)}: {name}" if self.chance(20) else name

    def directive(self, text: str) -> str:
        drawn = ["@skip(if: $yes)", "@include(if: $yes)", "@include(if: $no)", "@skip(if: false)"]
        return f"{text} {self.random.choice(drawn)}" if self.chance(8) else text

    def nested(self, kind: Any, name: str, depth: int) -> str:
        self.budget -= 1
        field = kind.fields[name]
        arguments = self.arguments(field)
        alias = f"b{next(self.names)}: " if arguments or self.chance(20) else ""
        named = get_named_type(field.type)
        wraps = named.name.endswith("Connection") or named.name == "PageInfo"
        return self.directive(f"{alias}{name}{arguments}") + self.selection(named, depth if wraps else depth - 1)

    def arguments(self, field: Any) -> str:
        drawn = []
        for name, argument in field.args.items():
            if name == "first" and self.chance(70):
                drawn.append(f"first: {self.random.choice(['1', '2', '3', '40', '$n', '$n'])}")
            elif name == "after" and self.chance(7):
                drawn.append(f"after: {self.text(self.cursors)}")
            elif name not in {"first", "after"} and (isinstance(argument.type, GraphQLNonNull) or self.chance(35)):
                drawn.append(f"{name}: {self.value(argument.type)}")
        return f"({', '.join(drawn)})" if drawn else ""

    def text(self, among: list[str]) -> str:
        return orjson.dumps(self.random.choice(among)).decode()

    def value(self, kind: Any) -> str:
        """A value of an input type, mostly one that means something in the plant."""
        kind = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
        if isinstance(kind, GraphQLList):
            return f"[{', '.join(self.value(kind.of_type) for _ in range(self.random.randint(0, 2)))}]"
        if isinstance(kind, GraphQLEnumType):
            return self.random.choice(list(kind.values))
        if isinstance(kind, GraphQLInputObjectType):
            return self.input(kind)
        drawn = {"Boolean": ["true", "false"], "ID": ["$id"], "Float": ["0", "2", "70.5", "80.5", "-1e300", "7"]}
        drawn["DateTime"] = [f'"{time}T12:00:00Z"' for time in ("2026-02-25", "2026-03-01", "2027-01-01")]
        return self.random.choice(drawn[kind.name]) if kind.name in drawn else self.text(_TEXTS)

    def input(self, kind: GraphQLInputObjectType) -> str:
        if kind.name == "TwinOrderBy":
            field = self.random.choice(list(kind.fields["field"].type.of_type.values))  # type: ignore[union-attr]
            sensor = f", sensor: {self.text(['T1', 'T2'])}" if (field == "LATEST") is not self.chance(5) else ""
            return f"{{field: {field}, descending: {self.random.choice(['true', 'false'])}{sensor}}}"
        wanted = [name for name, f in kind.fields.items() if isinstance(f.type, GraphQLNonNull) or self.chance(20)]
        return f"{{{', '.join(f'{name}: {self.value(kind.fields[name].type)}' for name in wanted)}}}"

    def root(self) -> str:
        names = ['twin(tag: "GT1")', 'twin(tag: "GT1-B2", site: "PLANT")', 'twin(tag: "none")', 'twin(tag: "TWICE")']
        names += [
            'system(tag: "PLANT")',
            'system(tag: "PLANT")',
            "system(id: $id)",
            "node(id: $id)",
            "systems",
            "worst",
            "worst",
            "search",
        ]
        name = self.random.choice(names)
        field = schema._schema.query_type.fields[name.split("(")[0]]  # type: ignore[union-attr]
        selection = self.selection(get_named_type(field.type), 5)
        arguments = "" if "(" in name else self.arguments(field)
        return f"r{next(self.names)}: {name}{arguments} {selection}"

    def document(self) -> str:
        roots = " ".join(self.root() for _ in range(self.random.randint(1, 2)))
        head = "query($yes: Boolean! = true, $no: Boolean! = false, $n: Int! = 2, $id: ID!)"
        used = "used: systems(first: $n) { totalCount @include(if: $yes) @skip(if: $no) } node(id: $id) { id }"
        return f"{head} {{ {used} {roots} }} {' '.join(self.fragments)}"


@pytest.fixture
def cursors(ask: Any, plant: dict[str, Asset], make: Any) -> list[str]:
    """Places in lists of every order, and a foreign one. Two trees share a tag, and there are odd values everywhere."""
    for tag in ("OTHER", 'Ü"\\ %s'):
        make.asset("TWICE", "part", make.asset(tag, "system", name="100 % \\ \" ' \t\n ☃"))
    lone = make.asset("LONE", "part")
    make.assessment(lone, 0.1, rul_p10=float("nan"), rul_p50=float("inf"), rul_unit="{cycle}", drivers=[])
    make.assessment(Asset.objects.get(tag="OTHER"), 1e-7, source="ageing", beyond_horizon=True)
    orders = "".join(
        f"{field}: children(first: 1, orderBy: {{field: {field}{sensor}}}) {{ pageInfo {{ endCursor }} }} "
        for field, sensor in [*((name, "") for name in _ORDERS), ("LATEST", ', sensor: "T1"')]
    )
    query = """{ order: twin(tag: "GT1") { ORDERS }
        worst(first: 2) { pageInfo { endCursor } } systems(first: 1) { pageInfo { endCursor } }
        twin(tag: "GT1") { children(first: 1) { pageInfo { endCursor } } }
        part: twin(tag: "GT1-B1") { sensors(first: 1) { pageInfo { endCursor } }
                                    events(first: 1) { pageInfo { endCursor } }
                                    relations(first: 1) { pageInfo { endCursor } } } }""".replace("ORDERS", orders)
    found: list[str] = []

    def collect(value: Any) -> None:
        for each in value.values() if isinstance(value, dict) else ():
            found.append(each) if isinstance(each, str) else collect(each)

    collect(ask(query).data)
    return [*found, "foreign"]


@pytest.mark.parametrize("hidden", [None, "GT1-B2", "GT2"])
def test_generated_queries_give_equal_answers_both_ways(
    ask: Any, plant: Any, cursors: list[str], monkeypatch: Any, hidden: str | None
) -> None:
    """`hidden`: an asset that may not be seen; everything else hangs on it or beside it.

    Once as on a connection that is lent, else as on one that is kept, where the server binds and prepares.
    """
    monkeypatch.setattr(alone._thread, "owns", hidden != "GT2", raising=False)
    monkeypatch.setattr(context, "visible_assets", lambda principal: ~Q(tag=hidden) if hidden else Q())
    monkeypatch.setattr(loaders, "visible_assets", lambda principal: ~Q(tag=hidden) if hidden else Q())
    ids = [each["id"] for each in ask("{ systems { nodes { id } } }")["systems"]["nodes"]]
    spliced = answered = 0
    for seed in (zlib.crc32(f"{hidden} {number}".encode()) for number in range(EXAMPLES)):
        queries = _Queries(seed, cursors)
        query = queries.document()
        variables = {"yes": seed % 3 > 0, "no": seed % 2 > 0, "id": queries.random.choice(ids), "n": 1 + seed % 4}
        planned, ordinary = ask(query, splice=True, **variables), ask(query, **variables)
        assert orjson.dumps(_comparable(planned)) == orjson.dumps(_comparable(ordinary)), (seed, query, variables)
        roots = [value for name, value in (planned.raw.data or {}).items() if name.startswith("r")]
        spliced += any(isinstance(value, orjson.Fragment) for value in roots)
        answered += not planned.errors
    # The generator is worth something only while most of what it draws is valid, and planned where something is found.
    assert (spliced > 0.35 * EXAMPLES, answered > 0.6 * EXAMPLES) == (True, True), (spliced, answered)


def _reachable(kind: Any, met: dict[str, Any]) -> dict[str, Any]:
    """The object types that can be asked for from here."""
    for each in schema._schema.get_possible_types(kind) if is_abstract_type(kind) else [kind]:
        if isinstance(each, GraphQLObjectType) and each.name not in met:
            met[each.name] = each
            for field in each.fields.values():
                _reachable(get_named_type(field.type), met)
    return met


def test_every_field_of_a_twin_is_said_in_sql_but_what_is_reckoned() -> None:
    unsaid = set()
    for name, kind in _reachable(schema._schema.query_type, {}).items():
        unsaid |= {f"{name}.{each}" for each, field in kind.fields.items() if mapping_of(field) is None}
    ours = {each for each in unsaid if not each.split(".")[0].endswith(("Connection", "PageInfo"))}
    told = {each for each in ours if not each.startswith(_RECKONED)}
    past = {"Sensor.series", "Sensor.aggregate", "Health.history"}
    of_twins = _UNSAID - {each.split(".")[1] for each in past}
    assert told == past | {f"{kind}.{each}" for kind in ("SystemTwin", "ProductTwin", "PartTwin") for each in of_twins}
