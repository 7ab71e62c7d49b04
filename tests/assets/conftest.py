"""Small registers to work on, and a way to say that nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # pytest may read this file before Django is set up, so the fixtures import for themselves
    from assets.models import Asset, Design, Item


@pytest.fixture
def plant(db: None) -> dict[str, Asset]:
    """A plant of two trains; each has a pump with two bearings."""
    from assets.services import NewAsset, create_assets

    rows = [NewAsset(tag="P", name="Plant", level="system")]
    for train in ("T1", "T2"):
        rows += [
            NewAsset(tag=train, name=f"Train {train}", level="system", parent="P"),
            NewAsset(tag=f"{train}-PU", name="Pump", level="product", parent=train),
            NewAsset(tag=f"{train}-DE", name="Drive-end bearing", level="part", parent=f"{train}-PU"),
            NewAsset(tag=f"{train}-NDE", name="Non-drive-end bearing", level="part", parent=f"{train}-PU"),
        ]
    return create_assets(rows=rows)


@pytest.fixture
def design(db: None) -> Design:
    from assets.models import AssetType, Design

    bearing = AssetType.objects.create(code="bearing", name="Rolling bearing")
    return Design.objects.create(type=bearing, code="B", name="Bearing 6316")


@pytest.fixture
def items(design: Design) -> list[Item]:
    from assets.models import Item
    from assets.services import create_items

    return create_items(items=[Item(design=design, serial_number=f"S{number}") for number in range(4)])


@pytest.fixture
def register() -> Callable[[], dict[str, list[tuple[object, ...]]]]:
    """Every row of the register, to be compared before and after."""
    from django.apps import apps

    def snapshot() -> dict[str, list[tuple[object, ...]]]:
        tables = apps.get_app_config("twins_assets").get_models()
        return {
            table.__name__: [tuple(map(str, row)) for row in table._default_manager.order_by("pk").values_list()]
            for table in tables
        }

    return snapshot


@pytest.fixture
def day() -> Callable[[int], datetime]:
    return lambda number: datetime(2026, 1, number, tzinfo=UTC)
