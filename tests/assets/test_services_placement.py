"""An item is at one place at a time and a place holds one item at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets.exceptions import AlreadyOccupied, InvalidValue, NotInstalled
from assets.models import Asset, Installation, Item
from assets.selectors import current_installations
from assets.services import (
    NewAsset,
    NewInstallation,
    create_assets,
    create_items,
    install_items,
    remove_item,
    replace_item,
)

Day = Callable[[int], datetime]
Snapshot = Callable[[], dict[str, Any]]


def where(day: datetime, *assets: Asset) -> dict[str, str]:
    found = current_installations([asset.pk for asset in assets], at=day)
    return {asset.tag: found[asset.pk].item.serial_number for asset in assets if asset.pk in found}


def test_installed_removed_and_installed_elsewhere(plant: dict[str, Asset], items: list[Item], day: Day) -> None:
    here, there = plant["T1-DE"], plant["T2-DE"]
    install_items(
        installations=[
            NewInstallation(asset=here, item=items[0], start=day(1), end=day(5), removal_reason="worn"),
            NewInstallation(asset=here, item=items[1], start=day(5)),
            NewInstallation(asset=there, item=items[0], start=day(5)),
        ]
    )
    assert where(day(4), here, there) == {"T1-DE": "S0"}
    assert where(day(5), here, there) == {"T1-DE": "S1", "T2-DE": "S0"}
    assert where(datetime(2025, 1, 1, tzinfo=UTC), here, there) == {}


@pytest.mark.parametrize(
    ("place", "item", "start", "end", "words"),
    [
        ("T1-DE", 1, 3, None, "S1 cannot be at 'T1-DE' from 2026-01-03.*S0 is at 'T1-DE' from 2026-01-02"),
        ("T1-DE", 1, 1, 3, "to 2026-01-03"),
        ("T2-DE", 0, 9, 10, "S0 cannot be at 'T2-DE'.*is at 'T1-DE'"),
        ("T1-DE", 0, 2, None, "S0"),
    ],
)
def test_an_overlap_is_refused_with_place_item_and_period(
    plant: dict[str, Asset], items: list[Item], day: Day, register: Snapshot,
    place: str, item: int, start: int, end: int | None, words: str,
) -> None:  # fmt: skip
    install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[0], start=day(2))])
    before = register()
    wish = NewInstallation(asset=plant[place], item=items[item], start=day(start), end=end and day(end))
    good = NewInstallation(asset=plant["T2-NDE"], item=items[3], start=day(1))
    with pytest.raises(AlreadyOccupied, match=f"Row 1.*{words}"):
        install_items(installations=[good, wish])
    assert register() == before


def test_two_rows_of_one_call_may_not_overlap_either(
    plant: dict[str, Asset], items: list[Item], day: Day, register: Snapshot
) -> None:
    before = register()
    wishes = [NewInstallation(asset=plant["T1-DE"], item=item, start=day(1)) for item in items[:2]]
    with pytest.raises(AlreadyOccupied, match="Row 1: item S1"):
        install_items(installations=wishes)
    assert register() == before


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), "Row 0, end"),
        (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), "Row 0, end"),
        (datetime(2026, 1, 2), None, "Row 0, start.*no time zone"),  # noqa: DTZ001
    ],
)
def test_a_period_without_sense_is_refused(
    plant: dict[str, Asset], items: list[Item], start: datetime, end: datetime | None, words: str
) -> None:
    with pytest.raises(InvalidValue, match=words):
        install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[0], start=start, end=end)])
    assert not Installation.objects.exists()


def test_removing_ends_the_open_installation(plant: dict[str, Asset], items: list[Item], day: Day) -> None:
    install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[0], start=day(2))])
    ended = remove_item(asset=plant["T1-DE"], at=day(6), reason="noise")
    assert (ended.period.lower, ended.period.upper, ended.removal_reason) == (day(2), day(6), "noise")
    assert current_installations([plant["T1-DE"].pk]) == {}


@pytest.mark.parametrize("at", [1, 2])
def test_nothing_is_removed_before_it_was_installed(
    plant: dict[str, Asset], items: list[Item], day: Day, register: Snapshot, at: int
) -> None:
    install_items(installations=[NewInstallation(asset=plant["T1-DE"], item=items[0], start=day(2))])
    before = register()
    with pytest.raises(NotInstalled, match="'T1-DE'"):
        remove_item(asset=plant["T1-DE"], at=day(at), reason="")
    with pytest.raises(NotInstalled, match="'T2-DE'"):
        replace_item(asset=plant["T2-DE"], item=items[1], at=day(9), reason="")
    assert register() == before


def test_replacing_is_both_or_neither(plant: dict[str, Asset], items: list[Item], day: Day, register: Snapshot) -> None:
    here, there = plant["T1-DE"], plant["T2-DE"]
    install_items(
        installations=[
            NewInstallation(asset=here, item=items[0], start=day(1)),
            NewInstallation(asset=there, item=items[1], start=day(1)),
        ]
    )
    before = register()
    with pytest.raises(AlreadyOccupied, match="S1 is at 'T2-DE'"):
        replace_item(asset=here, item=items[1], at=day(4), reason="worn")
    assert register() == before
    replace_item(asset=here, item=items[2], at=day(4), reason="worn")
    assert where(day(3), here) == {"T1-DE": "S0"}
    assert where(day(4), here) == {"T1-DE": "S2"}


def _statements(count: int, design: Any) -> int:
    rows = [NewAsset(tag=f"{count}-{number}", name="p", level="part") for number in range(count)]
    places = create_assets(rows=rows).values()
    things = create_items(items=[Item(design=design, serial_number=row.tag) for row in rows])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    wishes = [
        NewInstallation(asset=place, item=thing, start=start) for place, thing in zip(places, things, strict=True)
    ]
    with CaptureQueriesContext(connection) as captured:
        assert len(install_items(installations=wishes)) == count
    return len(captured)


def test_a_thousand_installations_take_as_many_statements_as_ten(design: Any) -> None:
    assert _statements(1000, design) == _statements(10, design) == 9
