"""Contributors: what is taken adds up, what is missing lowers coverage alone, and nonsense is refused by its entry."""

from __future__ import annotations

from typing import Any

import pytest

from twins.exceptions import PolicyError
from twins.ml.contributors import Value, Voice, blend, judge_condition, parse_contributors

GRAPH = [
    {"input": "vibration", "weight": 3, "best": 1, "worst": 7},
    {"input": "oil", "best": 100, "worst": 20, "curve": "late"},
    {"name": "heat", "weight": 2, "rule": "worst", "of": [
        {"input": "inner", "best": 40, "worst": 90},
        {"input": "outer", "best": 40, "worst": 90},
    ]},
]  # fmt: skip


def values(**given: float) -> dict[str, Value]:
    return {name: Value(value, fresh=True) for name, value in given.items()}


def judged(content: Any, given: dict[str, Value]) -> Any:
    graph = parse_contributors(content)
    assert graph is not None
    return judge_condition(graph, given)


def test_what_is_taken_adds_up_to_what_is_missing() -> None:
    found = judged(GRAPH, values(vibration=4.0, oil=60.0, inner=65.0, outer=50.0))
    # by hand: (3 * 1/2 + 1 * 1/4 + 2 * 1/2) / 6 of the health is lost
    assert found.health == pytest.approx(100 * (1 - 2.75 / 6))
    assert dict(found.drivers) == pytest.approx({"vibration": -25.0, "inner": -100 / 6, "oil": -100 / 24})
    assert sum(points for _, points in found.drivers) == pytest.approx(found.health - 100)
    assert found.coverage == 1.0


def test_values_beyond_best_and_worst_are_best_and_worst() -> None:
    assert judged(GRAPH[:1], values(vibration=0.1)).health == 100
    assert judged(GRAPH[:1], values(vibration=99.0)).health == 0


def test_an_old_value_counts_in_the_score_and_not_in_the_coverage() -> None:
    fresh = judged(GRAPH, values(vibration=4.0, oil=60.0, inner=65.0, outer=50.0))
    old = judged(GRAPH, values(vibration=4.0, oil=60.0, inner=65.0, outer=50.0) | {"vibration": Value(4.0, False)})
    assert old.health == fresh.health
    assert old.coverage == pytest.approx(0.5)


def test_what_was_never_read_is_left_out() -> None:
    found = judged(GRAPH, values(oil=100.0))
    assert (found.health, found.coverage) == (100.0, pytest.approx(1 / 6))
    assert judged(GRAPH, {}) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"input": "a"}, "Contributors are a list"),
        (["a"], "entry 1 is not an object"),
        ([{"input": "a", "best": 1, "worst": 1}], "entry 1 is best and worst at 1"),
        ([{"input": "a", "best": 1}], "entry 1 has the worst None"),
        ([{"input": "a", "best": float("nan"), "worst": 1}], "entry 1 has the best nan"),
        ([{"input": "a", "best": True, "worst": 1}], "entry 1 has the best True"),
        ([{"input": "", "best": 0, "worst": 1}], "entry 1 names no input"),
        ([{"input": "a", "best": 0, "worst": 1, "weight": 0}], "entry 1 has the weight 0"),
        ([{"input": "a", "best": 0, "worst": 1, "curve": "wavy"}], "entry 1 has the curve 'wavy'"),
        ([{"input": "a", "best": 0, "worst": 1, "colour": "red"}], "entry 1 has the unknown key 'colour'"),
        ([{"name": "g", "of": []}], "entry 1 is a group of nothing"),
        ([{"name": "g", "rule": "best", "of": [1]}], "entry 1 has the rule 'best'"),
        ([{"name": "g", "of": [{"input": "a", "best": 0, "worst": 1}, 7]}], "entry 1.2 is not an object"),
        ([{"input": "a", "best": 0, "worst": 1}] * 2, "'a' contributes twice"),
    ],
)
def test_nonsense_is_refused_by_its_entry(content: Any, said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        parse_contributors(content)


def test_groups_of_groups_end_somewhere() -> None:
    nested: Any = {"input": "a", "best": 0, "worst": 1}
    for _ in range(6):
        nested = {"name": "g", "of": [nested]}
    with pytest.raises(PolicyError, match="groups deep"):
        parse_contributors([nested])
    assert parse_contributors([]) is None


def test_voices_are_weighed_by_their_evidence() -> None:
    model = Voice("model", 40.0, 30.0, "30 failures", (("vibration", -50.0), ("age", -10.0)))
    rules = Voice("contributors", 80.0, 10.0, "rules", (("vibration", -20.0),))
    found = blend([model, rules])
    assert found.weights == (0.75, 0.25)
    assert found.health == 50.0
    assert dict(found.drivers) == pytest.approx({"vibration": -42.5, "age": -7.5})
