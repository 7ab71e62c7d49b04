"""Several planners at once, each on a connection of its own, against a plain model of the rules.

Each planner is given a random program. What the register accepted is replayed on the model in the order in which the
register says it happened; afterwards tree, intervals and relations must be the model's, whatever met whom. A planner
may be refused; a deadlock, or any other error that is not the register's own, fails the test. `VERBS` is where other
ways of changing the register are added: a verb is a service call, and what it does to the model.
"""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from assets.exceptions import AssetsError, InvalidValue
from assets.history import as_of
from assets.importing import import_file
from assets.models import Asset, AssetType, Design, Installation, Item, Relation
from assets.services import (
    Move,
    NewAsset,
    NewInstallation,
    NewRelation,
    create_assets,
    create_items,
    create_records,
    install_items,
    move_assets,
    relate_assets,
    remove_item,
    replace_item,
    retire_assets,
    retire_items,
)
from tests.waiting import PATIENCE

START = datetime(2026, 1, 1, tzinfo=UTC)
PLACES, ITEMS = 8, 4
LEVELS = ["system", "product", "part"]

Interval = tuple[str, str, datetime, datetime | None]


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


@dataclass
class Model:
    """The rules once more: parents, what is retired, and intervals (place, item) and (source, target)."""

    parents: dict[str, str | None] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)
    retired: dict[str, datetime] = field(default_factory=dict)
    scrapped: dict[str, datetime] = field(default_factory=dict)
    installed: list[Interval] = field(default_factory=list)
    related: list[Interval] = field(default_factory=list)

    def path(self, tag: str) -> list[str]:
        above = self.parents[tag]
        return [*(self.path(above) if above else []), tag]

    def subtree(self, tag: str) -> set[str]:
        return {one for one in self.parents if tag in self.path(one)}

    def create(self, tag: str, parent: str | None, level: str) -> None:
        assert tag not in self.parents
        self._fits(parent, level, retired=False)
        self.parents[tag], self.levels[tag] = parent, level

    def import_pair(self, tag: str, parent: str | None, level: str) -> None:
        self.create(tag, parent, level)
        self.create(f"{tag}-P", tag, "part")

    def move(self, tag: str, parent: str | None) -> None:
        assert parent is None or tag not in self.path(parent)
        self._fits(parent, self.levels[tag], retired=tag in self.retired)
        self.parents[tag] = parent

    def _fits(self, parent: str | None, level: str, *, retired: bool) -> None:
        assert parent is None or LEVELS.index(self.levels[parent]) <= LEVELS.index(level)
        assert parent is None or parent not in self.retired or retired

    def install(self, place: str, item: str, hour: int) -> None:
        assert place not in self.retired and item not in self.scrapped
        for a, b, _, end in self.installed:
            assert (a != place and b != item) or (end is not None and end <= at(hour))
        self.installed.append((place, item, at(hour), None))

    def remove(self, place: str, hour: int) -> None:
        [found] = [row for row in self.installed if row[0] == place and row[3] is None]
        assert found[2] < at(hour)
        self.installed[self.installed.index(found)] = (*found[:3], at(hour))

    def replace(self, place: str, item: str, hour: int) -> None:
        self.remove(place, hour)
        self.install(place, item, hour)

    def relate(self, source: str, target: str, hour: int) -> None:
        assert source != target and not {source, target} & set(self.retired)
        assert all(row[:2] != (source, target) or (row[3] and row[3] <= at(hour)) for row in self.related)
        self.related.append((source, target, at(hour), None))

    def retire(self, tag: str, hour: int) -> None:
        fresh = self.subtree(tag) - set(self.retired)
        for rows, ends in ((self.installed, 1), (self.related, 2)):
            for index, row in enumerate(rows):
                if row[3] is None and set(row[:ends]) & fresh:
                    assert row[2] < at(hour)
                    rows[index] = (*row[:3], at(hour))
        self.retired |= dict.fromkeys(fresh, at(hour))

    def scrap(self, item: str, hour: int) -> None:
        for index, row in enumerate(self.installed):
            if row[1] == item and row[3] is None:
                assert row[2] < at(hour)
                self.installed[index] = (*row[:3], at(hour))
        self.scrapped[item] = at(hour)


def _asset(tag: str) -> Asset:
    return Asset.objects.get(tag=tag)


def _item(number: str) -> Item:
    return Item.objects.get(serial_number=number)


def _create(tag: str, parent: str | None, level: str) -> Any:
    return create_assets(rows=[NewAsset(tag=tag, name=tag, level=level)], under=_asset(parent) if parent else None)


def _import(tag: str, parent: str | None, level: str) -> None:
    """An asset and a part below it from a file, the part first."""
    rows = [{"tag": f"{tag}-P", "name": "p", "level": "part", "parent": tag}]
    rows.append({"tag": tag, "name": tag, "level": level, "parent": parent or ""})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "assets.json")
        path.write_text(json.dumps(rows))
        result = import_file(path=path, source="test")
    if not result.written:
        raise InvalidValue(result.refused[0].reason)


def _move(tag: str, parent: str | None) -> Any:
    return move_assets(moves=[Move(asset=_asset(tag), parent=_asset(parent) if parent else None)])


def _install(place: str, item: str, hour: int) -> Any:
    return install_items(installations=[NewInstallation(asset=_asset(place), item=_item(item), start=at(hour))])


def _relate(source: str, target: str, hour: int) -> Any:
    return relate_assets(
        relations=[NewRelation(source=_asset(source), target=_asset(target), kind="feeds", start=at(hour))]
    )


VERBS: dict[str, tuple[Callable[..., Any], Callable[..., None]]] = {
    "create": (_create, Model.create),
    "import": (_import, Model.import_pair),
    "move": (_move, Model.move),
    "install": (_install, Model.install),
    "remove": (lambda place, hour: remove_item(asset=_asset(place), at=at(hour), reason="r"), Model.remove),
    "replace": (
        lambda place, item, hour: replace_item(asset=_asset(place), item=_item(item), at=at(hour), reason="r"),
        Model.replace,
    ),
    "relate": (_relate, Model.relate),
    "retire": (lambda tag, hour: retire_assets(assets=[_asset(tag)], at=at(hour)), Model.retire),
    "scrap": (lambda item, hour: retire_items(items=[_item(item)], at=at(hour), reason="s"), Model.scrap),
}

TAG = st.integers(0, PLACES - 1).map(lambda number: f"A{number}")
ITEM = st.integers(0, ITEMS - 1).map(lambda number: f"S{number}")
HOUR = st.integers(1, 60)
STEP = st.one_of(
    st.tuples(st.just("create"), TAG, st.sampled_from(LEVELS)),
    st.tuples(st.just("import"), TAG, st.sampled_from(LEVELS)),
    st.tuples(st.just("move"), TAG, st.none() | TAG),
    st.tuples(st.just("move"), TAG, TAG),
    st.tuples(st.just("install"), TAG, ITEM, HOUR),
    st.tuples(st.just("remove"), TAG, HOUR),
    st.tuples(st.just("replace"), TAG, ITEM, HOUR),
    st.tuples(st.just("relate"), TAG, TAG, HOUR),
    st.tuples(st.just("retire"), TAG, HOUR),
    st.tuples(st.just("scrap"), ITEM, HOUR),
)
Step = tuple[Any, ...]
PROGRAMS = st.lists(st.lists(STEP, min_size=4, max_size=10), min_size=3, max_size=3)


def _numbered(program: list[Step], planner: int = 0) -> list[Step]:
    """Each created asset gets a tag of its own, by which the model knows it in whichever tree it comes to stand."""
    return [
        (verb, f"N{planner}-{index}", *arguments) if verb in ("create", "import") else (verb, *arguments)
        for index, (verb, *arguments) in enumerate(program)
    ]


def _register() -> Model:
    """Two trees of systems and an item for every second place."""
    model = Model()
    rows = []
    for number in range(PLACES):
        parent = f"A{(number - 1) // 2}" if number > 1 else None
        level = LEVELS[min(number // 3, 2)]
        rows.append(NewAsset(tag=f"A{number}", name="a", level=level, parent=parent))
        model.create(f"A{number}", parent, level)
    create_assets(rows=rows)
    [kind] = create_records(records=[AssetType(code="t", name="t")])
    [design] = create_records(records=[Design(type=kind, code="d", name="d")])
    create_items(items=[Item(design=design, serial_number=f"S{number}") for number in range(ITEMS)])
    return model


class Planner(threading.Thread):
    """Runs a program; keeps what was done with a number drawn inside each transaction, and what broke."""

    def __init__(self, program: list[Step], gate: threading.Barrier) -> None:
        super().__init__()
        self.program, self.gate = program, gate
        self.done: list[tuple[int, Step]] = []
        self.broke: list[BaseException] = []

    def run(self) -> None:
        try:
            self.gate.wait(PATIENCE)
            for step in self.program:
                self._do(step)
        except BaseException as error:
            self.broke.append(error)
        finally:
            connection.close()

    def _do(self, step: Step) -> None:
        try:
            with transaction.atomic():
                VERBS[step[0]][0](*step[1:])
                # Drawn while every lock of the step is held, so steps that could meet are numbered as they happened.
                with connection.cursor() as cursor:
                    cursor.execute("SELECT nextval('order_of_steps')")
                    number = cursor.fetchone()[0]
        except AssetsError:
            return
        self.done.append((number, step))


def _stored() -> tuple[dict[str, Any], set[Interval], set[Interval]]:
    names = dict(Asset.objects.values_list("pk", "tag"))
    tree = {
        row.tag: ([names[key] for key in row.path], names[row.root_id], names.get(row.parent_id), row.retired_at)
        for row in Asset.objects.all()
    }
    installed = {
        (row.asset.tag, row.item.serial_number, row.period.lower, row.period.upper)
        for row in Installation.objects.select_related("asset", "item")
    }
    related = {
        (row.source.tag, row.target.tag, row.period.lower, row.period.upper)
        for row in Relation.objects.select_related("source", "target")
    }
    return tree, installed, related


@pytest.mark.django_db(transaction=True)
@settings(
    max_examples=12,
    deadline=None,
    # A failure is a meeting of threads, which does not shrink.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(programs=PROGRAMS)
def test_planners_who_work_at_once_leave_what_one_after_the_other_would(programs: list[list[Step]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE twins_assets_assettype, twins_assets_asset RESTART IDENTITY CASCADE")
        cursor.execute("DROP SEQUENCE IF EXISTS order_of_steps; CREATE SEQUENCE order_of_steps")
    model, gate = _register(), threading.Barrier(len(programs))
    planners = [Planner(_numbered(program, number), gate) for number, program in enumerate(programs)]
    for planner in planners:
        planner.start()
    for planner in planners:
        planner.join(PATIENCE)
    assert [error for planner in planners for error in planner.broke] == []
    for _, (verb, *arguments) in sorted(done for planner in planners for done in planner.done):
        VERBS[verb][1](model, *arguments)
    tree, installed, related = _stored()
    assert tree == {
        tag: (model.path(tag), model.path(tag)[0], parent, model.retired.get(tag))
        for tag, parent in model.parents.items()
    }
    assert (installed, related) == (set(model.installed), set(model.related))
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now = cursor.fetchone()[0]
    for table in (Asset, Installation, Relation, Item):
        assert list(as_of(table, now).order_by("pk").values_list()) == list(table.objects.order_by("pk").values_list())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(program=st.lists(STEP, min_size=5, max_size=30))
def test_a_planner_is_refused_exactly_what_the_rules_refuse(db: None, program: list[Step]) -> None:
    with transaction.atomic():
        model = _register()
        for verb, *arguments in _numbered(program):
            service, rule = VERBS[verb]
            before = _copied(model)
            try:
                rule(model, *arguments)
                allowed = True
            except (AssertionError, ValueError):
                model, allowed = before, False
            try:
                service(*arguments)
                done = True
            except AssetsError:
                done = False
            assert done == allowed, (verb, *arguments)
        tree, installed, related = _stored()
        assert {tag: row[0] for tag, row in tree.items()} == {tag: model.path(tag) for tag in model.parents}
        assert (installed, related) == (set(model.installed), set(model.related))
        transaction.set_rollback(True)


def _copied(model: Model) -> Model:
    return Model(
        dict(model.parents), dict(model.levels), dict(model.retired), dict(model.scrapped),
        list(model.installed), list(model.related),
    )  # fmt: skip
