"""A query is refused before it runs when it asks for too much, in time that follows its length."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.pace import within
from twins.graphql.limits import ALIASES, COST, DEPTH, DIRECTIVES, ROOT_FIELDS


def _developer() -> Any:
    from twins.services.principals import Principal

    return Principal(user=object(), scopes=frozenset({"read", "introspect"}))


def _doubling(levels: int) -> str:
    """Every fragment spreads the next one twice: 2^levels fields."""
    fragments = [f"fragment F{i} on SystemTwin {{ ...F{i + 1} ...F{i + 1} }}" for i in range(levels)]
    return "{ systems { nodes { ...F0 } } } " + " ".join(fragments) + f" fragment F{levels} on SystemTwin {{ tag }}"


def _nested_doubling(levels: int) -> str:
    fragments = [
        f"fragment F{i} on Twin {{ a: parent {{ ...F{i + 1} }} b: parent {{ ...F{i + 1} }} }}" for i in range(levels)
    ]
    return "{ systems { nodes { ...F0 } } } " + " ".join(fragments) + f" fragment F{levels} on Twin {{ tag }}"


def _branching(levels: int) -> str:
    return "tag" if levels == 0 else f"parent {{ {_branching(levels - 1)} }} " * 2


ATTACKS = {
    "deep": ("{ systems { nodes { " + "parent { " * 30 + "tag" + " }" * 33, "depth"),
    "deeper than the parser": ("{ a" * 1900 + " }" * 1900, "nested|depth"),
    "a list in a list without end": ("{ twin(tag: " + "[" * 1900 + "]" * 1900 + ") { id } }", "nested"),
    "aliases": ("{ systems { nodes { " + " ".join(f"a{i}: tag" for i in range(200)) + " } } }", "number of aliases"),
    "root fields": ("{ " + "systems { totalCount } " * 30 + "}", "number of root fields"),
    "directives": ("{ systems { totalCount " + "@skip(if: false) " * 60 + "} }", "number of directives"),
    "tokens": ("{ " + "systems " * 5000 + "}", "tokens"),
    "pages of pages": (
        "{ systems(first: 1000) { nodes { children(first: 1000) { nodes { children { nodes { tag } } } } } } }",
        "cost",
    ),
    "doubling fragments": (_doubling(60), "cost"),
    "doubling nested fragments": (_nested_doubling(60), "depth"),
    "cyclic fragments": (
        "{ systems { nodes { ...A } } } fragment A on SystemTwin { ...B } fragment B on SystemTwin { ...A }",
        "Cannot spread fragment",
    ),
    "one name a thousand times": ("{ systems { nodes { " + "tag " * 3900 + "} } }", "repeats or nests"),
    "one selection in many fragments": (
        "{ systems { nodes { " + " ".join(f"...F{i}" for i in range(390)) + " } } }"
        " " + " ".join(f"fragment F{i} on SystemTwin {{ tag }}" for i in range(390)),
        "repeats or nests",
    ),
    "selections that branch": ("{ systems { nodes { " + _branching(9) + " } } }", "repeats or nests"),
    "one list with many pages": (
        "{ systems { nodes { " + " ".join(f"children(first: {i}) {{ totalCount }}" for i in range(1, 390)) + " } } }",
        "repeats or nests",
    ),
    "the schema in circles": (
        "{ __schema { types { " + "fields { type { " * 6 + "name" + " } }" * 6 + " } } }",
        "cost|introspection|depth",
    ),
    "unknown fields": ("{ nothing { at { all } } ...None }", "Cannot query field|Unknown fragment"),
}


@pytest.mark.parametrize("name", list(ATTACKS))
def test_an_attack_is_refused_in_less_than_a_second(ask: Any, name: str, collector_at_rest: None) -> None:
    query, reason = ATTACKS[name]
    begin = time.process_time()  # the machine may be busy with something else
    answer = ask(query, principal=_developer())
    assert within(time.process_time() - begin, 1)
    assert any(word in answer.errors[0] for word in reason.split("|")), answer.errors[0]
    assert answer.data is None


def test_the_limit_names_what_it_measured_and_what_is_allowed(ask: Any) -> None:
    answer = ask(ATTACKS["aliases"][0])
    assert answer.errors == [
        f"The number of aliases of this query is 200, at most {ALIASES} is allowed: "
        "ask for fewer fields or smaller pages."
    ]
    assert answer.raw.errors[0].extensions == {"code": "LIMIT_EXCEEDED"}
    assert (DEPTH, DIRECTIVES, ROOT_FIELDS, COST) == (20, 50, 20, 2_000_000)


def test_a_variable_counts_with_its_value(ask: Any) -> None:
    query = """query($n: Int! = 1000) { systems(first: $n) { nodes { children(first: $n) {
        nodes { children(first: $n) { nodes { tag } } } } } } }"""
    assert "cost" in ask(query).errors[0]
    assert ask(query, n=10).errors == []
    assert ask(query, n=2000).errors == ["first is 2000: ask for 1 to 1000."]
    assert "cost" in ask(query, n=1000.0).errors[0]
    assert "Int cannot represent" in ask(query, n="x").errors[0]


def test_a_screen_full_of_twins_is_allowed(ask: Any) -> None:
    query = """{ system(tag: "S") { name health { score } products(first: 100) { nodes { name health { score }
        parts(first: 50) { nodes { name health { score drivers { input points } }
        sensors(first: 10) { nodes { name unit latest { value time } } } } } } } } }"""
    assert ask(query)["system"] is None


def test_introspection_as_tools_send_it_is_allowed(ask: Any) -> None:
    from graphql import get_introspection_query

    assert ask(get_introspection_query(), principal=_developer())["__schema"]["queryType"]["name"] == "Query"


def test_whoever_may_not_read_the_schema_learns_nothing_of_it(ask: Any) -> None:
    for query, name in [
        ("{ __schema { types { name } } }", "__schema"),
        ('{ a: __type(name: "Twin") { name } }', "__type"),
        (
            'query A { systems { nodes { tag } } } query B { ...F } fragment F on Query { __type(name: "X") { name } }',
            "__type",
        ),
    ]:
        answer = ask(query)
        assert answer.errors == [
            f"Reading the schema ({name}) needs the scope 'introspect': use a token that was made with it."
        ]
        assert (answer.data, answer.raw.errors[0].extensions) == (None, {"code": "FORBIDDEN"})
    assert ask("{ __typename systems { nodes { __typename } } }")["__typename"] == "Query"


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ system { nodes } }", {}),
        ("{ sistems { totalCount } }", {}),
        ("{ worst(level: PRT) { totalCount } }", {}),
        ("query($l: Level) { worst(level: $l) { totalCount } }", {"l": "PRT"}),
        ("{ systems(frist: 1) { totalCount } }", {}),
        ("{ systems { nodes { ... on SistemTwin { tag } } } }", {}),
    ],
)
def test_suggestions_are_for_those_who_may_read_the_schema(ask: Any, query: str, variables: dict[str, Any]) -> None:
    told, hidden = ask(query, principal=_developer(), **variables), ask(query, **variables)
    assert any("Did you mean" in error for error in told.errors)
    assert not any("Did you mean" in error for error in hidden.errors)
    assert len(hidden.errors) == len(told.errors)


def test_a_screen_of_many_components_is_allowed(ask: Any) -> None:
    """Sixty components, each with a fragment of its own for what it shows of the same twin."""
    spreads = " ".join(f"...F{i}" for i in range(60))
    shown = "id tag name level criticality health { score coverage }"
    fragments = " ".join(f"fragment F{i} on SystemTwin {{ {shown} }}" for i in range(60))
    assert ask(f"{{ systems {{ nodes {{ {spreads} }} }} }} {fragments}")["systems"] == {"nodes": []}


def test_of_many_mistakes_the_first_are_told(ask: Any) -> None:
    answer = ask("{ __typename " + "@aa" * 10 + " }")
    assert answer.errors == ["Unknown directive '@aa'."] * 5 + [
        "Too many validation errors, error limit reached. Validation aborted."
    ]
