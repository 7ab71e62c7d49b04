"""What a role on a subtree shows: each field and each argument of the schema, by five roles, from within the subtree
and from beside it, over HTTP and WebSocket.

Drawn from the schema, so that a field that is added is tried as well. What may not be seen bears a mark in its texts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import httpx
import orjson
import pytest
from django.contrib.auth import get_user_model
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLUnionType,
    get_named_type,
    is_leaf_type,
    is_required_argument,
)

from assets.models import Role
from assets.services import give_role
from tests.waiting import PATIENCE
from twins.graphql.ids import Kind, global_id
from twins.graphql.schema import schema
from twins.services.tokens import create_token

from .conftest import Make, build
from .test_subscriptions import answered, connect

pytestmark = pytest.mark.full

OWN, FOREIGN = "GT1", "GT2"
MARKS = ("GT2", "PLANT", "Kraftwerk")
"""What is in the tags, names, serial numbers and keys of everything outside the subtree of OWN."""
AT_ONCE = 15
DEAR = ("reliability", "trackRecord", "healthChange")
"""Tried as fields of a twin, and not again of each twin of every list."""
SAMPLES = {"Int": "2", "Float": "70.5", "Boolean": "true", "Duration": '"P1D"', "DateTime": '"2026-02-28T12:00:00Z"'}


def sample(kind: Any, text: str) -> list[str]:
    """Values of an input type: of an input object one for each of its fields."""
    kind = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    if isinstance(kind, GraphQLList):
        return [f"[{value}]" for value in sample(kind.of_type, text)]
    if isinstance(kind, GraphQLEnumType):
        return [next(iter(kind.values))]
    if getattr(kind, "name", "") == "TwinOrderBy":
        return ["{field: HEALTH, descending: true}", '{field: LATEST, sensor: "T1"}']
    if isinstance(kind, GraphQLInputObjectType):
        required = {n: sample(f.type, text)[0] for n, f in kind.fields.items() if isinstance(f.type, GraphQLNonNull)}
        return [
            "{" + ", ".join(f"{n}: {v}" for n, v in {**required, name: value}.items()) + "}"
            for name, field in kind.fields.items()
            for value in sample(field.type, text)[:2]
        ]
    return [SAMPLES.get(kind.name, orjson.dumps(text).decode())]


def leaves(kind: Any, depth: int = 1) -> str:
    """Everything of an object that is told without arguments, and of what it holds so many steps further."""
    if isinstance(kind, GraphQLUnionType):
        return "{ __typename " + " ".join(f"... on {one.name} {leaves(one, 0)}" for one in kind.types) + " }"
    parts = ["__typename"]
    for name, field in kind.fields.items():
        named = get_named_type(field.type)
        if any(is_required_argument(argument) for argument in field.args.values()):
            continue
        if is_leaf_type(named):
            parts.append(name)
        elif name == "nodes" or (depth and name not in DEAR and not field.args):
            parts.append(f"{name} {leaves(named, 0 if name != 'nodes' else depth)}")
    return "{ " + " ".join(parts) + " }"


def asked(field: Any, text: str) -> Iterator[str]:
    """The arguments a field is tried with: those it needs, and beside them each other one in turn."""
    needed = {n: sample(a.type, text)[0] for n, a in field.args.items() if is_required_argument(a)}
    tried = [needed]
    if {"from", "last"} <= set(field.args):
        tried = [{**needed, "from": SAMPLES["DateTime"], "to": SAMPLES["DateTime"]}, {**needed, "last": '"P9D"'}]
    more = []
    for name, argument in field.args.items():
        # A cursor is a place of a list, and tried with the lists.
        for value in sample(argument.type, text) if name not in {"after", *tried[0], *tried[-1]} else ():
            more.append({**tried[-1], name: value})
    return (", ".join(f"{name}: {value}" for name, value in given.items()) for given in [*tried, *more])


def ways() -> dict[str, tuple[str, str]]:
    """From a twin to each type that can be reached from it: what stands before and behind a selection of it."""
    found = {"Twin": ("", "")}
    waiting = ["Twin"]
    while waiting:
        name = waiting.pop(0)
        before, behind = found[name]
        kind: Any = schema._schema.type_map[name]
        steps = {}
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            for one in schema._schema.get_possible_types(kind):
                steps[one.name] = f"... on {one.name}"
        for field_name, field in getattr(kind, "fields", {}).items():
            arguments = next(asked(field, OWN))
            steps.setdefault(get_named_type(field.type).name, f"{field_name}{f'({arguments})' if arguments else ''}")
        for other, step in steps.items():
            if other not in found and not is_leaf_type(schema._schema.type_map[other]):
                found[other] = (f"{before} {step} {{", f"}} {behind}")
                waiting.append(other)
    return found


def selections() -> Iterator[str]:
    """Selections on a twin that together try each field with each argument."""
    for name, (before, behind) in ways().items():
        kind: Any = schema._schema.type_map[name]
        if isinstance(kind, GraphQLUnionType):
            continue
        tried = []
        for number, (field_name, field) in enumerate(kind.fields.items()):
            named = get_named_type(field.type)
            for turn, arguments in enumerate(asked(field, FOREIGN)):
                below = "" if is_leaf_type(named) else leaves(named, int(turn == 0))
                given = f"({arguments})" if arguments else ""
                tried.append(f"f{number}_{turn}: {field_name}{given} {below}")
        for part in chunks(tried, AT_ONCE):
            yield f"{before} {' '.join(part)} {behind}"


def chunks(parts: list[str], size: int) -> Iterator[list[str]]:
    return (parts[start : start + size] for start in range(0, len(parts), size))


def documents(tag: str, ident: str) -> list[str]:
    """Documents that ask for everything of a twin, and by each root field for what can be had of it."""
    roots = []
    for name, field in schema._schema.query_type.fields.items():  # type: ignore[union-attr]
        below = leaves(get_named_type(field.type), 0)
        numbers = count()
        for arguments in asked(field, tag) if name != "system" else (f'tag: "{tag}"', f'id: "{tag}"'):
            given = arguments.replace(f"id: {orjson.dumps(tag).decode()}", f"id: {orjson.dumps(ident).decode()}")
            roots.append(f"r{next(numbers)}_{name}: {name}{f'({given})' if given else ''} {below}")
    whole = [f"query($tag: String!) {{ twin(tag: $tag) {{ {selection} }} }}" for selection in selections()]
    return whole + [f"{{ {' '.join(part)} }}" for part in chunks(roots, 4)]


class Asking:
    """Asks by tokens of each role on the subtree of OWN, and of nobody, who sees everything; over HTTP and by socket.

    Everybody asks a document before the next one is asked: so it is parsed and planned once.
    """

    def __init__(self, url: str) -> None:
        self._url, self.plant = url, build(Make())
        self._tokens = {"everything": create_token(name="all", scopes=["read"])[1]}
        for role in Role.values:
            user = get_user_model().objects.create_user(role)
            give_role(role=role, user=user, asset=self.plant[OWN])
            self._tokens[role] = create_token(name=role, scopes=["read"], user=user)[1]

    async def each(
        self, asked: Iterable[tuple[str, str]]
    ) -> AsyncIterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
        """Of each tag and query these and the answers by role, over HTTP and by socket."""
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(httpx.AsyncClient(verify=False, timeout=PATIENCE))
            sockets = {
                role: await stack.enter_async_context(connect(self._url, token))
                for role, token in self._tokens.items()
                if role != "everything"
            }
            for number, (tag, query) in enumerate(asked):
                given = {"tag": tag} if query.startswith("query") else {}
                asking = {role: token for role, token in self._tokens.items() if tag == OWN or role != "everything"}
                found = {role: await self._ask(client, token, query, given) for role, token in asking.items()}
                # Authorised by the same code: over the socket each document is asked by one of the roles.
                role = Role.values[number % len(Role)]
                yield tag, query, found, {role: await answered(sockets[role], query, **given)}

    async def _ask(self, client: httpx.AsyncClient, token: str, query: str, given: dict[str, str]) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return (
            await client.post(f"{self._url}/graphql/", json={"query": query, "variables": given}, headers=headers)
        ).json()


@pytest.fixture
def asking(live_server_asgi: str, settings: Any) -> Asking:
    logging.getLogger("httpx").setLevel(logging.WARNING)  # thousands of lines in front of what failed
    settings.TWINS = {**settings.TWINS, "QUERY_RATE": 1e6}
    return Asking(live_server_asgi)


def _marked(answer: Any) -> bool:
    text = orjson.dumps(answer).decode()
    return any(mark in text for mark in MARKS)


def test_every_field_and_argument_shows_a_role_its_subtree_and_nothing_beside(asking: Asking) -> None:
    pairs = (documents(tag, global_id(Kind.TWIN, asking.plant[tag].pk)) for tag in (OWN, FOREIGN))
    asked = [(tag, query) for pair in zip(*pairs, strict=True) for tag, query in zip((OWN, FOREIGN), pair, strict=True)]

    async def judge() -> None:
        async for tag, query, found, by_socket in asking.each(asked):
            everything = found.pop("everything", None)
            assert (everything is None) is (tag == FOREIGN) and "errors" not in (everything or {}), (query, everything)
            _judge(query, everything, found)
            _judge(query, everything, by_socket)

    asyncio.run(judge())


def _judge(query: str, everything: Any, found: dict[str, Any]) -> None:
    """`everything` is what there is to see; None: nothing of it is for these roles."""
    for role, answer in found.items():
        assert not _marked(answer.get("data")), (role, query, answer)
        if everything is None:
            assert not (answer.get("data") or {}).get("twin"), (role, query, answer)
        elif not _marked(everything):
            assert answer == everything, (role, query)
