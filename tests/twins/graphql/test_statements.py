"""How many statements a query takes follows its selection, never the size of the tree. Counts are committed here."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assets.services import NewAsset, create_assets
from twins.selectors.hot import hot_tail

NESTED = """{ system(tag: "S") { health { score } products(first: 100) { nodes { name health { score }
  parts(first: 10) { totalCount nodes { name health { score drivers { input points } }
    installed { item { serialNumber } } events { nodes { kind } }
    sensors(first: 4) { nodes { name latest { value time } } } } } } } } }"""
BROAD = """{ system(tag: "S") { descendants(first: 1000, where: {levels: [PART]}, orderBy: {field: HEALTH}) {
    totalCount nodes { tag type { code } design { code } attributes { __typename } externalReferences { key }
    relations { totalCount nodes { twin { tag } } } installations { totalCount nodes { item { serialNumber } } }
    } } } search(text: "P1") { totalCount nodes { tag } } }"""
UPWARDS = "{ worst(level: PART, first: 1000) { nodes { tag path parent { tag parent { tag } } ancestors { tag } } } }"


_BESIDE = """
INSERT INTO twins_assets_sensor (uuid, asset_id, name, quantity, unit, role, privacy)
SELECT gen_random_uuid(), id, name.name, 't', '1', 'measurement', 'raw'
FROM twins_assets_asset, (VALUES ('a'), ('b')) name(name) WHERE level = 'part';
INSERT INTO twins_assessment (asset_id, source, health, coverage, failure_probabilities, rul_unit, beyond_horizon,
    sources, drivers, assessed_at)
SELECT id, 'model', 50 + id %% 7, 1, '[]', '', false, '[]', '[]', %(now)s FROM twins_assets_asset WHERE level = 'part';
ANALYZE
"""


_PARTS = """
INSERT INTO twins_assets_asset (id, tag, name, level, parent_id, root_id, path, criticality, status, attributes)
SELECT id, tag, 'part', 'part', parent, root, above || id, 3, 'operating', '{}' FROM (
    SELECT nextval(pg_get_serial_sequence('twins_assets_asset', 'id')) AS id, product.tag || '-' || number AS tag,
        product.id AS parent, product.root_id AS root, product.path AS above
    FROM twins_assets_asset product, generate_series(0, %(parts)s - 1) AS number WHERE product.level = 'product') part
"""
"""Past the services, which are not what is counted here and take a minute for a hundred thousand."""


def _tree(make: Any, products: int, parts: int) -> None:
    tops = [NewAsset(tag=f"P{number}", name="product", level="product", parent="S") for number in range(products)]
    create_assets(rows=[NewAsset(tag="S", name="system", level="system"), *tops])
    with connection.cursor() as cursor:
        cursor.execute(_PARTS, {"parts": parts})
        cursor.execute(_BESIDE, {"now": make.now})


STATEMENTS = [
    (NESTED, False, 11),
    (NESTED, True, 1),
    (UPWARDS, False, 2),
    (UPWARDS, True, 1),
    (BROAD, False, 12),
    (BROAD, True, 2),
]


@pytest.mark.full
def test_a_thousand_and_a_hundred_thousand_assets_take_the_same_number_of_statements(ask: Any, make: Any) -> None:
    counts = []
    for products, parts in ((20, 50), (100, 1000)):
        _empty()
        _tree(make, products, parts)
        counts.append([_count(ask, query, splice) for query, splice, _ in STATEMENTS])
    assert counts == [[statements for _, _, statements in STATEMENTS]] * 2


@pytest.mark.parametrize(("query", "splice", "statements"), STATEMENTS)
def test_ten_and_a_thousand_parts_take_the_same_number_of_statements(
    ask: Any, make: Any, query: str, splice: bool, statements: int
) -> None:
    counts = []
    for products, parts in ((2, 5), (20, 50)):
        _empty()
        _tree(make, products, parts)
        counts.append(_count(ask, query, splice))
    assert counts == [statements, statements]


def _empty() -> None:
    with connection.cursor() as cursor:
        # What bounds the statements of a query holds until the end of the test's transaction.
        cursor.execute(
            "SET LOCAL statement_timeout = 0; SET CONSTRAINTS ALL IMMEDIATE; TRUNCATE twins_assets_asset CASCADE; "
            "SET CONSTRAINTS ALL DEFERRED"
        )


def _count(ask: Any, query: str, splice: bool) -> int:
    hot_tail()  # known to the process, as it mostly is
    with CaptureQueriesContext(connection) as captured:
        answer = ask(query, splice=splice)
    assert not answer.errors, answer.errors
    return len(captured)
