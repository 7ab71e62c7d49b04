"""The tree opens a hundred children at a time, finds by any part, and ends where the role ends."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assets.models import Asset, ExternalReference, Item
from assets.services import NewAsset, NewInstallation, create_assets, create_records, give_role, install_items

Plant = dict[str, Asset]
TREE = "admin:twins_assets_asset_tree"


def opened(client: Client, **asked: object) -> list[tuple[str, int, int]]:
    """Tag, children and all below of the rows of a page."""
    nodes = client.get(reverse(TREE), asked).context["nodes"]
    return [(node.asset.tag, node.children, node.below) for node in nodes]


def tags(client: Client, **asked: object) -> list[str]:
    return [tag for tag, _, _ in opened(client, **asked)]


def test_a_branch_shows_what_stands_directly_below_and_counts_the_rest(planner: Client, plant: Plant) -> None:
    assert opened(planner) == [("P", 2, 8)]
    assert opened(planner, at=plant["P"].pk) == [("T1", 1, 3), ("T2", 1, 3)]
    assert opened(planner, at=plant["T1-PU"].pk) == [("T1-DE", 0, 0), ("T1-NDE", 0, 0)]


def test_a_register_of_one_site_is_opened_at_once(planner: Client, plant: Plant) -> None:
    below = planner.get(reverse(TREE)).context["opened"]["nodes"]
    assert [node.asset.tag for node in below] == ["T1", "T2"]
    create_assets(rows=[NewAsset(tag="Q", name="Other site", level="system")])
    assert "opened" not in planner.get(reverse(TREE)).context


def test_more_than_a_hundred_children_come_page_by_page(planner: Client, plant: Plant) -> None:
    rows = [NewAsset(tag=f"B{n:03}", name="Bearing", level="part") for n in range(205)]
    create_assets(rows=rows, under=plant["T2-PU"])
    at, seen, after = plant["T2-PU"].pk, [], ""
    for expected in (100, 100, 7):
        page = planner.get(reverse(TREE), {"at": at, "after": after, "part": 1})
        seen += [node.asset.tag for node in page.context["nodes"]]
        more = page.context["more"]
        assert len(page.context["nodes"]) == expected
        assert (f"after={more.pk}" in page.content.decode()) if more else "after=" not in page.content.decode()
        after = more.pk if more else ""
    assert seen == [f"B{n:03}" for n in range(205)] + ["T2-DE", "T2-NDE"]


def test_a_part_of_the_page_is_only_the_rows(planner: Client, plant: Plant) -> None:
    text = planner.get(reverse(TREE), {"at": plant["P"].pk, "part": 1}).content.decode()
    assert text.lstrip().startswith("<ul>")
    assert "<html" not in text


@pytest.mark.parametrize("asked", ["x", "-1", "0", "9" * 30, "1;2"])
def test_a_place_that_is_not_there_is_said(planner: Client, plant: Plant, asked: str) -> None:
    assert planner.get(reverse(TREE), {"at": asked}).status_code == 404


def test_assets_are_found_by_any_part_of_what_names_them(
    planner: Client, plant: Plant, items: list[Item], day: Callable[[int], datetime]
) -> None:
    made = create_assets(rows=[NewAsset(tag="LÜ-1", name="Frischlüfter Ölkühlung", level="product")], under=plant["T1"])
    install_items(installations=[NewInstallation(asset=plant["T2-DE"], item=items[3], start=day(1), end=day(2))])
    create_records(records=[ExternalReference(system="SAP", key="10-Ä77-4711", asset=made["LÜ-1"])])
    for text in ("FRISCHLÜFTER", "lüft", "ölKÜHL", "lü-1", "lü", "-ä77-47", "frisch ölk"):
        assert tags(planner, q=text) == ["LÜ-1"], text
    assert tags(planner, q="S3") == ["T2-DE"]
    assert tags(planner, q="t1-") == ["T1-DE", "T1-NDE", "T1-PU"]
    assert tags(planner, q="frisch t2") == tags(planner, q="bearing 4") == []
    assert tags(planner, q="train 2") == ["T2"]
    listing = planner.get(reverse("admin:twins_assets_asset_changelist"), {"q": "LÜFTER"})
    assert [asset.tag for asset in listing.context["cl"].result_list] == ["LÜ-1"]
    # What patterns mean to SQL is text to whoever looks for it.
    assert tags(planner, q="%%%") == tags(planner, q="___") == []


def test_the_tree_begins_and_ends_where_the_role_does(client: Client, ada: User, plant: Plant) -> None:
    assert client.get(reverse(TREE)).context["nodes"] == []
    give_role(role="viewer", user=ada, asset=plant["T1-DE"])
    give_role(role="planner", user=ada, asset=plant["T2"])
    give_role(role="viewer", user=ada, asset=plant["T2-PU"])  # below another of hers: no top of its own
    assert opened(client) == [("T1-DE", 0, 0), ("T2", 1, 3)]
    for foreign in ("P", "T1", "T1-PU", "T1-NDE"):
        assert client.get(reverse(TREE), {"at": plant[foreign].pk}).status_code == 404
    assert tags(client, q="bearing") == ["T1-DE", "T2-DE", "T2-NDE"]
    above = client.get(reverse(TREE), {"at": plant["T2-PU"].pk}).context["above"]
    assert [asset.tag for asset in above] == ["T2"]


def test_who_may_not_see_assets_has_no_tree(client: Client, plant: Plant) -> None:
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    assert client.get(reverse(TREE)).status_code == 403


def test_a_page_takes_the_same_statements_for_any_number_of_rows(planner: Client, plant: Plant) -> None:
    def statements(**asked: object) -> int:
        with CaptureQueriesContext(connection) as taken:
            assert planner.get(reverse(TREE), asked).status_code == 200
        return len(taken)

    asked: list[dict[str, object]] = [{}, {"at": plant["T2-PU"].pk}, {"q": "bear"}]
    few = [statements(**each) for each in asked]
    create_assets(
        rows=[NewAsset(tag=f"B{n:03}", name="Bearing", level="part") for n in range(300)], under=plant["T2-PU"]
    )
    assert [statements(**each) for each in asked] == few
    assert max(few) <= 15
