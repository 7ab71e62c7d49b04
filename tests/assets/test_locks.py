"""Who changes trees at one time waits in one order, and whom the database gives up is told to try again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from assets.exceptions import ChangedMeanwhile, NotInstalled
from assets.models import Asset, AssetType, Design, Installation, Item
from assets.services import (
    NewAsset,
    NewInstallation,
    create_assets,
    create_items,
    create_records,
    install_items,
    move_asset,
    remove_item,
)
from assets.services._locks import hold_rows, lock_trees
from assets.services.placement import end_installations
from tests.waiting import PATIENCE, wait_for_lock

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def trees() -> dict[str, Asset]:
    return create_assets(rows=[NewAsset(tag=tag, name=tag, level="system") for tag in "ABCD"])


def at(hour: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)


def beside(act: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_tree_that_was_moved_while_one_waited_is_let_go(trees: dict[str, Asset]) -> None:
    """Beside a lock that is held, that of a root with a smaller id could come out of order."""
    held: list[int] = []

    def wait() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            lock_trees([trees["C"].pk], shared=False)
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()"
            )
            held.append(cursor.fetchone()[0])

    with transaction.atomic():
        move_asset(asset=trees["C"], parent=trees["A"])
        waiting = beside(wait)
        wait_for_lock()
    waiting.join(PATIENCE)
    assert held == [1]


def test_whom_the_database_gives_up_is_told_to_try_again(trees: dict[str, Asset]) -> None:
    ended: list[str] = []
    both = threading.Barrier(2)

    def move(first: str, second: str) -> Callable[[], None]:
        def act() -> None:
            try:
                with transaction.atomic():
                    move_asset(asset=trees[first], parent=None)
                    both.wait(PATIENCE)
                    move_asset(asset=trees[second], parent=None)
                ended.append("moved")
            except ChangedMeanwhile as error:
                ended.append(str(error))

        return act

    for thread in [beside(move("A", "B")), beside(move("B", "A"))]:
        thread.join(PATIENCE)
    assert sorted(ended) == ["Others change the same rows at this moment: nothing was changed, try again.", "moved"]


def test_an_item_that_is_scrapped_while_its_place_waits_keeps_the_end_it_got(trees: dict[str, Asset]) -> None:
    """Who ends an installation reads it once nobody else can end it."""
    [kind] = create_records(records=[AssetType(code="t", name="t")])
    [design] = create_records(records=[Design(type=kind, code="d", name="d")])
    [item] = create_items(items=[Item(design=design, serial_number="S")])
    install_items(installations=[NewInstallation(asset=trees["A"], item=item, start=at(1))])
    refused: list[str] = []

    def remove() -> None:
        try:
            remove_item(asset=trees["A"], at=at(41), reason="worn")
        except NotInstalled as error:
            refused.append(str(error))

    with transaction.atomic():
        # As who scraps it when it was installed only after that one had looked where it sits: the place is not held.
        hold_rows(Item, [item.pk])
        removing = beside(remove)
        wait_for_lock()
        end_installations(list(Installation.objects.all()), [(at(36), "cracked")])
    removing.join(PATIENCE)
    assert len(refused) == 1
    assert Installation.objects.get().period.upper == at(36)
