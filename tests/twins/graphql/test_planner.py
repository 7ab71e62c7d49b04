"""A planned query is one statement and gives what ordinary execution gives, whatever is selected."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from graphql import (
    GraphQLObjectType,
    get_named_type,
    is_abstract_type,
)

from assets.models import Asset
from twins.graphql.planner import plans
from twins.graphql.planner.selected import mapping_of
from twins.graphql.schema import schema
from twins.selectors.hot import hot_tail

from .conftest import as_floats

NESTED = """{ system(tag: "PLANT") { name health { score } products { nodes { name health { score worst { tag } }
  parts { totalCount pageInfo { hasNextPage endCursor } nodes { name path ancestors { __typename tag }
    health { score drivers { input points } rul { p50 } }
    installed { since item { serialNumber build design { type { name } } } } events { nodes { kind startedAt } }
    sensors { nodes { id name latest { value time } } } } } } } } }"""


def _comparable(answer: Any) -> Any:
    """Data, and whether there are errors: which ones, when several fields fail at once, is a matter of timing.

    As texts the order of keys counts too, and 1 is 1.0.
    """
    return [bool(answer.errors), as_floats(answer.data)]


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


_UNSAID = {"aggregate", "history", "reliability", "trackRecord", "healthChange"}
"""Fields that are in no statement: they are read from the lake, or reckoned."""
_RECKONED = (
    "Series.", "Aggregates.", "Aggregate.", "HealthHistory.", "HealthRecord.", "Reliability.", "TrackRecord.",
    "HealthChange.", "HealthMove.", "MeanTime.", "WeibullLife.", "BuildComparison.", "ModeReliability.",
)  # fmt: skip


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
    past = {"Sensor.aggregate", "Health.history"}
    of_twins = _UNSAID - {each.split(".")[1] for each in past}
    assert told == past | {f"{kind}.{each}" for kind in ("SystemTwin", "ProductTwin", "PartTwin") for each in of_twins}


def test_a_whole_number_that_no_double_tells_apart_is_still_answered(ask: Any, make: Any) -> None:
    design = make.design()
    type(design).objects.update(parameters={"serial": 2**70, "deep": [{"much": -(10**300)}]})
    make.asset("P", "part", design=design)
    query = '{ twin(tag: "P") { design { parameters } } }'
    told = {"serial": float(2**70), "deep": [{"much": -1e300}]}
    for splice in (True, False):
        assert ask(query, splice=splice)["twin"] == {"design": {"parameters": told}}


@pytest.mark.parametrize(
    "asked", ['search(text: " ")', 'systems(orderBy: {field: TAG, sensor: "T1"})', "worst(first: 0)"]
)
def test_a_bad_argument_is_refused_even_where_nothing_of_the_list_is_selected(ask: Any, plant: Any, asked: str) -> None:
    planned, ordinary = (ask(f"{{ {asked} {{ __typename }} }}", splice=splice) for splice in (True, False))
    assert (planned.data, planned.errors) == (None, ordinary.errors)
