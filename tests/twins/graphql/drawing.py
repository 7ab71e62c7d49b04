"""Draws queries of the schema: what has been asked least is drawn first, so that a few hundred meet all there is.

A query is one root field with all it needs: its selection, fragments, variables. Several make a document. Drawn are
aliases, fields said twice, fragments of every kind (named, inline, on interfaces, without a type), skip and include,
arguments as literals, as variables and as variables inside of literals, orders, filters, cursors of the list and of
others; texts and numbers are mostly such as mean something in the plant of the tests.
"""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import orjson
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLUnionType,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_required_argument,
)

from twins.graphql.planner import RootPages
from twins.graphql.planner.selected import mapping_of
from twins.graphql.schema import schema

GRAPH = schema._schema
ROOTS: Any = GRAPH.query_type.fields  # type: ignore[union-attr]
MADE = ("Connection", "PageInfo", "Series")
"""Ends of the names of types whose fields are planned without a mapping of their own."""
TAGS = [
    *["GT1-B1", "GT1-B2", "GT1", "PLANT"] * 3,
    "GT1-B3",
    "GT2-B1",
    "GT2",
    *["LONE", "SOLO"] * 2,
    "SOLO-P",
    "OTHER",
    "none",
]
_NUMBERS: list[float] = [0, 2, 3, 7, 7.25, 70.5, 80.5, -1e300, 1e300]
_TIMES = [f"{day}T12:00:00{zone}" for day, zone in (("2026-02-25", "Z"), ("2026-03-01", "+01:00"), ("2027-01-01", "Z"))]
_WINDOWS = {
    "from": ["2026-02-01T00:00:00Z", "2026-03-01T13:00:01+01:00"],
    "to": ["2026-03-01T12:00:05Z", "2027-01-01T00:00:00Z"],
    "last": ["P9D", "PT2S", "P999999W"],
}
_TEXTS = {
    "tag": TAGS, "site": ["PLANT", "PLANT", "OTHER", "none"], "equals": [*TAGS, "Asset GT1-B2"], "among": TAGS,
    "startsWith": ["gt1", "GT2-", "asset", "%"], "contains": ["b1", "ASSET", "Ü", "_", '"S', ""],
    "types": ["rolling", "bearing", "none"], "sensor": ["T1", "T2"], "quantities": ["temperature", "none"],
    "units": ["Cel", "1"], "modes": ["spalling", "none"], "name": ["power", "fits", "site", "odd", "z"],
    "text": ['Süd "1"', "gt1", "asset b", "SN-OLD", "ERP-7", "%", "_"],
}  # fmt: skip


def _ways(types: set[str]) -> set[str]:
    """The fields that lead to one of these types, in at most three steps."""
    ways: set[str] = set()
    for _ in range(3):
        for kind in GRAPH.type_map.values():
            for name, each in getattr(kind, "fields", {}).items():
                if get_named_type(each.type).name in types:
                    ways.add(f"{kind.name}.{name}")
        types = {way.partition(".")[0] for way in ways}
    return ways


class Word(str):
    """A value of an enum."""

    __slots__ = ()


@dataclass
class Drawn:
    """One root field with all it needs."""

    key: str
    text: str = ""
    fragments: list[str] = field(default_factory=list)
    declared: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)
    """Fields of inputs and values of enums that it gives."""
    again: dict[str, Any] = field(default_factory=dict)
    """Other values of the variables that do not decide what is selected."""
    budget: int = 0


def document(queries: Sequence[Drawn], *, again: bool = False) -> tuple[str, dict[str, Any]]:
    """All of them in one document, and its variables; `again`: with other values."""
    declared = ", ".join(each for query in queries for each in query.declared)
    roots = " ".join(query.text for query in queries)
    fragments = " ".join(each for query in queries for each in query.fragments)
    variables = {name: value for query in queries for name, value in query.variables.items()}
    if again:
        variables |= {name: value for query in queries for name, value in query.again.items()}
    return f"query{f'({declared})' if declared else ''} {{ {roots} }} {fragments}", variables


class Drawing:
    """Draws one query after the other; the same from the same seed."""

    def __init__(
        self, seed: int, places: Iterable[str], ids: Mapping[str, Sequence[str]], wanted: Iterable[str] = ()
    ) -> None:
        """`places` are cursors of all lists, `ids` those of twins and of other things, `wanted`: see `want`."""
        self._random, self._numbers, self._asked = Random(seed), count(), Counter[str]()
        self._ids = ids
        self._places = defaultdict(list)
        for place in places:
            self._places[base64.b64decode(place).decode().split(":")[0]].append(place)
        self._query = Drawn("")
        self.want(wanted)

    def want(self, wanted: Iterable[str]) -> None:
        """Draw rather what is about these: fields (`Item.build`), with arguments (`Query.twin(tag)`), words."""
        self._wanted = frozenset(wanted)
        self._wanted_fields = {each.partition("(")[0].partition(" ")[0] for each in self._wanted}
        self._ways = _ways({each.partition(".")[0] for each in self._wanted_fields})

    def query(self) -> Drawn:
        self._query = Drawn(f"r{next(self._numbers)}", budget=self._random.choice([2, 3, 5, 7, 9]))
        name = self._least(list(ROOTS), "Query", 1)[0]
        said = self._directed(f"{self._query.key}: {name}{self._arguments('Query', name, ROOTS[name])}", 3)
        self._query.text = said + self._selection(get_named_type(ROOTS[name].type), 6)
        return self._query

    def _chance(self, percent: float) -> bool:
        return self._random.random() * 100 < percent

    def _least(self, names: list[str], of: str, most: int) -> list[str]:
        """So many of the names, those rather that were seldom drawn."""
        if not names:
            return []
        weights = [self._weight(f"{of}.{name}") / (1 + self._asked[f"{of}.{name}"]) for name in names]
        drawn = self._random.choices(names, weights, k=most)
        self._asked.update(f"{of}.{name}" for name in drawn)
        return drawn

    def _weight(self, field: str) -> int:
        return 50 if field in self._wanted_fields else 10 if field in self._ways else 1

    def _selection(self, kind: Any, depth: int) -> str:
        parts = []
        if not isinstance(kind, GraphQLUnionType):
            leaves = [name for name, each in kind.fields.items() if is_leaf_type(get_named_type(each.type))]
            inner = [name for name, each in kind.fields.items() if name not in leaves and self._is_planned(kind, each)]
            leaves = [name for name in leaves if self._is_planned(kind, kind.fields[name])]
            parts += [self._leaf(name) for name in self._least([*leaves, "__typename"], kind.name, self._upto(2))]
            if kind.name.endswith("Connection"):
                inner = []
                wanted = f"{kind.name}.pageInfo" in self._wanted_fields
                often = {"nodes": 80, "pageInfo": 60 if wanted else 20}
                parts += [self._nested(kind, name, depth) for name, chance in often.items() if self._chance(chance)]
            if depth > 0:
                wanted = self._least(inner, kind.name, self._upto(2))
                parts += [self._nested(kind, name, depth) for name in wanted if self._query.budget > 0]
        parts += self._fragments(kind, depth)
        self._random.shuffle(parts)
        return " { " + (" ".join(parts) or "__typename") + " }"

    def _upto(self, most: int) -> int:
        return self._random.randint(1, most)

    @staticmethod
    def _is_planned(kind: Any, each: Any) -> bool:
        return kind.name.endswith(MADE) or mapping_of(each) is not None

    def _fragments(self, kind: Any, depth: int) -> list[str]:
        """Inline ones on what it can be or is, or on nothing; a named one, spread once or twice."""
        above = [] if isinstance(kind, GraphQLUnionType) else [each.name for each in kind.interfaces]
        if isinstance(kind, GraphQLInterfaceType):
            above += [each.name for each in GRAPH.get_implementations(kind).interfaces]
        parts = []
        wanted = [*self._kinds(kind), *(each for each in [*above, "", kind.name] if self._chance(5))]
        for name in wanted:
            inside = self._selection(GRAPH.type_map[name] if name else kind, max(depth - 1, 0))
            parts.append(self._directed(f"... on {name}" if name else "...") + inside)
        if self._chance(10):
            name = f"F{next(self._numbers)}"
            self._query.fragments.append(f"fragment {name} on {kind.name}{self._selection(kind, max(depth - 1, 0))}")
            parts += [self._directed(f"...{name}") for _ in range(self._upto(2))]
        return parts

    def _kinds(self, kind: Any) -> list[str]:
        """Some of the types it can be."""
        if not is_abstract_type(kind):
            return []
        names = [each.name for each in GRAPH.get_possible_types(kind)]
        if isinstance(kind, GraphQLUnionType):
            return self._random.sample(names, self._upto(len(names)))
        if kind.name == "Node" and self._chance(20):
            return [self._random.choice(names)]  # fields of one name are of several types there
        twins = [name for name in names if name.endswith("Twin")]
        weights = [1 + 10 * sum(each.startswith(f"{name}.") for each in self._wanted_fields) for name in twins]
        return self._random.choices(twins, weights, k=self._random.choice([0, 1, 1, 2]))

    def _leaf(self, name: str) -> str:
        return self._directed(f"a{next(self._numbers)}: {name}" if self._chance(8) else name)

    def _nested(self, kind: Any, name: str, depth: int) -> str:
        self._query.budget -= 1
        each = kind.fields[name]
        named = get_named_type(each.type)
        arguments = self._arguments(kind.name, name, each)
        alias = f"b{next(self._numbers)}: " if arguments or self._chance(10) else ""
        wraps = named.name.endswith("Connection") or named.name == "PageInfo"
        said = [
            self._directed(f"{alias}{name}{arguments}") + self._selection(named, depth if wraps else depth - 1)
            for _ in range(2 if self._chance(4) else 1)
        ]
        return " ".join(said)

    def _directed(self, text: str, percent: float = 6) -> str:
        if not self._chance(percent):
            return text
        yes = self._random.choice(["true", "false", ""]) or self._variable("Boolean!", self._chance(70))
        return f"{text} @{self._random.choice(['skip', 'include', 'include'])}(if: {yes})"

    def _arguments(self, owner: str, name: str, each: Any) -> str:
        drawn, order = {}, self._own_order(each)
        not_now = {"after"}
        if {"from", "last"} <= set(each.args) and not self._chance(4):  # a window, said one way or the other
            not_now |= {"from", "to", "last"}
            wanted = self._random.choice([["from"], ["from", "to"], ["last"]])
            drawn |= {one: self._said(each.args[one].type, self._window(one)) for one in wanted}
        if (owner, name) == ("Query", "system") and not self._chance(4):  # either of the two
            wanted = self._random.choice(["tag", "id"])
            not_now |= {"tag", "id"}
            drawn[wanted] = self._said(each.args[wanted].type, self._value(each.args[wanted].type, wanted), wanted)
        for argument_name, argument in each.args.items():
            if argument_name in not_now:
                continue
            if argument_name == "first":
                if self._chance(92):
                    drawn["first"] = self._said(argument.type, self._random.choice([1, 1, 2, 3, 7, 40]))
                continue
            if is_required_argument(argument) or self._chance(self._how_often(owner, name, argument_name)):
                value = self._value(argument.type, argument_name)
                if isinstance(value, dict) and isinstance(value.get("field"), Word):
                    order = value["field"].lower()
                if (name, argument_name) == ("search", "text") and self._chance(2):
                    value = " "  # which is refused
                drawn[argument_name] = self._said(argument.type, value, argument_name)
        if "after" in each.args and self._chance(self._how_often(owner, name, "after")):
            drawn["after"] = self._said(each.args["after"].type, self._place(order))
        return f"({', '.join(f'{key}: {value}' for key, value in drawn.items())})" if drawn else ""

    def _window(self, name: str) -> str:
        return self._random.choice(_WINDOWS[name])

    def _how_often(self, owner: str, name: str, argument: str) -> float:
        return 80 if f"{owner}.{name}({argument})" in self._wanted else 10 if argument == "after" else 25

    @staticmethod
    def _own_order(each: Any) -> str:
        said = mapping_of(each)
        pages = said.pages if isinstance(said, RootPages) else said
        return str(getattr(pages, "order", ""))

    def _place(self, order: str) -> str:
        """A cursor of this order, seldom one of another list or none at all."""
        if self._chance(6):
            return self._random.choice(["foreign", *(each for some in self._places.values() for each in some)])
        return self._random.choice(self._places[order])

    def _said(self, kind: Any, value: Any, name: str = "") -> str:
        """The value of an argument: as it is, or by a variable; seldom null."""
        if not isinstance(kind, GraphQLNonNull) and self._chance(4):
            value = None
        if self._chance(25):
            return self._changing(kind, value, name)
        return self._literal(kind, value)

    def _changing(self, kind: Any, value: Any, called: str) -> str:
        """A variable that has another value when the document is asked again; without a name it keeps its value."""
        said = self._variable(str(kind), value)
        if called:
            self._query.again[said[1:]] = self._value(kind, called)
        return said

    def _variable(self, kind: str, value: Any) -> str:
        name = f"v{next(self._numbers)}"
        self._query.declared.append(f"${name}: {kind}")
        self._query.variables[name] = value
        return f"${name}"

    def _literal(self, kind: Any, value: Any, name: str = "") -> str:
        kind = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
        if isinstance(value, dict):
            inside = {name: self._inner(kind.fields[name].type, each, name) for name, each in value.items()}
            return f"{{{', '.join(f'{name}: {each}' for name, each in inside.items())}}}"
        if isinstance(value, list):
            return f"[{', '.join(self._inner(kind.of_type, each, name) for each in value)}]"
        return value if isinstance(value, Word) else orjson.dumps(value).decode()

    def _inner(self, kind: Any, value: Any, name: str) -> str:
        return self._changing(kind, value, name) if self._chance(8) else self._literal(kind, value, name)

    def _value(self, kind: Any, name: str) -> Any:
        """A value of an input type, mostly one that means something in the plant."""
        kind = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
        if isinstance(kind, GraphQLList):
            return [self._value(kind.of_type, name) for _ in range(self._random.choice([0, 1, 1, 1, 2, 3]))]
        if isinstance(kind, GraphQLEnumType):
            (word,) = self._least(list(kind.values), kind.name, 1)
            self._query.inputs.add(f"{kind.name}.{word}")
            return Word(word)
        if isinstance(kind, GraphQLInputObjectType):
            return self._input(kind)
        drawn: dict[str, Sequence[Any]] = {
            "Int": [2, 5, 6, 200],
            "Boolean": [True, False],
            "Float": _NUMBERS,
            "DateTime": _TIMES,
            "Duration": ["P1D"],
        }
        drawn["ID"] = self._ids["twins"] if self._chance(85) else self._ids["others"]
        if kind.name in drawn:
            return self._random.choice(drawn[kind.name])
        some = ["T1", "T2", "none"] if name == "names" and self._chance(50) else _TEXTS.get(name, _TEXTS["name"])
        return self._random.choice(some)

    def _input(self, kind: GraphQLInputObjectType) -> dict[str, Any]:
        wanted = {name for name, each in kind.fields.items() if isinstance(each.type, GraphQLNonNull)}
        others = [name for name in kind.fields if name not in wanted]
        if kind.name == "TwinOrderBy":
            others.remove("sensor")
        wanted |= set(self._least(others, kind.name, self._random.choice([1, 1, 1, 2]))) if self._chance(90) else set()
        found = {name: self._value(kind.fields[name].type, name) for name in kind.fields if name in wanted}
        if (found.get("field") == "LATEST") is not self._chance(4) and "field" in found:
            found["sensor"] = self._random.choice(["T1", "T1", "T2"])
        self._query.inputs.update(f"{kind.name}.{name}" for name in found)
        return found
