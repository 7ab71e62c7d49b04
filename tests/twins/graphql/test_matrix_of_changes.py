"""What a role on a subtree may change: each mutation with each field of its input, by five roles, in the subtree and
beside it, over HTTP and WebSocket.

What is allowed is written; what is refused is a typed answer, and nothing in the database is another. Where a row names
several things, each of them is also the only one that lies beside the subtree. Drawn from the schema: a mutation or a
field of an input that is added fails here until it is said how it is tried.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import count, cycle
from typing import Any, NamedTuple

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from graphql import GraphQLInputObjectType, get_named_type, is_required_input_field

from assets.models import (
    Asset,
    AssetType,
    Design,
    ExternalReference,
    FailureCode,
    Installation,
    Item,
    Relation,
    Role,
    Sensor,
)
from assets.services import NewAsset, create_assets, give_role
from tests.waiting import PATIENCE
from twins.graphql.ids import Kind, global_id
from twins.graphql.schema import schema
from twins.services.tokens import create_token

from .conftest import NOW
from .test_subscriptions import answered, connect

pytestmark = pytest.mark.full

MUTATIONS: Any = schema._schema.mutation_type.fields  # type: ignore[union-attr]
PLACES = 320
AT_ONCE = 12
MAY = {
    # Whoever may send at all sends to any sensor, as over `ingest`: readings come from machines, not from roles.
    "sendReadings": set(Role),
}
"""Who may, where it is not everybody but viewers."""
SHOWN = {
    "upsertAssets": "... on UpsertDone { refused nodes { reason } }",
    "sendReadings": "... on ReadingsTaken { rejected nodes { reason } }",
}
"""What beside its type tells whether an answer is one of something done."""
Given = dict[str, Any]
Document = tuple[str, Given]


class Side:
    """A product with places, and all that can be named of it."""

    numbers = count()

    def __init__(self, product: Asset, design: Design, *, own: bool) -> None:
        """What is `own` is used up, once each; what is not never changes."""
        again = iter if own else cycle
        self.product, self.design = product, design
        places = Asset.objects.filter(parent=product).order_by("pk")
        self._empty = again([row.pk for row in places if row.status == "standby"])
        self._used = again([row for row in places if row.status == "operating"])
        self._items = again(Item.objects.filter(serial_number__startswith=f"{product.tag} spare").order_by("pk"))
        self._relations = again(Relation.objects.filter(source=product).order_by("pk"))
        self._sensor = str(Sensor.objects.get(asset=product).uuid)

    def fresh(self) -> str:
        return f"N{next(self.numbers)}"

    def empty(self) -> str:
        """A place where nothing is installed."""
        return global_id(Kind.TWIN, next(self._empty))

    def used(self) -> str:
        """A place with an item."""
        return global_id(Kind.TWIN, next(self._used).pk)

    def top(self) -> str:
        return global_id(Kind.TWIN, self.product.pk)

    def item(self) -> str:
        return global_id(Kind.ITEM, next(self._items).pk)

    def made_to(self) -> Given:
        return {"code": self.design.code}

    def relation(self) -> str:
        return global_id(Kind.RELATION, next(self._relations).pk)

    def sensor(self) -> str:
        return self._sensor

    def tag(self) -> str:
        return next(self._used).tag


def _at(hours: int) -> str:
    return (NOW + timedelta(hours=hours)).isoformat()


NEEDED: dict[str, dict[str, Callable[[Side], Any]]] = {
    "NewAssetInput": {"tag": Side.fresh, "name": lambda _: "New", "level": lambda _: "PART"},
    "AssetChange": {"id": Side.used, "name": lambda _: "Changed"},
    "AssetMove": {"id": Side.used, "parent": Side.empty},
    "NewSensorInput": {"asset": Side.used, "name": Side.fresh, "quantity": lambda _: "speed"},
    "NewItemInput": {"design": Side.made_to, "serialNumber": Side.fresh},
    "NewInstallationInput": {"asset": Side.empty, "item": Side.item, "since": lambda _: _at(1)},
    "RemovalInput": {"asset": Side.used, "at": lambda _: _at(1), "reason": lambda _: "worn"},
    "ReplacementInput": {"asset": Side.used, "item": Side.item, "at": lambda _: _at(1), "reason": lambda _: "worn"},
    "NewRelationInput": {
        "source": Side.used, "target": Side.empty, "kind": lambda _: "COOLS", "since": lambda _: _at(1),
    },
    "NewEventInput": {"asset": Side.used, "kind": lambda _: "INSPECTION", "startedAt": lambda _: _at(1)},
    "AssetRow": {"tag": Side.tag, "site": lambda _: "PLANT", "name": lambda _: "Changed"},
    "ReadingInput": {"sensor": Side.sensor, "time": lambda _: _at(-next(Side.numbers)), "value": lambda _: 1.5},
}  # fmt: skip
"""What a row needs that is taken, by input: each value is made of the side that it lies on."""
MORE: dict[str, Callable[[Side], Any]] = {
    "NewAssetInput.parent": Side.tag,
    "NewAssetInput.type": lambda _: "bearing",
    "NewAssetInput.design": Side.made_to,
    "AssetChange.tag": Side.fresh,
    "AssetChange.level": lambda _: "PART",
    "AssetChange.type": lambda _: "bearing",
    "AssetChange.design": Side.made_to,
    "NewInstallationInput.until": lambda _: _at(2),
    "NewInstallationInput.removalReason": lambda _: "worn",
    "NewItemInput.manufacturer": lambda _: "M",
    "NewItemInput.build": lambda _: {"batch": 1},
    "NewItemInput.acceptance": lambda _: {"noise": 3.5},
    "NewItemInput.madeAt": lambda _: _at(-1),
    "NewRelationInput.until": lambda _: _at(2),
    "NewEventInput.endedAt": lambda _: _at(2),
    "NewEventInput.item": Side.item,
    "NewEventInput.downtimeHours": lambda _: 2.5,
    "AssetRow.externalKey": Side.fresh,
    "AssetRow.externalKind": lambda _: "place",
    "AssetRow.parent": lambda side: side.product.tag,
    "AssetRow.parentKey": lambda side: f"K-{side.product.tag}",
    "AssetRow.level": lambda _: "PART",
    "AssetRow.type": lambda _: "bearing",
    "AssetRow.typeKey": lambda _: "K-bearing",
    "AssetRow.design": lambda side: side.design.code,
    "AssetRow.revision": lambda _: "A",
    "AssetRow.designKey": lambda side: f"K-{side.design.code}",
    "ReadingInput.quality": lambda _: 0,
    **{f"{name}.criticality": lambda _: 4 for name in ("NewAssetInput", "AssetChange", "AssetRow")},
    **{f"{name}.status": lambda _: "STANDBY" for name in ("NewAssetInput", "AssetChange", "AssetRow")},
    **{f"{name}.attributes": lambda _: {"power": 1.5} for name in ("NewAssetInput", "AssetChange", "AssetRow")},
    **{f"NewSensorInput.{name}": lambda _: 60.0 for name in ("expectedInterval", "validMin", "validMax")},
    "NewSensorInput.unit": lambda _: "mm/s",
    "NewSensorInput.role": lambda _: "SETTING",
    **{f"{name}.note": lambda _: "Note" for name in ("NewRelationInput", "NewEventInput")},
    "NewEventInput.mode": lambda _: "wear",
    "NewEventInput.cause": lambda _: "dirt",
}
"""Values of all other fields, tried one at a time beside what is needed."""
ALONG = {
    "AssetRow.externalKind": ["externalKey"],
    "AssetRow.revision": ["design"],
    "NewInstallationInput.removalReason": ["until"],
    "NewEventInput.cause": ["mode"],
}
"""What else a field is tried with."""
OTHERS: dict[str, dict[str, Callable[[Side], Any]]] = {
    "createAssets": {"under": Side.top},
    "endRelations": {"rows": lambda side: [side.relation()], "at": lambda _: _at(1)},
    "upsertAssets": {"source": lambda _: "SAP"},
}
"""Arguments beside the rows and the key that are always given."""
NAMING = {
    "id", "parent", "asset", "item", "source", "target", "design", "sensor", "under", "designKey", "parentKey", "tag",
}  # fmt: skip
"""Fields and arguments that name something of a side; a tag does where it is that of an asset which is there."""


class Cell(NamedTuple):
    """A mutation that is tried, and what is tried of it; `naming` are the things it names, by field."""

    mutation: str
    field: str
    make: Callable[[Callable[[str], Side]], Given]
    naming: tuple[str, ...]


Tried = tuple[Cell, Given]


def cells() -> Iterator[Cell]:
    for mutation, said in MUTATIONS.items():
        rows = next(name for name in said.args if name in ("rows", "input"))
        others = OTHERS.get(mutation, {})
        kind = get_named_type(said.args[rows].type)
        for argument in said.args:
            if argument not in (rows, "key", *others):
                assert argument == "dryRun", f"say in OTHERS how {mutation}({argument}:) is tried"
                yield _cell(mutation, kind, argument, rows, {**others, "dryRun": lambda _: True})
        yield _cell(mutation, kind, "key", rows, {**others, "key": Side.fresh})
        if isinstance(kind, GraphQLInputObjectType):
            for field in kind.fields:
                yield _cell(mutation, kind, field, rows, others)


def _cell(mutation: str, kind: Any, field: str, rows: str, others: dict[str, Callable[[Side], Any]]) -> Cell:
    values: dict[str, Callable[[Side], Any]] = {}
    if isinstance(kind, GraphQLInputObjectType):
        values = dict(NEEDED[kind.name])
        assert {name for name, each in kind.fields.items() if is_required_input_field(each)} <= set(values), kind.name
        for name in (field, *ALONG.get(f"{kind.name}.{field}", ())):
            if name in kind.fields and name not in values:
                assert f"{kind.name}.{name}" in MORE, f"say in MORE how {kind.name}.{name} is tried"
                values[name] = MORE[f"{kind.name}.{name}"]
    naming = [name for name in [*values, *others] if name in NAMING and (mutation, name) not in _NAMING_NOTHING]

    def make(side: Callable[[str], Side]) -> Given:
        row = {name: value(side(name)) for name, value in values.items()}
        given = {name: value(side(name if name != rows else "id")) for name, value in others.items()}
        return {**({rows: [row]} if values else {}), **given}

    return Cell(mutation, field, make, tuple(naming) if values else ("id",))


_NAMING_NOTHING = {("createAssets", "tag"), ("changeAssets", "tag"), ("upsertAssets", "source")}


def build() -> tuple[Side, Side]:
    """PLANT with a product of somebody and one beside it; each has a design of its own, and spare items."""
    rows = [NewAsset(tag="PLANT", level="system", name="Plant")]
    for tag in ("OWN", "BESIDE"):
        rows.append(NewAsset(tag=tag, level="product", name=tag, parent="PLANT"))
        for number in range(PLACES):
            status = "standby" if number % 4 == 0 else "operating"
            rows.append(NewAsset(tag=f"{tag}-{number}", level="part", name="Part", parent=tag, status=status))
    assets = create_assets(rows=rows)
    kind = AssetType.objects.create(code="bearing", name="Bearing")
    ExternalReference.objects.create(system="SAP", key="K-bearing", type=kind)
    FailureCode.objects.create(type=kind, code="wear")
    FailureCode.objects.create(type=kind, code="dirt", kind="cause")
    return _furnished(assets, "OWN", kind), _furnished(assets, "BESIDE", kind)


def _furnished(assets: dict[str, Asset], tag: str, kind: AssetType) -> Side:
    design = Design.objects.create(type=kind, code=f"D-{tag}", name=tag)
    product, places = assets[tag], [asset for asset in assets.values() if asset.parent_id == assets[tag].pk]
    Asset.objects.filter(parent=product).update(type=kind, design=design)
    used = [asset for asset in places if asset.status == "operating"]
    items = [Item(design=design, serial_number=f"{tag} {number}") for number in range(len(used))]
    items += [Item(design=design, serial_number=f"{tag} spare {number}") for number in range(60)]
    items = Item.objects.bulk_create(items)
    ago, since = NOW - timedelta(days=9), NOW - timedelta(days=8)
    now = DateTimeTZRange(since, None)
    placed = [Installation(asset=asset, item=item, period=now) for asset, item in zip(used, items, strict=False)]
    # An item that was here once is of here.
    once = [(DateTimeTZRange(ago + timedelta(minutes=n), ago + timedelta(minutes=n + 1)), item)
            for n, item in enumerate(items[len(used):])]  # fmt: skip
    placed += [Installation(asset=used[0], item=item, period=period) for period, item in once]
    Installation.objects.bulk_create(placed)
    Relation.objects.bulk_create(Relation(source=product, target=each, kind="feeds", period=now) for each in used[:40])
    Sensor.objects.create(asset=product, name="T", quantity="temperature", unit="Cel")
    for target, row in (("asset", product), ("design", design)):
        ExternalReference.objects.create(
            system="SAP", key=f"K-{row.tag if target == 'asset' else row.code}", **{target: row}
        )
    return Side(product, design, own=tag != "BESIDE")


class Changing:
    """Asks mutations by a role on a product, over HTTP or by socket; `reads` by a token that may not write."""

    def __init__(self, url: str, role: str) -> None:
        self._url = url
        self.own, self.beside = build()
        user = get_user_model().objects.create_user(role)
        give_role(role=role, user=user, asset=self.own.product)
        scopes = {"writes": ["read", "write", "ingest"], "reads": ["read"]}
        self._tokens = {name: create_token(name=name, scopes=each, user=user)[1] for name, each in scopes.items()}

    def ask(self, documents: list[Document], token: str = "writes") -> list[Any]:
        headers = {"Authorization": f"Bearer {self._tokens[token]}"}
        with httpx.Client(verify=False, base_url=self._url, headers=headers, timeout=PATIENCE) as client:
            return [client.post("/graphql/", json={"query": q, "variables": v}).json() for q, v in documents]

    def ask_by_socket(self, documents: list[Document]) -> list[Any]:
        async def asking() -> list[Any]:
            async with connect(self._url, self._tokens["writes"]) as socket:
                return [await answered(socket, query, **variables) for query, variables in documents]

        return asyncio.run(asking())


@pytest.fixture
def changing(live_server_asgi: str, settings: Any, role: str) -> Changing:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings.TWINS = {**settings.TWINS, "QUERY_RATE": 1e6}
    return Changing(live_server_asgi, role)


def _documents(tried: Sequence[Tried], at_once: int = AT_ONCE) -> list[Document]:
    found = []
    for start in range(0, len(tried), at_once):
        fields, declared, variables = [], [], {}
        for number, (cell, given) in enumerate(tried[start : start + at_once], start):
            said = MUTATIONS[cell.mutation].args
            names = {name: f"v{number}_{name}" for name in given}
            declared += [f"${names[name]}: {said[name].type}" for name in given]
            variables |= {names[name]: value for name, value in given.items()}
            arguments = ", ".join(f"{name}: ${names[name]}" for name in given)
            shown = f"__typename ... on Refusal {{ code message }} {SHOWN.get(cell.mutation, '')}"
            fields.append(f"m{number}: {cell.mutation}({arguments}) {{ {shown} }}")
        found.append((f"mutation({', '.join(declared)}) {{ {' '.join(fields)} }}", variables))
    return found


def _state() -> list[Any]:
    """A digest of each of our tables, but of what was answered: that an upsert is refused is an answer to its key."""
    tables = connection.introspection.table_names()
    names = sorted(name for name in tables if name.startswith("twins_") and name != "twins_keptanswer")
    digest = "SELECT '{0}', count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {0} t"
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(digest.format(name) for name in names))
        return sorted(cursor.fetchall())


def _judge(tried: Sequence[Tried], answers: list[Any], *, done: bool) -> None:
    told = {}
    for answer in answers:
        assert answer.get("data"), answer
        told |= answer["data"]
    for number, (cell, given) in enumerate(tried):
        answer = told[f"m{number}"]
        refused = answer["__typename"] == "Refusal" or bool(answer.get("refused") or answer.get("rejected"))
        assert refused is not done, (cell.mutation, cell.field, given, answer)
        if answer["__typename"] == "Refusal":
            assert answer["code"] in ("NOT_ALLOWED", "INVALID_VALUE"), (cell.mutation, cell.field, answer)


@pytest.mark.parametrize("role", Role.values)
def test_every_mutation_and_field_of_its_input_changes_the_subtree_of_a_role_and_nothing_beside(
    changing: Changing, role: str
) -> None:
    # Authorised by the same code: over the socket each of them is tried by one of the roles.
    shared = lambda some: some[list(Role.values).index(role) :: len(Role)]  # noqa: E731
    own, beside, all_cells = changing.own, changing.beside, list(cells())
    allowed = [cell for cell in all_cells if role in MAY.get(cell.mutation, set(Role) - {Role.VIEWER})]
    refused = [(cell, cell.make(lambda _: own)) for cell in all_cells if cell not in allowed]
    by_role = [cell for cell in all_cells if cell.mutation != "sendReadings"]
    refused += [(cell, cell.make(lambda _: beside)) for cell in by_role]
    for cell in by_role:
        if cell.field in cell.naming and len(cell.naming) > 1:
            refused.append((cell, cell.make(lambda name, alone=cell.field: beside if name == alone else own)))
    before = _state()
    _judge(refused, changing.ask(_documents(refused)), done=False)
    _judge(shared(refused), changing.ask_by_socket(_documents(shared(refused))), done=False)
    for answer in changing.ask(_documents([(cell, cell.make(lambda _: own)) for cell in all_cells[::5]], 1), "reads"):
        assert (answer["data"], answer["errors"][0]["extensions"]["code"]) == (None, "FORBIDDEN")
    assert _state() == before
    tried = [(cell, cell.make(lambda _: own)) for cell in allowed]
    _judge(tried, changing.ask(_documents(tried)), done=True)
    again = [(cell, cell.make(lambda _: own)) for cell in shared(allowed)]
    _judge(again, changing.ask_by_socket(_documents(again)), done=True)
    assert (_state() == before) is (not allowed)
