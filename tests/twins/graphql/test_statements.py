"""How many statements a query takes follows its selection, never the size of the tree. Counts are committed here."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets.models import Asset, Sensor
from twins.models import Assessment

NESTED = """{ system(tag: "S") { health { score } products(first: 100) { nodes { name health { score }
  parts(first: 100) { totalCount nodes { name health { score drivers { input points } }
    installed { item { serialNumber } } events { nodes { kind } }
    sensors(first: 4) { nodes { name latest { value time } } } } } } } } }"""
UPWARDS = "{ worst(level: PART, first: 1000) { nodes { tag path parent { tag parent { tag } } ancestors { tag } } } }"


def _tree(make: Any, products: int, parts: int) -> None:
    system = make.asset("S", "system")
    tops = [make.asset(f"P{number}", "product", system) for number in range(products)]
    rows = [
        Asset(tag=f"{top.tag}-{number}", name="part", level="part", parent=top, root=system)
        for top in tops
        for number in range(parts)
    ]
    for row, saved in zip(rows, Asset.objects.bulk_create(rows), strict=True):
        saved.path = [system.pk, row.parent_id, saved.pk]
    Asset.objects.bulk_update(rows, ["path"])
    Sensor.objects.bulk_create(Sensor(asset=row, name=name, quantity="t") for row in rows for name in "ab")
    Assessment.objects.bulk_create(
        Assessment(asset=row, health=50 + row.pk % 7, coverage=1, source="model", assessed_at=make.now) for row in rows
    )


@pytest.mark.parametrize(
    ("query", "splice", "statements"),
    [(NESTED, False, 11), (NESTED, True, 2), (UPWARDS, False, 2), (UPWARDS, True, 1)],
)
def test_ten_and_a_thousand_parts_take_the_same_number_of_statements(
    ask: Any, make: Any, query: str, splice: bool, statements: int
) -> None:
    counts = []
    for products, parts in ((2, 5), (20, 50)):
        Assessment.objects.all().delete()
        Sensor.objects.all().delete()
        for level in ("part", "product", "system"):
            Asset.objects.filter(level=level).update(root=None) and Asset.objects.filter(level=level).delete()
        _tree(make, products, parts)
        with CaptureQueriesContext(connection) as captured:
            answer = ask(query, splice=splice)
        assert not answer.errors, answer.errors
        counts.append(len(captured))
    assert counts == [statements, statements]
