"""How many statements a query takes follows its selection, never the size of the tree. Counts are committed here."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets.models import Sensor
from assets.services import NewAsset, create_assets
from twins.models import Assessment

NESTED = """{ system(tag: "S") { health { score } products(first: 100) { nodes { name health { score }
  parts(first: 100) { totalCount nodes { name health { score drivers { input points } }
    installed { item { serialNumber } } events { nodes { kind } }
    sensors(first: 4) { nodes { name latest { value time } } } } } } } } }"""
BROAD = """{ system(tag: "S") { descendants(first: 1000, where: {levels: [PART]}, orderBy: {field: HEALTH}) {
    totalCount nodes { tag type { code } design { code } attributes { __typename } externalReferences { key }
    relations { totalCount nodes { twin { tag } } } installations { totalCount nodes { item { serialNumber } } }
    } } } search(text: "P1") { totalCount nodes { tag } } }"""
UPWARDS = "{ worst(level: PART, first: 1000) { nodes { tag path parent { tag parent { tag } } ancestors { tag } } } }"


def _tree(make: Any, products: int, parts: int) -> None:
    tops = [NewAsset(tag=f"P{number}", name="product", level="product", parent="S") for number in range(products)]
    below = [(f"{top.tag}-{number}", top.tag) for top in tops for number in range(parts)]
    parted = [NewAsset(tag=tag, name="part", level="part", parent=parent) for tag, parent in below]
    assets = create_assets(rows=[NewAsset(tag="S", name="system", level="system"), *tops, *parted])
    rows = [assets[tag] for tag, _ in below]
    Sensor.objects.bulk_create(Sensor(asset=row, name=name, quantity="t") for row in rows for name in "ab")
    Assessment.objects.bulk_create(
        Assessment(asset=row, health=50 + row.pk % 7, coverage=1, source="model", assessed_at=make.now) for row in rows
    )


@pytest.mark.parametrize(
    ("query", "splice", "statements"),
    [
        (NESTED, False, 11),
        (NESTED, True, 2),
        (UPWARDS, False, 2),
        (UPWARDS, True, 1),
        (BROAD, False, 12),
        (BROAD, True, 2),
    ],
)
def test_ten_and_a_thousand_parts_take_the_same_number_of_statements(
    ask: Any, make: Any, query: str, splice: bool, statements: int
) -> None:
    counts = []
    for products, parts in ((2, 5), (20, 50)):
        with connection.cursor() as cursor:
            cursor.execute(
                "SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE twins_assets_asset CASCADE; SET CONSTRAINTS ALL DEFERRED"
            )
        _tree(make, products, parts)
        with CaptureQueriesContext(connection) as captured:
            answer = ask(query, splice=splice)
        assert not answer.errors, answer.errors
        counts.append(len(captured))
    assert counts == [statements, statements]
