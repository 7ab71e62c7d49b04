"""Readings packed in one pass are packed as the plain steps do it, or left to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from twins import lake
from twins.sources import compile_packing, pack_faultless

FIRST, LAST = 0, 2_000_000_000_000_000


@pytest.fixture(autouse=True)
def _compiled() -> None:
    compile_packing()


@dataclass(frozen=True)
class Sent:
    """Readings of three sensors, with the keys and limits of those."""

    code: np.ndarray
    time: np.ndarray
    value: np.ndarray
    quality: np.ndarray
    keys: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def packed(self) -> lake.Packed | None:
        rows = lake.Columns(self.code, self.time, self.value, self.quality)
        return pack_faultless(rows, keys=self.keys, low=self.low, high=self.high, earliest=FIRST, latest=LAST)

    def kept(self) -> lake.Columns:
        """What is kept by the plain steps, in which nothing may be at fault."""
        limits = lake.Limits(self.code, ["a", "b", "c"], self.low, self.high)
        rows = lake.Columns(self.keys[self.code], self.time, self.value, self.quality)
        first, last = lake.from_microseconds(FIRST), lake.from_microseconds(LAST)
        assert len(lake.find_rejects(rows, limits=limits, earliest=first, latest=last)[0]) == 0
        return rows


def sent(rows: int, seed: int = 1) -> Sent:
    rng = np.random.default_rng(seed)
    code = np.sort(rng.integers(0, 3, rows)).astype(np.int32)
    bounds = np.array([(-np.inf, np.inf), (-1e9, 1e9), (-np.inf, 1e9)])
    return Sent(
        code,
        np.cumsum(rng.integers(1, 1_000_000, rows)) + 1_700_000_000_000_000,
        rng.normal(size=rows),
        rng.integers(0, 4, rows).astype(np.int32),
        np.array([3, 70_000, 2**31 - 1], np.int32),
        bounds[:, 0].copy(),
        bounds[:, 1].copy(),
    )


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 64, 999, 1_000, 4_000])
@pytest.mark.parametrize("may_write", [True, False])
def test_they_are_what_the_plain_steps_make_of_them(rows: int, may_write: bool) -> None:
    one = sent(rows, rows)
    for column in (one.code, one.time, one.value, one.quality):
        column.flags.writeable = may_write

    assert one.packed() == lake.pack(one.kept())


def test_columns_of_other_kinds_and_strides_are_taken_as_well() -> None:
    one = sent(100)
    wide = replace(one, code=one.code.astype(np.int64), quality=one.quality.astype(np.int64))
    apart = replace(one, value=np.repeat(one.value, 2)[::2], time=np.repeat(one.time, 3)[::3])

    assert wide.packed() == apart.packed() == lake.pack(one.kept())


def test_one_time_of_several_sensors_is_in_order_whatever_the_times_are() -> None:
    one = replace(sent(3), code=np.array([0, 1, 2], np.int32), time=np.array([9, 9, 4]))

    packed = one.packed()

    assert packed == lake.pack(one.kept())
    assert packed is not None
    assert packed[2:] == (3, 3, 3, 2**31 - 1, 4, 9)


def test_the_ends_of_what_may_enter_may_enter() -> None:
    one = replace(sent(3), code=np.array([0, 1, 1], np.int32), time=np.array([FIRST, FIRST, LAST]))
    one = replace(one, value=np.array([np.finfo(float).max, -1e9, 1e9]))

    assert one.packed() == lake.pack(one.kept())


def _with(column: str, row: int, value: float) -> Callable[[Sent], Sent]:
    def change(one: Sent) -> Sent:
        values = getattr(one, column).copy()
        values[row] = value
        return replace(one, **{column: values})

    return change


@pytest.mark.parametrize("row", [0, 50, 99])
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("time", FIRST - 1),
        ("time", LAST + 1),
        ("time", -(2**63)),
        ("time", 2**63 - 1),
        ("value", np.nan),
        ("value", np.inf),
        ("value", -np.inf),
        ("code", -1),
        ("code", 3),
        ("code", -(2**31)),
        ("code", 2**31 - 1),
    ],
)
def test_a_row_at_fault_is_left_to_who_can_say_why(row: int, column: str, value: float) -> None:
    assert _with(column, row, value)(sent(100)).packed() is None


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, high=np.array([np.inf, np.inf, one.value[-1] - 0.001])),
        lambda one: replace(one, low=np.array([one.value[0] + 0.001, -1e9, -1e9])),
        lambda one: replace(one, low=np.full(3, np.nan)),
        lambda one: replace(one, time=one.time[::-1].copy()),
        lambda one: replace(one, code=one.code[::-1].copy()),
        lambda one: replace(one, keys=one.keys[::-1].copy()),
        lambda one: replace(one, time=np.append(one.time[:-1], one.time[-2])),
        lambda one: sent(4_001),
        lambda one: sent(0),
    ],
)
def test_what_is_out_of_limits_or_order_is_left_to_the_plain_steps(change: Callable[[Sent], Sent]) -> None:
    one = sent(100)
    assert one.packed() is not None

    assert change(one).packed() is None
