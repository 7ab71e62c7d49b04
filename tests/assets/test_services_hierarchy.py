"""The tree stays a tree: root and path follow the parent, tags are unique in it, levels never rise on the way down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets import signals
from assets.exceptions import AlreadyExists, AssetsError, InvalidHierarchy, InvalidValue
from assets.models import Asset, Level
from assets.services import NewAsset, change_asset, create_assets, move_asset

Snapshot = Callable[[], dict[str, Any]]


def part(tag: str, parent: str | None = None, **more: Any) -> NewAsset:
    return NewAsset(tag=tag, name=tag, level="part", parent=parent, **more)


def paths(*tags: str) -> dict[str, list[str]]:
    """Tags of the path and of the root, as the database has them."""
    names = dict(Asset.objects.values_list("pk", "tag"))
    rows = Asset.objects.filter(tag__in=tags)
    return {row.tag: [*(names[key] for key in row.path), f"root {names[row.root_id]}"] for row in rows}


def test_root_and_path_follow_the_parents(plant: dict[str, Asset]) -> None:
    assert paths("P", "T1", "T1-DE") == {
        "P": ["P", "root P"],
        "T1": ["P", "T1", "root P"],
        "T1-DE": ["P", "T1", "T1-PU", "T1-DE", "root P"],
    }


def test_what_is_returned_is_what_is_stored(plant: dict[str, Asset]) -> None:
    for tag, asset in plant.items():
        stored = Asset.objects.get(tag=tag)
        assert (asset.pk, asset.root_id, asset.path, asset.parent_id) == (
            stored.pk, stored.root_id, stored.path, stored.parent_id,
        )  # fmt: skip


def test_rows_without_parent_stand_below_the_asset_they_are_created_under(plant: dict[str, Asset]) -> None:
    create_assets(rows=[part("SEAL"), part("LIP", "SEAL"), part("SHIM", "T2-DE")], under=plant["T1-PU"])
    assert paths("SEAL", "LIP", "SHIM") == {
        "SEAL": ["P", "T1", "T1-PU", "SEAL", "root P"],
        "LIP": ["P", "T1", "T1-PU", "SEAL", "LIP", "root P"],
        "SHIM": ["P", "T2", "T2-PU", "T2-DE", "SHIM", "root P"],
    }


def test_every_attribute_is_kept(design: Any) -> None:
    row = NewAsset(
        tag="ä", name="Lager", level="part", type=design.type, design=design, criticality=5, status="planned",
        attributes={"bore": 80},
    )  # fmt: skip
    create_assets(rows=[row])
    stored = Asset.objects.get(tag="ä")
    assert (stored.name, stored.level, stored.type, stored.design, stored.criticality, stored.status) == (
        "Lager", "part", design.type, design, 5, "planned",
    )  # fmt: skip
    assert stored.attributes == {"bore": 80}


def test_nothing_is_created_from_no_rows(plant: dict[str, Asset], django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert create_assets(rows=[], under=plant["P"]) == {}


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([part("T1-DE")], AlreadyExists, "'T1-DE'"),
        ([part("NEW"), part("NEW")], AlreadyExists, "'NEW'"),
        ([part("A"), part("B", "NOWHERE")], InvalidHierarchy, "'NOWHERE'"),
        ([part("A", "LATER"), part("LATER")], InvalidHierarchy, "'LATER'"),
        ([part("A"), NewAsset(tag="B", name="B", level="product", parent="A")], InvalidHierarchy, "'B' is a product"),
        ([NewAsset(tag="B", name="B", level="system", parent="T1-PU")], InvalidHierarchy, "'B' is a system"),
        ([part("A"), NewAsset(tag="B", name="B", level="engine")], InvalidValue, "Row 1, level"),
        ([part("")], InvalidValue, "Row 0, tag"),
        ([part("x" * 101)], InvalidValue, "Row 0, tag"),
        ([part("A", criticality=6)], InvalidValue, r"criticality: give 1 \(negligible\) to 5"),
        ([part("A", status="lost")], InvalidValue, "Row 0, status"),
        ([part("A\0")], InvalidValue, "NUL"),
        ([part("A", attributes={"bore": float("nan")})], InvalidValue, "NaN"),
    ],
)
def test_a_bad_row_refuses_all_rows_and_is_named(
    plant: dict[str, Asset], register: Snapshot, rows: list[NewAsset], error: type[AssetsError], words: str
) -> None:
    before = register()
    with pytest.raises(error, match=words):
        create_assets(rows=rows, under=plant["T1"])
    assert register() == before


def test_a_tag_may_repeat_in_another_tree(plant: dict[str, Asset]) -> None:
    other = create_assets(rows=[NewAsset(tag="Q", name="Q", level="system"), part("T1-DE", "Q")])
    assert Asset.objects.filter(tag="T1-DE").count() == 2
    with pytest.raises(AlreadyExists, match="tag is already used"):
        move_asset(asset=other["T1-DE"], parent=plant["T1-PU"])
    assert paths("Q") == {"Q": ["Q", "root Q"]}
    assert Asset.objects.get(pk=other["T1-DE"].pk).path == [other["Q"].pk, other["T1-DE"].pk]


def test_moving_takes_the_whole_subtree_along(plant: dict[str, Asset]) -> None:
    moved = move_asset(asset=plant["T1-PU"], parent=plant["T2"])
    assert moved.path == [plant["P"].pk, plant["T2"].pk, plant["T1-PU"].pk]
    assert paths("T1-PU", "T1-DE", "T2-DE") == {
        "T1-PU": ["P", "T2", "T1-PU", "root P"],
        "T1-DE": ["P", "T2", "T1-PU", "T1-DE", "root P"],
        "T2-DE": ["P", "T2", "T2-PU", "T2-DE", "root P"],
    }


def test_moving_to_the_top_makes_a_tree_of_its_own_and_back_again(plant: dict[str, Asset]) -> None:
    move_asset(asset=plant["T1"], parent=None)
    assert paths("T1", "T1-DE") == {"T1": ["T1", "root T1"], "T1-DE": ["T1", "T1-PU", "T1-DE", "root T1"]}
    move_asset(asset=plant["T1"], parent=plant["P"])
    assert paths("T1", "T1-DE") == {
        "T1": ["P", "T1", "root P"],
        "T1-DE": ["P", "T1", "T1-PU", "T1-DE", "root P"],
    }


@pytest.mark.parametrize(
    ("asset", "parent", "words"),
    [
        ("T1", "T1", "cannot move below 'T1'"),
        ("P", "T1-DE", "cannot move below 'T1-DE'"),
        ("T1", "T2-PU", "'T1' is a system"),
        ("T1-PU", "T2-DE", "'T1-PU' is a product"),
    ],
)
def test_a_move_that_breaks_the_tree_is_refused(
    plant: dict[str, Asset], register: Snapshot, asset: str, parent: str, words: str
) -> None:
    before = register()
    with pytest.raises(InvalidHierarchy, match=words):
        move_asset(asset=plant[asset], parent=plant[parent])
    assert register() == before


def test_a_move_judges_by_the_database_and_not_by_stale_objects(plant: dict[str, Asset]) -> None:
    move_asset(asset=plant["T2"], parent=plant["T1"])
    # The object still says that T2 stands below P.
    with pytest.raises(InvalidHierarchy, match="cannot move below"):
        move_asset(asset=plant["T1"], parent=plant["T2"])


def test_changing_writes_fields_and_place_together(plant: dict[str, Asset]) -> None:
    asset = plant["T1-PU"]
    asset.level, asset.parent, asset.name = Level.PART, plant["T2-DE"], "Shaft"
    change_asset(asset=asset)
    assert paths("T1-DE") == {"T1-DE": ["P", "T2", "T2-PU", "T2-DE", "T1-PU", "T1-DE", "root P"]}
    assert Asset.objects.get(pk=asset.pk).name == "Shaft"
    assert asset.path == Asset.objects.get(pk=asset.pk).path


@pytest.mark.parametrize(
    ("tag", "changes", "error"),
    [
        ("T1", {"level": "part"}, InvalidHierarchy),
        ("T1-DE", {"level": "system"}, InvalidHierarchy),
        ("T1-DE", {"tag": "T2-DE"}, AlreadyExists),
        ("T1-DE", {"name": ""}, InvalidValue),
        ("T1-DE", {"criticality": 0}, InvalidValue),
    ],
)
def test_a_change_that_breaks_a_rule_is_refused(
    plant: dict[str, Asset], register: Snapshot, tag: str, changes: dict[str, Any], error: type[AssetsError]
) -> None:
    before = register()
    asset = plant[tag]
    for name, value in changes.items():
        setattr(asset, name, value)
    with pytest.raises(error):
        change_asset(asset=asset)
    assert register() == before


def test_signals_are_sent_on_commit_and_not_after_a_refusal(
    plant: dict[str, Asset], django_capture_on_commit_callbacks: Any
) -> None:
    told: list[tuple[str, frozenset[int]]] = []

    def created(*, asset_ids: frozenset[int], **_: Any) -> None:
        told.append(("created", asset_ids))

    def moved(*, asset_ids: frozenset[int], **_: Any) -> None:
        told.append(("moved", asset_ids))

    signals.assets_created.connect(created)
    signals.asset_moved.connect(moved)
    with django_capture_on_commit_callbacks(execute=True):
        new = create_assets(rows=[part("A"), part("B", "A")], under=plant["T1"])
        assert told == []
    assert told == [("created", frozenset(asset.pk for asset in new.values()))]
    with django_capture_on_commit_callbacks(execute=True):
        move_asset(asset=plant["T1-PU"], parent=plant["T2"])
        move_asset(asset=plant["T1-PU"], parent=plant["T2"])
        with pytest.raises(InvalidHierarchy):
            move_asset(asset=plant["P"], parent=plant["T2"])
    assert told[1:] == [("moved", frozenset([plant["T1-PU"].pk]))]


def _statements(count: int, under: Asset) -> tuple[int, int]:
    rows = [part(f"{count}-{number}", f"{count}-{number // 3}" if number else None) for number in range(count)]
    with CaptureQueriesContext(connection) as creating:
        created = create_assets(rows=rows, under=under)
    with CaptureQueriesContext(connection) as moving:
        move_asset(asset=created[f"{count}-0"], parent=under.parent)
    return len(creating), len(moving)


def test_a_thousand_rows_take_as_many_statements_as_ten(plant: dict[str, Asset]) -> None:
    assert _statements(1000, plant["T1"]) == _statements(10, plant["T1"]) == (11, 14)
