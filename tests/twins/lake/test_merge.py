"""Newest batch wins, sorted by (sensor, time), whatever the grouping; compared with plain dicts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from twins import lake
from twins.lake.schema import DAY

SENSORS = st.one_of(st.integers(1, 4), st.sampled_from([2**31 - 1, 70_000]))
TIMES = st.one_of(
    st.integers(0, 3),
    st.sampled_from([DAY - 1, DAY, DAY + 1, 5 * DAY, 20_000 * DAY, 253_402_300_799_999_999]),
)


@st.composite
def batches(draw: st.DrawFn) -> list[list[tuple[int, int, float, int, int]]]:
    """Batches as acceptance makes them: each (sensor, time) once within; different values for one of them between."""
    made = []
    for batch in draw(st.permutations(range(1, draw(st.integers(1, 6)) + 1))):
        keys = draw(st.sets(st.tuples(SENSORS, TIMES), max_size=12))
        made.append([(*key, float(draw(st.integers(-3, 3))), draw(st.integers(-1, 1)), batch) for key in sorted(keys)])
    return made


@settings(max_examples=100, deadline=None)
@given(made=batches(), cut=st.integers(0, 6))
def test_the_newest_batch_of_each_reading_stands_however_it_is_grouped(table_of, rows_of, oracle, made, cut) -> None:
    tables = [table_of(rows) for rows in made]
    expected = oracle(row for rows in made for row in rows)

    merged = lake.merge(tables)
    in_two_steps = lake.merge([lake.merge(tables[cut:]), lake.merge(tables[:cut])])

    assert merged.schema == lake.READING_SCHEMA
    assert rows_of(merged) == expected
    assert in_two_steps.equals(merged)


@settings(max_examples=100, deadline=None)
@given(made=batches())
def test_days_hold_the_readings_of_their_utc_day_in_order(table_of, rows_of, oracle, made) -> None:
    merged = lake.merge([table_of(rows) for rows in made])
    expected: dict[int, list] = {}
    for row in oracle(row for rows in made for row in rows):
        expected.setdefault(row[1] // DAY, []).append(row)

    days = [(day, rows_of(table)) for day, table in lake.split_by_day(merged)]

    assert days == [(lake.from_microseconds(day * DAY).date(), expected[day]) for day in sorted(expected)]


@settings(max_examples=100, deadline=None)
@given(made=batches(), size=st.integers(1, 10))
def test_pieces_of_a_day_never_cut_a_sensor(table_of, rows_of, made, size) -> None:
    merged = lake.merge([table_of(rows) for rows in made])

    pieces = [rows_of(piece) for piece in lake.split_by_rows(merged, size)]

    assert [row for piece in pieces for row in piece] == rows_of(merged)
    sensors = [{row[0] for row in piece} for piece in pieces]
    assert sum(len(ids) for ids in sensors) == len(set().union(*sensors))
    assert all(len(piece) <= size or len(ids) == 1 for piece, ids in zip(pieces, sensors, strict=True))


@settings(max_examples=100, deadline=None)
@given(made=batches())
def test_the_newest_reading_of_a_sensor_is_the_one_measured_last(table_of, rows_of, oracle, made) -> None:
    newest = {row[0]: row for row in oracle(row for rows in made for row in rows)}

    found = rows_of(lake.newest(lake.merge([table_of(rows) for rows in made])))

    assert found == [newest[key] for key in sorted(newest)]


def test_merging_nothing_gives_no_rows_in_the_schema(table_of) -> None:
    assert lake.merge([]).equals(lake.READING_SCHEMA.empty_table())
    assert lake.merge([table_of([])]).equals(lake.READING_SCHEMA.empty_table())
    assert list(lake.split_by_day(lake.merge([]))) == []
