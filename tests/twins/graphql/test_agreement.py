"""Thousands of generated queries get the same answer as one statement and by ordinary execution.

Compared after JSON: order of keys included, floats as doubles. Each is asked by somebody who sees everything, or a
subtree, or all but an asset in the middle. What the queries reached is counted where ordinary execution resolved it,
under root fields that were planned: in the full run that is each planned field, both with a value and as null where it
may be null, each argument, each field of an input and each word.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Awaitable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from inspect import isawaitable
from itertools import count
from typing import Any

import orjson
import pyarrow as pa
import pytest
from asgiref.sync import async_to_sync
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import Q
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    is_abstract_type,
)

from assets.models import Asset, Design, Installation, Item, MaintenanceEvent, Relation, Role, Sensor
from assets.permissions import Rights
from twins.graphql import context, loaders
from twins.graphql.answers import Operation
from twins.graphql.context import Context
from twins.graphql.execution import Execution
from twins.graphql.ids import Kind, global_id
from twins.graphql.planner import compiler
from twins.graphql.planner.selected import mapping_of
from twins.graphql.schema import KINDS, Executor, schema
from twins.http import alone
from twins.models import Assessment, HealthWarning
from twins.services.ingestion import accept_readings
from twins.services.principals import Principal

from .conftest import NOW, as_floats
from .drawing import GRAPH, MADE, Drawing, Drawn, document

AT_ONCE = 8
EXAMPLES = {"everything": (8, 100), "nothing": (2, 8)}
"""Documents of AT_ONCE queries, by what is seen, in the short run and in the full one; (4, 20) for all others."""
SEEN: dict[str, Any] = {
    "everything": None,
    "all but a part": ~Q(tag="GT1-B2"),
    "all but a product, and what is below it": ~Q(tag="GT2"),
    "a product without the system above": ["GT1"],
    "a part here and a system there": ["GT1-B1", "OTHER"],
    "two products side by side, and a part of one": ["GT1", "GT2", "GT1-B1"],
    "nothing": [],
}


class Asking:
    """Asks both ways, and remembers what ordinary execution resolved below which root field."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal
        self.told: dict[str, set[str]] = {}

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resolve, told = Executor.execute_field, self.told

        def resolving(executor: Any, parent: Any, source: Any, details: Any, path: Any, rest: Any) -> Any:
            result = resolve(executor, parent, source, details, path, rest)
            node, root = details[0].node, path
            while root.prev is not None:
                root = root.prev
            met = told.setdefault(root.key, set())
            field = f"{parent.name}.{node.name.value}"
            met.update(f"{field}({argument.name.value})" for argument in node.arguments or ())
            if isawaitable(result):
                return _noting(result, field, met)
            met.add(_found(field, result))
            return result

        monkeypatch.setattr(Executor, "execute_field", resolving)

    async def both(self, queries: list[Drawn], *, again: bool) -> tuple[Any, Any, set[str]]:
        """The result by statements, that of ordinary execution, and the root fields that statements answered."""
        text, variables = document(queries, again=again)
        given = Context(principal=self._principal, now=NOW)
        execution = Execution(Operation(text, variables), given)
        await execution.run()
        ordinary = Context(principal=self._principal, now=NOW)
        other = await schema.execute(text, variable_values=variables, context_value=ordinary)
        return execution.result, other, set(given.spliced)


async def _noting(result: Awaitable[Any], field: str, met: set[str]) -> Any:
    value = await result
    met.add(_found(field, value))
    return value


def _found(field: str, value: Any) -> str:
    return f"{field} is null" if value is None else field


class Reached:
    """What the queries of a run were about, and how many there were."""

    def __init__(self) -> None:
        self.met: set[str] = set()
        self.asked = self.answered = self.planned = 0

    async def compare(self, asking: Asking, queries: list[Drawn], *, again: bool = False) -> None:
        """All at once, or one by one where one of them leaves nothing of the whole answer."""
        planned, ordinary, spliced = await asking.both(queries, again=again)
        if len(queries) > 1 and (planned.data is None or ordinary.data is None):
            for query in queries:
                await self.compare(asking, [query], again=again)
            return
        for error in [*(planned.errors or ()), *(ordinary.errors or ())]:
            assert not error.message.startswith("Something went wrong"), (document(queries), error)
        as_told = [_by_root(each, queries) for each in (planned, ordinary)]
        for query, one, other in zip(queries, *as_told, strict=True):
            assert one == other, (document([query], again=again), planned.errors, ordinary.errors)
            self._count(asking, query, planned, spliced)

    def _count(self, asking: Asking, query: Drawn, planned: Any, spliced: set[str]) -> None:
        self.asked += 1
        failed = planned.data is None or any(error.path[0] == query.key for error in planned.errors or ())
        self.answered += not failed
        if query.key in spliced and not failed:
            self.planned += 1
            self.met |= asking.told.get(query.key, set()) | query.inputs


def _by_root(result: Any, queries: list[Drawn]) -> list[bytes]:
    """Of each query its part of the answer, and whether it has errors: which ones, when several fields fail at once,
    is a matter of timing. As texts the order of keys counts too, and 1 is 1.0."""
    data = orjson.loads(orjson.dumps(result.data))
    failed = {error.path[0] if error.path else None for error in result.errors or ()}
    return [
        orjson.dumps(
            [as_floats(data.get(query.key, "nothing")) if data else None, query.key in failed or None in failed]
        )
        for query in queries
    ]


@pytest.fixture
def odd_plant(standing_plant: dict[str, Asset], make: Any) -> dict[str, Asset]:
    """The plant, with each column that may be null once null and once not, and what JSON cannot say."""
    plant = standing_plant
    for tag in ("OTHER", 'Ü"\\ %s'):
        top = make.asset(tag, "system", name="100 % \\ \" ' \t\n ☃")
        make.asset("TWICE", "part", make.asset(f"{tag} 2", "system", top))
    lone = make.asset("LONE", "part")
    Assessment.objects.filter(asset=plant["GT1-B2"]).update(rul_p10=None, rul_p50=None, rul_p90=None, rul_unit="d")
    make.assessment(lone, 0.1, rul_p10=float("nan"), rul_p50=float("inf"), rul_unit="{cycle}", drivers=[])
    make.assessment(Asset.objects.get(tag="OTHER"), 1e-7, source="ageing", beyond_horizon=True)
    Assessment.objects.filter(asset=plant["GT1"]).update(rul_p10=1.5, rul_p50=20, rul_p90=40.5, rul_unit="d")
    Assessment.objects.exclude(asset=lone).update(
        drivers=[{"input": "a", "points": None}, {"input": "b"}, {"input": "ü%", "points": -3}],
        failure_probabilities=[{"horizon": 30, "probability": None}, {"horizon": None, "probability": 1e-300}],
        sources=[{"source": "ageing", "weight": 0.25, "health": None, "reason": "its age"},
                 {"source": "model", "weight": None, "health": 7, "reason": ""}],
    )  # fmt: skip
    item = Item.objects.get(serial_number="SN-GT1-B1")
    solo = make.asset("SOLO", "product")
    below = make.asset("SOLO-P", "product", solo)
    for tag in ("PLANT", "GT1", "SOLO", "GT1-B1"):
        said = {"item": item, "source": "model", "threshold": 0.5, "horizon_days": 20.0, "peak": 0.8}
        said |= {"asset": Asset.objects.get(tag=tag), "probability": 0.6, "raised_at": NOW, "last_at": NOW}
        HealthWarning.objects.create(**said)
        HealthWarning.objects.create(**said, cleared_at=NOW)
    Item.objects.filter(pk=item.pk).update(made_at=NOW, manufacturer="M")
    numbers = {"bore": 25, "much": 10**300, "exact": 2**70, "text": "NaN"}
    Design.objects.update(parameters=numbers, expected_life=float("inf"), planning_horizon=float("nan"))
    bearing = Design.objects.get().type
    other = Design.objects.create(type=bearing, code="O", name="Other", planning_horizon=20000.5, expected_life=1e5)
    some = Asset.objects.filter(tag__in=["PLANT", "GT1", "SOLO-P", "GT1-B2", "GT2-B1"])
    some.update(design=other, type=bearing, attributes={"power": 10**400, "nested": {"a": "NaN"}})
    spare = [Item(design=other, serial_number=f"N{number}") for number in range(3)]
    places = zip((plant["PLANT"], plant["GT1"], below), Item.objects.bulk_create(spare), strict=True)
    period = DateTimeTZRange(NOW, None)
    Installation.objects.bulk_create(Installation(asset=asset, item=each, period=period) for asset, each in places)
    ended = DateTimeTZRange(NOW - timedelta(days=30), NOW + timedelta(days=1))
    Relation.objects.bulk_create(
        Relation(source=plant[tag], target=below, kind=kind, period=ended)
        for tag in ("PLANT", "GT1", "GT1-B1", "GT1-B2")
        for kind in ("feeds", "cools")
    )
    told = Sensor.objects.filter(name="T1")
    told.update(expected_interval=60.0, valid_min=-1e300, valid_max=float("inf"))
    told.filter(asset=plant["GT1-B1"]).update(valid_max=1e3)
    events = MaintenanceEvent.objects.filter(kind="failure")
    events.update(ended_at=NOW, downtime_hours=2.5, cause="overload")
    events.filter(asset=plant["GT1-B2"]).update(downtime_hours=float("inf"))
    return plant


def _accept(sensors: list[Sensor]) -> None:
    """Readings that wait for compaction: of each sensor nine, a second apart."""
    rows = [(sensor.pk, NOW + timedelta(seconds=n), 7.0 * n - sensor.pk % 5) for sensor in sensors for n in range(9)]
    keys, times, values = zip(*rows, strict=True)
    columns = {
        "sensor": pa.array(keys, pa.int32()),
        "time": pa.array(times, pa.timestamp("us", "UTC")),
        "value": values,
    }
    answer = accept_readings(readings=pa.table(columns), source="test", now=datetime(2026, 3, 2, tzinfo=UTC))
    assert answer.batch is not None, answer


_ORDERS = ["TAG", "NAME", "CRITICALITY", "STATUS", "TYPE", "HEALTH", "LATEST"]


def _places(ask: Any) -> list[str]:
    """Cursors of several places in lists of every order."""
    lists = [f"""children(first: #, orderBy: {{field: {name}{', sensor: "T1"' if name == "LATEST" else ""}}})"""
             for name in _ORDERS]  # fmt: skip
    lists += ["events(first: #)", "relations(first: #)", "installations(first: #)", "sensors(first: #)"]
    numbered = [each.replace("#", str(most)) for each in lists for most in (1, 2)]
    pages = " ".join(f"p{number}: {each} {{ pageInfo {{ endCursor }} }}" for number, each in enumerate(numbered))
    twins = [f't{number}: twin(tag: "{tag}") {{ {pages} }}' for number, tag in enumerate(("GT1", "GT1-B1", "PLANT"))]
    answer = ask(f"{{ {' '.join(twins)} }}")
    assert answer.errors == []
    ends = {page["pageInfo"]["endCursor"] for twin in answer.data.values() for page in twin.values()}
    return sorted(end for end in ends if end)


def _ids(plant: dict[str, Asset]) -> dict[str, list[str]]:
    rows = [(Kind.ITEM, Item), (Kind.EVENT, MaintenanceEvent), (Kind.RELATION, Relation)]
    others = [global_id(kind, model.objects.order_by("pk")[0].pk) for kind, model in rows]  # type: ignore[attr-defined]
    others += [global_id(Kind.TWIN, 10**9), global_id(Kind.SENSOR, Sensor.objects.order_by("pk")[0].uuid), "foreign"]
    twins = ["PLANT", "GT1", "GT2", "GT1-B1", "GT2-B2"]
    return {"twins": [global_id(Kind.TWIN, plant[tag].pk) for tag in twins], "others": others}


@pytest.mark.parametrize("seen", SEEN)
def test_generated_queries_get_equal_answers_both_ways(
    ask: Any, odd_plant: dict[str, Asset], monkeypatch: Any, request: Any, seen: str
) -> None:
    full = request.config.option.full
    examples = int(os.environ.get("TWINS_TEST_EXAMPLES", "0")) or EXAMPLES.get(seen, (4, 20))[full]
    if seen != "a product without the system above":
        _accept(list(Sensor.objects.filter(asset__tag__in=["GT1-B1", "GT1-B2", "GT2-B3"]).order_by("pk")[:5]))
    all_wanted, there_is = full and seen == "everything", set(_all_there_is())
    drawing = Drawing(zlib.crc32(seen.encode()), _places(ask), _ids(odd_plant), there_is)
    # Once as on a connection that is lent, else as on one that is kept, where the server binds and prepares.
    monkeypatch.setattr(alone._thread, "owns", seen != "all but a part", raising=False)
    asking, reached = Asking(_principal(seen, monkeypatch)), Reached()
    asking.install(monkeypatch)

    async def run() -> None:
        for number in count():
            if number >= examples and (number >= 2 * examples or not all_wanted or there_is <= reached.met):
                break
            queries = [drawing.query() for _ in range(AT_ONCE)]
            await reached.compare(asking, queries)
            drawing.want(there_is - reached.met)
            if number % 4 == 0:  # the same statements with other values
                await reached.compare(asking, queries, again=True)

    begun = time.process_time()
    async_to_sync(run)()
    seconds = time.process_time() - begun
    counts = f"{reached.asked} queries, {reached.answered} answered, {reached.planned} in one statement"
    print(f"{counts}, {len(reached.met)} fields, arguments and words, {seconds:.1f} s of processor time")
    assert reached.asked >= (examples + examples // 4) * AT_ONCE
    # Drawing is worth something only while most of what is drawn is valid and planned.
    assert (reached.planned > 0.5 * reached.asked, reached.answered > 0.7 * reached.asked) == (True, True)
    if all_wanted:
        missed = " ".join(sorted(there_is - reached.met))
        assert not missed, missed


def test_a_table_without_its_predicate_is_found_by_the_first_queries(
    ask: Any, odd_plant: dict[str, Asset], monkeypatch: Any
) -> None:
    monkeypatch.setattr(compiler, "seen_of", lambda key, it: [])
    drawing = Drawing(7, _places(ask), _ids(odd_plant))
    asking, reached = Asking(_principal("a product without the system above", monkeypatch)), Reached()

    async def run() -> None:
        for _ in range(10):
            await reached.compare(asking, [drawing.query() for _ in range(AT_ONCE)])

    with pytest.raises(AssertionError, match="query"):
        async_to_sync(run)()


def _principal(seen: str, monkeypatch: Any) -> Principal:
    visible, rights, proof = SEEN[seen], Rights.all(), None
    if isinstance(visible, Q):
        for module in (context, loaders):
            monkeypatch.setattr(module, "visible_assets", lambda principal: visible)
    elif visible is not None:
        tops = [Asset.objects.get(tag=tag) for tag in visible]
        grants = frozenset((Role.VIEWER, top.pk) for top in tops)
        # What is proven may be looked for place by place.
        rights, proof = Rights(grants=grants, paths=frozenset(tuple(top.path) for top in tops)), ("true", ())
    return Principal(user=object(), scopes=frozenset({"read"}), rights=rights, proof=proof)


def _all_there_is() -> Iterator[str]:
    """As `Reached.met` names it: all that can be asked for in one statement."""
    for kind in _planned_types(GRAPH.query_type, {}).values():
        for name, each in kind.fields.items():
            if not _is_planned(kind, each):
                continue
            yield f"{kind.name}.{name}"
            if not isinstance(each.type, GraphQLNonNull):
                yield f"{kind.name}.{name} is null"
            yield from (f"{kind.name}.{name}({argument})" for argument in each.args)
    for kind in _inputs([a.type for each in _planned_fields() for a in each.args.values()], {}).values():
        names = kind.fields if isinstance(kind, GraphQLInputObjectType) else kind.values
        yield from (f"{kind.name}.{name}" for name in names)


def _is_planned(kind: Any, each: Any) -> bool:
    return kind.name.endswith(MADE) or mapping_of(each) is not None


def _planned_fields() -> list[Any]:
    types = _planned_types(GRAPH.query_type, {}).values()
    return [each for kind in types for each in kind.fields.values() if _is_planned(kind, each)]


def _planned_types(kind: Any, met: dict[str, Any]) -> dict[str, Any]:
    """The object types that can be asked for from here in one statement."""
    kinds = GRAPH.get_possible_types(kind) if is_abstract_type(kind) else [kind]
    for each in kinds:
        said = KINDS.get(kind.name)
        if isinstance(each, GraphQLObjectType) and each.name not in met and (said is None or each.name in said.values):
            met[each.name] = each
            for field in each.fields.values():
                if _is_planned(each, field):
                    _planned_types(get_named_type(field.type), met)
    return met


def _inputs(kinds: Iterable[Any], met: dict[str, Any]) -> dict[str, Any]:
    """The inputs and enums that these types are made of."""
    for kind in map(get_named_type, kinds):
        if isinstance(kind, GraphQLInputObjectType | GraphQLEnumType) and kind.name not in met:
            met[kind.name] = kind
            if isinstance(kind, GraphQLInputObjectType):
                _inputs([each.type for each in kind.fields.values()], met)
    return met
