"""Whoever sees a few places near the root gets the worst of each place by its index, and the same answer as ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets.models import Asset
from assets.services import NewAsset, create_assets, give_role, move_asset
from tests.waiting import PATIENCE
from twins.services import principals
from twins.services.principals import Places, Principal
from twins.services.tokens import create_token

WORST = """query($first: Int = 50, $after: String, $level: Level, $where: TwinFilter) {
    worst(first: $first, after: $after, level: $level, where: $where) {
    totalCount nodes { tag health { score } parent { tag } } pageInfo { hasNextPage endCursor } } }"""
Reader = Callable[..., Principal]


@pytest.fixture
def trees(make: Any) -> dict[str, Asset]:
    """A and B (systems) > A1, A2, B1, B2 (products) > A11, A12, ... (parts), health all over the place, B2 without."""
    rows = []
    for top in "AB":
        rows.append(NewAsset(tag=top, name=top, level="system"))
        for product in (f"{top}1", f"{top}2"):
            rows.append(NewAsset(tag=product, name=product, level="product", parent=top))
            rows += [NewAsset(tag=product + n, name=n, level="part", parent=product) for n in "12345"]
    made = create_assets(rows=rows)
    for number, (tag, asset) in enumerate(made.items()):
        if tag != "B2":
            make.assessment(asset, number * 37 % 23 // 2)
    return made


@pytest.fixture
def reader(trees: dict[str, Asset]) -> Reader:
    """Whoever has a token and sees what stands below some assets."""

    def of(*tags: str) -> Principal:
        name = " ".join(tags) or "nothing"
        user = get_user_model().objects.create_user(name)
        for tag in tags:
            give_role(role="viewer", user=user, asset=trees[tag])
        found = principals.remembered_reader(create_token(name=name, scopes=["read"], user=user)[1])
        assert found is not None
        return found

    return of


SEEN: dict[tuple[str, ...], tuple[int, tuple[str, ...]] | None] = {
    ("A",): (1, ("A",)),
    ("A", "B"): (1, ("A", "B")),
    ("B1",): (2, ("B1",)),
    ("A1", "B2"): (2, ("A1", "B2")),
    ("A1", "A", "A12", "A2"): (1, ("A",)),
    ("A11",): (3, ("A11",)),
    ("A1", "B"): None,
    (): None,
}


@pytest.mark.parametrize("tags", SEEN, ids=" ".join)
def test_the_worst_are_those_of_ordinary_execution_page_by_page(
    ask: Any, trees: dict[str, Asset], reader: Reader, tags: tuple[str, ...]
) -> None:
    principal, expected = reader(*tags), SEEN[tags]
    wanted = None if expected is None else Places(expected[0], tuple(trees[tag].pk for tag in expected[1]))
    assert principals.places(principal) == wanted
    for given in ({}, {"level": "PART"}, {"where": {"tag": {"startsWith": "A"}}}, {"first": 1000}):
        after, met = None, 0
        while True:
            fields = {"first": 4, **given, "after": after}
            with CaptureQueriesContext(connection) as captured:
                planned = ask(WORST, principal=principal, splice=True, **fields)["worst"]
            assert [("h.path[" in each["sql"]) for each in captured] == [wanted is not None]
            assert planned == ask(WORST, principal=principal, **fields)["worst"]
            met += len(planned["nodes"])
            after = planned["pageInfo"]["endCursor"]
            if not planned["pageInfo"]["hasNextPage"]:
                break
        assert met == planned["totalCount"]


def test_what_hangs_far_from_the_root_or_in_many_places_is_found_as_ever(
    ask: Any, trees: dict[str, Asset], reader: Reader
) -> None:
    rows = [NewAsset(tag="A111", name="deep", level="part"), NewAsset(tag="A1111", name="deeper", level="part")]
    trees |= create_assets(rows=rows[:1], under=trees["A11"])
    deep = reader("A111")
    assert (len(trees["A111"].path), principals.places(deep)) == (4, None)
    more = create_assets(rows=[NewAsset(tag=f"C{n}", name="C", level="system") for n in range(9)])
    trees |= more
    assert principals.places(reader(*list(more)[:8])) is not None
    assert principals.places(reader(*more)) is None


def test_the_index_of_the_depth_is_gone_through(ask: Any, make: Any, trees: dict[str, Asset], reader: Reader) -> None:
    others = create_assets(rows=[NewAsset(tag=f"C{n}", name="C", level="system") for n in range(300)])
    for number, asset in enumerate(others.values()):
        make.assessment(asset, number % 23)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE twins_assessment, twins_assets_asset")
    for tag, depth in (("A", 1), ("A1", 2), ("A11", 3)):
        principal = reader(tag)
        with CaptureQueriesContext(connection) as captured:
            ask("{ worst(first: 3) { nodes { tag } } }", principal=principal, splice=True)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
            cursor.execute("EXPLAIN " + captured[0]["sql"].partition("; ")[2])
            told = " ".join(line for (line,) in cursor.fetchall())
        assert f"Index Scan using assessment_worst_below_{depth} on" in told, told


@pytest.mark.django_db(transaction=True)
def test_what_is_moved_is_found_where_it_is_at_once(trees: dict[str, Asset], live_server_asgi: str) -> None:
    user = get_user_model().objects.create_user("ann")
    give_role(role="viewer", user=user, asset=trees["A1"])
    token = create_token(name="ann", scopes=["read"], user=user)[1]
    body = {"query": "{ worst(first: 100) { nodes { tag } } }", "extensions": {"cost": True}}
    with httpx.Client(verify=False, base_url=live_server_asgi, timeout=PATIENCE) as http:

        def sees() -> set[str]:
            answer = http.post("/graphql/", json=body, headers={"Authorization": f"Bearer {token}"}).json()
            return {node["tag"] for node in answer["data"]["worst"]["nodes"]}

        own = {"A1", *(f"A1{n}" for n in "12345")}
        assert (sees(), sees()) == (own, own)
        move_asset(asset=trees["A1"], parent=trees["B1"])  # another tree and another depth
        assert (sees(), sees()) == (own, own)
        move_asset(asset=trees["A2"], parent=trees["A1"])
        both = {*own, "A2", *(f"A2{n}" for n in "12345")}
        assert (sees(), sees()) == (both, both)
        move_asset(asset=trees["A1"], parent=None)
        assert (sees(), sees()) == (both, both)
        move_asset(asset=trees["A2"], parent=trees["B"])
        assert (sees(), sees()) == (own, own)
