"""Random creates, changes and moves against a plain model of the tree, and movers that meet in the middle."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.exceptions import AssetsError
from assets.models import Asset, Design, Installation, Item
from assets.services import (
    NewAsset,
    NewInstallation,
    change_asset,
    create_assets,
    create_items,
    install_items,
    move_asset,
    replace_item,
)
from tests.waiting import PATIENCE

Step = tuple[str, str, str | None, str]
LEVELS = ["system", "product", "part"]

NAMES = [f"A{number}" for number in range(7)]
TAGS = st.sampled_from(NAMES)
LEVEL = st.sampled_from(LEVELS)

# First every tag is created below one before it, then they are moved about: (verb, tag, place, level).
CREATES = st.tuples(
    *(
        st.tuples(st.just("create"), st.just(tag), st.sampled_from([None, *NAMES[:place]]), LEVEL)
        for place, tag in enumerate(NAMES)
    )
)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["move", "change", "create"]), TAGS, st.none() | TAGS, LEVEL), min_size=5, max_size=25
)


class Model:
    """The rules once more, from parents alone: tag -> [parent tag, level]. One tag stands for one asset."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str | None, str]] = {}

    def path(self, tag: str) -> list[str]:
        parent = self.rows[tag][0]
        return [*(self.path(parent) if parent else []), tag]

    def fits(self, tag: str, parent: str | None, level: str) -> bool:
        above = parent is None or LEVELS.index(self.rows[parent][1]) <= LEVELS.index(level)
        below = [one for up, one in self.rows.values() if up == tag]
        return above and all(LEVELS.index(level) <= LEVELS.index(one) for one in below)

    def may_move(self, tag: str, parent: str | None) -> bool:
        return parent is None or tag not in self.path(parent)

    def apply(self, verb: str, tag: str, place: str | None, level: str) -> bool:
        """Whether the step is allowed; if so it is done."""
        level = self.rows[tag][1] if verb == "move" else level
        cycle = verb != "create" and not self.may_move(tag, place)
        if cycle or not self.fits(tag, place, level):
            return False
        self.rows[tag] = (place, level)
        return True


def _apply(verb: str, tag: str, place: str | None, level: str) -> bool:
    parent = Asset.objects.get(tag=place) if place else None
    try:
        if verb == "create":
            create_assets(rows=[NewAsset(tag=tag, name=tag, level=level)], under=parent)
        elif verb == "move":
            move_asset(asset=Asset.objects.get(tag=tag), parent=parent)
        else:
            asset = Asset.objects.get(tag=tag)
            asset.parent, asset.level = parent, level
            change_asset(asset=asset)
    except AssetsError:
        return False
    return True


def _stored() -> dict[str, tuple[str | None, str, list[str], str]]:
    names = dict(Asset.objects.values_list("pk", "tag"))
    return {
        row.tag: (names.get(row.parent_id), row.level, [names[key] for key in row.path], names[row.root_id])
        for row in Asset.objects.all()
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(creates=CREATES, changes=CHANGES)
def test_the_register_agrees_with_a_plain_tree(db: None, creates: tuple[Step, ...], changes: list[Step]) -> None:
    model = Model()
    with transaction.atomic():
        for verb, tag, place, level in [*creates, *changes]:
            known = tag in model.rows
            if known == (verb == "create") or (place and place not in model.rows):
                continue
            assert _apply(verb, tag, place, level) == model.apply(verb, tag, place, level)
        assert _stored() == {
            tag: (parent, level, model.path(tag), model.path(tag)[0]) for tag, (parent, level) in model.rows.items()
        }
        transaction.set_rollback(True)


def _at_once(calls: list[Any]) -> list[bool]:
    """Run each call in a thread and connection of its own, all starting together; True where it was not refused."""
    gate, done = threading.Barrier(len(calls)), [False] * len(calls)
    crashes: list[BaseException] = []

    def run(index: int) -> None:
        try:
            gate.wait()
            calls[index]()
            done[index] = True
        except AssetsError:
            pass
        except BaseException as error:
            crashes.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert crashes == []
    return done


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(5))
def test_two_trees_moved_below_each_other_at_once_never_make_a_cycle(attempt: int) -> None:
    trees = create_assets(rows=[NewAsset(tag=tag, name=tag, level="system") for tag in "AB"])
    one, two = trees["A"], trees["B"]
    done = _at_once([lambda: move_asset(asset=one, parent=two), lambda: move_asset(asset=two, parent=one)])
    assert sorted(done) == [False, True]
    assert sorted(len(row.path) for row in Asset.objects.all()) == [1, 2]
    assert len(set(Asset.objects.values_list("root_id", flat=True))) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(5))
def test_assets_created_while_their_parent_moves_get_the_path_they_end_at(attempt: int) -> None:
    trees = create_assets(rows=[NewAsset(tag=tag, name=tag, level="system") for tag in "ABC"])
    one, two, three = trees["A"], trees["B"], trees["C"]
    rows = [NewAsset(tag=f"N{number}", name="n", level="part") for number in range(50)]
    done = _at_once(
        [
            lambda: create_assets(rows=rows, under=one),
            lambda: move_asset(asset=one, parent=two),
            lambda: move_asset(asset=two, parent=three),
        ]
    )
    assert done == [True, True, True]
    for row in Asset.objects.select_related("parent"):
        assert row.path == [*(row.parent.path if row.parent else []), row.pk]
        assert row.root_id == row.path[0] == three.pk


@pytest.mark.django_db(transaction=True)
def test_of_two_creators_of_one_tag_one_is_refused() -> None:
    top = create_assets(rows=[NewAsset(tag="TOP", name="t", level="system")])["TOP"]
    row = NewAsset(tag="X", name="x", level="part")
    done = _at_once([lambda: create_assets(rows=[row], under=top) for _ in range(4)])
    assert sorted(done) == [False, False, False, True]
    assert Asset.objects.filter(tag="X").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(5))
def test_of_many_who_install_one_item_at_once_one_succeeds(attempt: int, design: Design) -> None:
    places = list(create_assets(rows=[NewAsset(tag=f"P{n}", name="p", level="part") for n in range(8)]).values())
    things = create_items(items=[Item(design=design, serial_number=f"S{n}") for n in range(2)])
    start = datetime(2026, 1, 1, tzinfo=UTC)

    def install(place: Asset, order: int) -> list[Installation]:
        spare = NewInstallation(asset=place, item=things[1], start=start, end=start + timedelta(days=1))
        wishes = [NewInstallation(asset=place, item=things[0], start=start + timedelta(days=2)), spare]
        return install_items(installations=wishes[::order])

    calls = [partial(install, place, order) for place, order in zip(places, (1, -1) * 4, strict=True)]
    assert sorted(_at_once(calls)) == [False] * 7 + [True]
    assert Installation.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(3))
def test_replacements_moves_and_installations_at_once_do_not_block_each_other(attempt: int, design: Design) -> None:
    rows = [NewAsset(tag="A", name="a", level="system"), NewAsset(tag="B", name="b", level="system", parent="A")]
    rows += [NewAsset(tag=f"P{n}", name="p", level="part", parent="B") for n in range(4)]
    tree = create_assets(rows=rows)
    places = [tree[f"P{n}"] for n in range(4)]
    things = create_items(items=[Item(design=design, serial_number=f"S{n}") for n in range(6)])
    start, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    wishes = [NewInstallation(asset=places[n], item=things[n], start=start) for n in range(2)]
    install_items(installations=wishes)
    free = [NewInstallation(asset=places[n], item=things[n + 2], start=start) for n in (2, 3)]
    done = _at_once(
        [
            partial(replace_item, asset=places[0], item=things[2], at=later, reason="worn"),
            partial(replace_item, asset=places[0], item=things[3], at=later, reason="worn"),
            partial(install_items, installations=free),
            partial(move_asset, asset=tree["B"], parent=None),
            partial(install_items, installations=free[::-1]),
        ]
    )
    assert (sorted(done[:2]), sorted([done[2], done[4]]), done[3]) == ([False, True], [False, True], True)
    assert Installation.objects.count() == 5
