"""Readings as plain tuples, and an oracle of the lake's one rule in plain dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pytest

Row = tuple[int, int, float, int, int]
"""sensor, microseconds since 1970, value, quality, batch"""


@pytest.fixture(scope="session")
def table_of() -> Callable[[Iterable[Row]], pa.Table]:
    from twins.lake import READING_SCHEMA

    def make(rows: Iterable[Row]) -> pa.Table:
        columns: list[Any] = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
        arrays = [pa.array(column, field.type) for column, field in zip(columns, READING_SCHEMA, strict=True)]
        return pa.Table.from_arrays(arrays, schema=READING_SCHEMA)

    return make


@pytest.fixture(scope="session")
def rows_of() -> Callable[[pa.Table], list[Row]]:
    def rows(table: pa.Table) -> list[Row]:
        plain = table.set_column(1, "time", table["time"].cast(pa.int64()))
        return [tuple(row.values()) for row in plain.to_pylist()]  # type: ignore[misc]

    return rows


@pytest.fixture(scope="session")
def oracle() -> Callable[[Iterable[Row]], list[Row]]:
    """Of two readings of one (sensor, time) that of the newest batch; sorted."""

    def standing(rows: Iterable[Row]) -> list[Row]:
        kept: dict[tuple[int, int], Row] = {}
        for row in rows:
            other = kept.get(row[:2])
            if other is None or other[4] <= row[4]:
                kept[row[:2]] = row
        return [kept[key] for key in sorted(kept)]

    return standing
