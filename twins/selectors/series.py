"""The past of many sensors in one scan, thinned to what a chart can show without losing its peaks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from twins.selectors.readings import scan_readings

Point = tuple[datetime, float, int]
"""Time in UTC, value, quality."""


def series_of(
    sensors: Sequence[int], *, start: datetime | None, end: datetime | None, points: int
) -> dict[int, tuple[list[Point], int]]:
    """At most `points` readings of each sensor in [start, end), by time, and how many there are."""
    table = scan_readings(sensors=list(sensors), start=start, end=end)
    keys = np.asarray(table.column("sensor").combine_chunks())
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, int)
    bounds = zip(starts, np.r_[starts[1:], len(keys)], strict=True)
    return {int(keys[low]): (_points(table.slice(low, high - low), points), int(high - low)) for low, high in bounds}


def _points(rows: pa.Table, points: int) -> list[Point]:
    kept = rows.take(pa.array(_thin(np.asarray(rows.column("value").combine_chunks()), points)))
    columns: list[Any] = [kept.column(name).to_pylist() for name in ("time", "value", "quality")]
    return list(zip(*columns, strict=True))


def _thin(values: np.ndarray, points: int) -> np.ndarray:
    """Indices of the lowest and the highest value of each of points / 2 stretches of equal count, in order."""
    if len(values) <= points:
        return np.arange(len(values))
    edges = np.linspace(0, len(values), points // 2 + 1).astype(int)
    stretches = list(pairwise(edges))
    # Values that are not numbers must not hide the peaks beside them.
    low = [a + int(np.argmin(np.where(np.isnan(values[a:b]), np.inf, values[a:b]))) for a, b in stretches]
    high = [a + int(np.argmax(np.where(np.isnan(values[a:b]), -np.inf, values[a:b]))) for a, b in stretches]
    return np.unique(low + high)
