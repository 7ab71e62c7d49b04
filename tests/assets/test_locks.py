"""Who changes trees at one time waits in one order, and whom the database gives up is told to try again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from assets.exceptions import ChangedMeanwhile
from assets.models import Asset
from assets.services import NewAsset, create_assets, move_asset
from assets.services._locks import lock_trees

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def trees() -> dict[str, Asset]:
    return create_assets(rows=[NewAsset(tag=tag, name=tag, level="system") for tag in "ABCD"])


def beside(act: Callable[[], None]) -> threading.Thread:
    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_until(question: str, expected: int) -> None:
    """Until a count that the database gives is reached."""
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute(question)
            if cursor.fetchone()[0] == expected:
                return
        time.sleep(0.02)
    raise AssertionError(f"{question} did not come to {expected}")


WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


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
        wait_until(WAITING, 1)
    waiting.join(10)
    assert held == [1]


def test_whom_the_database_gives_up_is_told_to_try_again(trees: dict[str, Asset]) -> None:
    ended: list[str] = []
    both = threading.Barrier(2)

    def move(first: str, second: str) -> Callable[[], None]:
        def act() -> None:
            try:
                with transaction.atomic():
                    move_asset(asset=trees[first], parent=None)
                    both.wait(10)
                    move_asset(asset=trees[second], parent=None)
                ended.append("moved")
            except ChangedMeanwhile as error:
                ended.append(str(error))

        return act

    for thread in [beside(move("A", "B")), beside(move("B", "A"))]:
        thread.join(20)
    assert sorted(ended) == ["Others change the same rows at this moment: nothing was changed, try again.", "moved"]
