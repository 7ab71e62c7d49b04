"""What may enter: a fault of the table is an error, a fault of a row is a value."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from math import inf

import numpy as np
import pyarrow as pa
import pytest

from twins import lake
from twins.exceptions import LakeError, ReadingsError

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def rejects(**columns: list) -> tuple[int, tuple[lake.Reject, ...]]:
    types = {"sensor": pa.int64(), "time": pa.timestamp("us", "UTC"), "value": pa.float64()}
    table = pa.table({name: pa.array(columns[name], kind) for name, kind in types.items()})
    limits = {1: (-inf, inf), 2: (0.0, 10.0)}
    conforming = lake.conform(table)
    known = lake.limits_of(conforming.sensor, limits)
    bad, found = lake.find_rejects(conforming, limits=known, earliest=lake.EPOCH, latest=NOON)
    return len(bad), found


def test_every_faulty_row_is_named_with_its_first_reason() -> None:
    late = datetime(2026, 5, 1, 12, 0, 0, 1, tzinfo=UTC)
    early = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    total, found = rejects(
        sensor=[1, 3, None, 2, 2, 1, 1, 1, 2, 2**40, 1],
        time=[NOON, NOON, NOON, None, late, early, NOON, NOON, NOON, NOON, lake.EPOCH],
        value=[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, None, float("nan"), float("-inf"), float("nan"), -0.0],
    )

    assert total == 9
    assert [(reject.index, reject.reason) for reject in found] == [
        (1, "sensor 3 is not registered"),
        (2, "the sensor is missing"),
        (3, "the time is missing"),
        (4, "the time is after 2026-05-01 12:00 UTC, in the future"),
        (5, "the time is before 1970-01-01 00:00 UTC"),
        (6, "the value is missing, or NaN"),
        (7, "the value is missing, or NaN"),
        (8, "the value is -inf, not a finite number"),
        (9, f"sensor {2**40} is not registered"),
    ]


def test_a_value_outside_what_its_sensor_can_say_is_named_with_the_limit() -> None:
    total, found = rejects(sensor=[2, 2, 2, 2, 1], time=[NOON] * 5, value=[0.0, 10.0, -0.5, 10.25, 1e300])

    assert total == 2
    assert [(reject.index, reject.reason) for reject in found] == [
        (2, "the value -0.5 is below 0, the least there is"),
        (3, "the value 10.25 is above 10, the most there is"),
    ]


def test_the_list_of_rejects_is_bounded_and_their_number_is_not() -> None:
    total, found = rejects(sensor=[9] * 1500, time=[NOON] * 1500, value=[1.0] * 1500)

    assert total == 1500
    assert [reject.index for reject in found] == list(range(1000))


def column(name: str, values: pa.Array) -> pa.Table:
    good = {"sensor": pa.array([1]), "time": pa.array([0], pa.timestamp("us", "UTC")), "value": pa.array([1.0])}
    return pa.table({**good, name: values})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (column("time", pa.array([0], pa.timestamp("us"))), "no time zone"),
        (column("time", pa.array([0])), "'time' has the type int64"),
        (column("time", pa.array([2**62], pa.timestamp("s", "UTC"))), "'time' does not fit"),
        (column("sensor", pa.array(["a"])), "'sensor' has the type string"),
        (column("sensor", pa.array([1.0])), "'sensor' has the type double"),
        (column("value", pa.array([True])), "'value' has the type bool"),
        (column("quality", pa.array([2**31])), "'quality' does not fit int32"),
        (column("qualty", pa.array([0])), "'qualty' is unknown"),
        (column("value", pa.array([1.0])).drop_columns("time"), "'time' is missing"),
        (column("value", pa.array([1.0])).append_column("value", pa.array([2.0])), "'value' is there twice"),
    ],
)
def test_a_table_of_another_shape_is_refused_by_a_sentence(table: pa.Table, message: str) -> None:
    with pytest.raises(ReadingsError, match=message):
        lake.conform(table)


def test_other_widths_zones_and_chunks_are_taken() -> None:
    table = pa.table(
        {
            "quality": pa.chunked_array([pa.array([None], pa.int8()), pa.array([-1], pa.int8())]),
            "value": pa.array([1, 2], pa.int64()),
            "time": pa.array([1_500, 2_999], pa.timestamp("ns", "Europe/Berlin")),
            "sensor": pa.array([7, 8], pa.uint16()),
        }
    )

    kept = lake.sort_and_drop_repeats(lake.conform(table))

    assert lake.decode_body(lake.encode_body(kept)).to_pylist() == [
        {"sensor": 7, "time": datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "value": 1.0, "quality": 0},
        {"sensor": 8, "time": datetime(1970, 1, 1, 0, 0, 0, 2, tzinfo=UTC), "value": 2.0, "quality": -1},
    ]


def body(rows: list[tuple[int, int, float]]) -> lake.Columns:
    sensor, time, value = zip(*rows, strict=True)
    table = pa.table({"sensor": sensor, "time": pa.array(time, pa.timestamp("us", "UTC")), "value": value})
    return lake.sort_and_drop_repeats(lake.conform(table))


def test_the_last_row_of_one_sensor_and_time_stays() -> None:
    kept = body([(2, 5, 1.0), (1, 5, 2.0), (2, 5, 3.0), (1, 4, 4.0), (2, 5, 2.0)])

    assert kept.sensor.tolist() == [1, 1, 2]
    assert kept.value.tolist() == [4.0, 2.0, 2.0]


def test_the_hash_is_of_the_readings_and_not_of_their_order() -> None:
    rows = [(1, 5, 1.0), (2, 5, 2.0), (1, 6, 3.0)]
    hashes = {lake.content_hash(body(rows)), lake.content_hash(body(rows[::-1]))}
    others = {lake.content_hash(body([*rows[:2], other])) for other in [(1, 6, 3.5), (1, 7, 3.0), (3, 6, 3.0)]}

    assert len(hashes) == 1
    assert len(hashes | others) == 4


def test_a_body_comes_back_as_it_was_and_a_broken_one_is_an_error() -> None:
    kept = body([(1, 5, 1.5), (2, 5, -0.0)])
    data = lake.encode_body(kept)

    assert lake.decode_body(data).schema == lake.BODY_SCHEMA
    assert [one.tolist() for one in lake.columns_of(lake.decode_body(data))] == [one.tolist() for one in kept]
    for broken in (b"", data[: len(data) // 2], b"x" * 100):
        with pytest.raises(LakeError, match="cannot be read"):
            lake.decode_body(broken)


@pytest.mark.parametrize("rows", [1, 2, 3, 8, 63, 1000, 4000, 4001])
def test_a_body_of_any_size_is_what_arrow_itself_would_write(rows: int) -> None:
    rng = np.random.default_rng(rows)
    written = lake.Columns(
        np.arange(rows, dtype=np.int32),
        rng.integers(0, 2**50, rows),
        rng.normal(size=rows),
        np.full(rows, -1, np.int32),
    )
    data = lake.encode_body(written)

    assert [one.tolist() for one in lake.columns_of(lake.decode_body(data))] == [one.tolist() for one in written]
    assert (len(data) < 24 * rows) == (rows > 4000)
    lake.decode_body(data).validate(full=True)
    if rows <= 4000:
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, lake.BODY_SCHEMA) as writer:
            writer.write_table(lake.decode_body(data))
        assert data == sink.getvalue()
