"""Lives on the grid are compared with a loop over readings."""

from __future__ import annotations

import numpy as np
import pytest

from twins.ml import DAY, Columns, Input, Life, Readings, shorten, trace

INPUTS = (Input(name="a", sensor=1), Input(name="load", sensor=2, role="setting"))
COLUMNS = Columns(("a",), ("load",), step=1.0)


def _life(end: int, usage: int | None = None) -> Life:
    return Life(key=1, group=1, start=0, end=end, failed=True, inputs=INPUTS, usage=usage)


def test_a_row_is_the_mean_of_the_readings_of_its_step(tables) -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.integers(0, 9 * DAY, 60))
    values = rng.normal(size=60)
    rows = trace(_life(10 * DAY), Readings(tables([(1, times, values)])), COLUMNS)
    for number, age, value in zip(rows.bins, rows.age, rows.values[:, 0], strict=True):
        chosen = (times > (number - 1) * DAY) & (times <= number * DAY)
        assert value == pytest.approx(values[chosen].mean())
        assert age == number
    assert rows.reached == 10.0


def test_age_is_what_the_counter_grew(tables) -> None:
    times = np.arange(5) * DAY
    counts = np.array([100.0, 103.0, 103.0, 101.0, 110.0])
    table = tables([(1, times, np.arange(5.0)), (9, times, counts)])
    rows = trace(_life(5 * DAY, usage=9), Readings(table), COLUMNS)
    assert rows.age.tolist() == [0.0, 3.0, 10.0]
    assert rows.values[:, 0].tolist() == [0.0, 2.0, 4.0]


def test_readings_outside_the_life_or_not_good_are_not_used(tables) -> None:
    table = tables([(1, np.array([-DAY, DAY, 2 * DAY, 3 * DAY]), np.array([9.0, 1.0, 2.0, 9.0]))])
    quality = table.schema.get_field_index("quality")
    table = table.set_column(quality, "quality", [np.array([0, 0, -2147483648, 0], np.int32)])
    rows = trace(_life(2 * DAY), Readings(table), COLUMNS)
    assert rows.values[:, 0].tolist() == [1.0]


def test_a_setting_holds_until_it_is_set_again(tables) -> None:
    times = np.arange(1, 6) * DAY
    table = tables([(1, times, np.zeros(5)), (2, times[[1, 3]], np.array([50.0, 80.0]))])
    rows = trace(_life(5 * DAY), Readings(table), COLUMNS)
    assert np.isnan(rows.values[0, 1])
    assert rows.values[1:, 1].tolist() == [50.0, 50.0, 80.0, 80.0]


@pytest.mark.parametrize("usage", [None, 9])
def test_going_on_from_a_shortened_trace_gives_the_same_rows(tables, usage: int | None) -> None:
    rng = np.random.default_rng(2)
    times = np.sort(rng.integers(0, 60 * DAY, 400))
    columns = [(1, times, rng.normal(size=400)), (2, times[::7], rng.normal(size=58)), (9, times, times / DAY * 2)]
    whole = trace(_life(60 * DAY, usage), Readings(tables(columns)), COLUMNS)
    past = tables([(s, t[t <= 33 * DAY], v[t <= 33 * DAY]) for s, t, v in columns])
    early = shorten(trace(_life(33 * DAY, usage), Readings(past), COLUMNS), first=4, last=9)
    since = early.complete_until
    later = tables([(s, t[t > since], v[t > since]) for s, t, v in columns])
    rows = trace(_life(60 * DAY, usage), Readings(later), COLUMNS, early)
    assert rows.bins[-30:].tolist() == whole.bins[-30:].tolist()
    assert rows.values[-30:] == pytest.approx(whole.values[-30:], nan_ok=True)
    assert rows.age[-30:] == pytest.approx(whole.age[-30:])
    assert rows.time[-30:].tolist() == whole.time[-30:].tolist()
    assert rows.newest.tolist() == whole.newest.tolist()
