"""An assessment stands where its asset stands, whoever writes it, whoever moves the asset and whoever comes first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction

from assets.models import Asset
from assets.services import NewAsset, change_asset, create_assets, move_asset
from tests.assets.test_locks import beside
from tests.waiting import wait_for_lock
from twins.models import Assessment
from twins.services.assessment import _upsert

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def trees() -> dict[str, Asset]:
    """A (system) > A1 (product) > A11, A12 (parts), and B (system)."""
    rows = [NewAsset(tag="A", name="A", level="system"), NewAsset(tag="A1", name="A1", level="product", parent="A")]
    rows += [NewAsset(tag=tag, name=tag, level="part", parent="A1") for tag in ("A11", "A12")]
    return create_assets(rows=[*rows, NewAsset(tag="B", name="B", level="system")])


def believe(asset: Asset, health: float = 50.0) -> Assessment:
    return Assessment.objects.create(asset=asset, source="model", health=health, coverage=1.0, assessed_at=NOW)


def places() -> dict[str, list[int]]:
    """Where each assessment says that its asset stands, and nothing else than where it does."""
    rows = Assessment.objects.select_related("asset")
    assert [row.asset.tag for row in rows if row.path != row.asset.path] == []
    return {row.asset.tag: row.path for row in rows}


def test_whoever_writes_an_assessment_says_nothing_of_its_place(trees: dict[str, Asset]) -> None:
    part, other = trees["A11"], trees["A12"]
    here, there = {"A11": part.path}, {"A12": other.path}
    row = believe(part)
    assert places() == here
    row.path = trees["B"].path
    row.save()
    assert places() == here
    Assessment.objects.update(path=[])
    assert places() == here
    Assessment.objects.filter(pk=part.pk).update(asset=other)
    assert places() == there
    row = Assessment(asset=other, source="model", health=10.0, coverage=1.0, assessed_at=NOW)
    _upsert([row, Assessment(asset=part, source="model", health=20.0, coverage=1.0, assessed_at=NOW)])
    assert places() == here | there
    assert dict(Assessment.objects.values_list("asset__tag", "health")) == {"A11": 20.0, "A12": 10.0}
    row.path = []
    Assessment.objects.bulk_create([row], update_conflicts=True, unique_fields=["asset"], update_fields=["path"])
    assert places() == here | there


def test_what_is_moved_takes_the_places_of_all_below_along(trees: dict[str, Asset]) -> None:
    for tag in ("A", "A1", "A11"):
        believe(trees[tag])
    a, b, product, part = (trees[tag].pk for tag in ("A", "B", "A1", "A11"))
    move_asset(asset=trees["A1"], parent=trees["B"])
    assert places() == {"A": [a], "A1": [b, product], "A11": [b, product, part]}
    changed = Asset.objects.get(tag="A11")
    changed.parent = None
    change_asset(asset=changed)
    assert places() == {"A": [a], "A1": [b, product], "A11": [part]}


def _assess(tag: str) -> Callable[[dict[str, Asset]], None]:
    return lambda trees: _upsert([Assessment(asset=trees[tag], source="model", health=5, coverage=1, assessed_at=NOW)])


def _move(trees: dict[str, Asset]) -> None:
    move_asset(asset=trees["A1"], parent=trees["B"])


class GivenUp(Exception):
    pass


@pytest.mark.parametrize("commits", [True, False], ids=["committed", "rolled back"])
@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
@pytest.mark.parametrize("moves_first", [True, False], ids=["move first", "assessment first"])
def test_a_move_and_an_assessment_do_not_miss_each_other(
    trees: dict[str, Asset], moves_first: bool, known: bool, commits: bool
) -> None:
    if known:
        believe(trees["A11"])
    first, second = (_move, _assess("A11")) if moves_first else (_assess("A11"), _move)
    with suppress(GivenUp), transaction.atomic():
        first(trees)
        waiting = beside(lambda: second(trees))
        wait_for_lock()
        if not commits:
            raise GivenUp
    waiting.join()
    moved, assessed = commits or not moves_first, known or commits or moves_first
    part = Asset.objects.get(tag="A11")
    assert part.root_id == trees["B" if moved else "A"].pk
    assert places() == ({"A11": part.path} if assessed else {})


def test_who_assesses_while_a_move_waits_may_refer_to_what_is_moved(trees: dict[str, Asset]) -> None:
    """A move that held its assets before the lock would wait for it for ever."""
    with transaction.atomic():
        _assess("A11")(trees)
        moving = beside(lambda: _move(trees))
        wait_for_lock()
        _assess("A12")(trees)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    moving.join()
    assert places() == {tag: Asset.objects.get(tag=tag).path for tag in ("A11", "A12")}
    assert {path[0] for path in places().values()} == {trees["B"].pk}


def test_moves_and_assessments_at_random_agree_in_the_end(trees: dict[str, Asset]) -> None:
    failures: list[Any] = []

    def again(act: Callable[[int], None]) -> threading.Thread:
        def run() -> None:
            try:
                for number in range(30):
                    act(number)
            except Exception as error:
                failures.append(error)

        return beside(run)

    def move(number: int) -> None:
        move_asset(asset=trees["A1"], parent=trees["AB"[number % 2]])

    def replace(number: int) -> None:
        Assessment.objects.filter(asset=trees["A11"]).delete()
        _assess("A11")(trees)
        _assess("A1")(trees)

    for thread in [again(move), again(replace), again(lambda _: _assess("A12")(trees))]:
        thread.join()
    assert failures == []
    assert set(places()) == {"A1", "A11", "A12"}
