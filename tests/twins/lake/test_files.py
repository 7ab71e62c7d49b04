"""Files: what is written comes back, pruned as asked, in the format that other engines read."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from twins import lake
from twins.lake import writer
from twins.lake.schema import DAY

DAY_0 = date(1970, 1, 1)


@pytest.fixture
def rows() -> list[tuple[int, int, float, int, int]]:
    dice = random.Random(1)
    keys = {(dice.randrange(1, 40), dice.randrange(DAY)) for _ in range(3000)}
    return [(*key, dice.random(), dice.choice([0, -2147483648]), dice.randrange(1, 9)) for key in sorted(keys)]


def publish(root: Path, name: str, table: pa.Table, level: int = 0) -> tuple[str, lake.FileFacts]:
    path = lake.raw_path(DAY_0, name)
    facts = lake.write_file(root, path, table, level=level)
    assert not (root / path).exists(), "a file has its name only once it is published"
    lake.publish(root, [path])
    return path, facts


def test_a_file_comes_back_and_its_facts_are_true(tmp_path, table_of, rows_of, rows) -> None:
    path, facts = publish(tmp_path, "a", table_of(rows))

    data = (tmp_path / path).read_bytes()
    assert path == "raw/v1/day=1970-01-01/a.parquet"
    assert rows_of(lake.read_files(tmp_path, [path])) == rows
    assert (facts.rows, facts.bytes, facts.sha256) == (len(rows), len(data), hashlib.sha256(data).hexdigest())
    assert (facts.sensor_min, facts.sensor_max) == (rows[0][0], rows[-1][0])
    assert facts.time_min == lake.from_microseconds(min(row[1] for row in rows))
    assert facts.time_max == lake.from_microseconds(max(row[1] for row in rows))
    assert (facts.batch_min, facts.batch_max) == (1, 8)
    assert [file.name for file in (tmp_path / path).parent.iterdir()] == ["a.parquet"]


def test_the_format_is_what_spark_and_delta_read(tmp_path, table_of, rows) -> None:
    path, _ = publish(tmp_path, "a", table_of(rows))
    file = pq.ParquetFile(tmp_path / path)
    types = {file.schema.column(i).name: file.schema.column(i) for i in range(5)}

    assert {name: column.physical_type for name, column in types.items()} == {
        "sensor": "INT32", "time": "INT64", "value": "DOUBLE", "quality": "INT32", "batch": "INT64",
    }  # fmt: skip
    assert str(types["time"].logical_type).startswith("Timestamp(isAdjustedToUTC=true, timeUnit=microseconds")
    group = file.metadata.row_group(0)
    encodings = [set(group.column(i).encodings) for i in range(5)]
    assert "DELTA_BINARY_PACKED" in encodings[1] & encodings[4]
    assert "PLAIN" in encodings[2]
    assert {group.column(i).compression for i in range(5)} == {"ZSTD"}
    assert [column.column_index for column in group.sorting_columns] == [0, 1]


@pytest.mark.parametrize("sensors", [None, [1], [3, 39], list(range(1, 40)), [999], [5, 6, 7]])
@pytest.mark.parametrize(("start", "end"), [(None, None), (DAY // 3, DAY // 2), (None, 17), (DAY - 5, None)])
def test_a_choice_of_sensors_and_times_is_what_a_loop_would_choose(
    tmp_path, table_of, rows_of, oracle, rows, sensors, start, end
) -> None:
    paths = [publish(tmp_path, str(i), table_of(rows[i::2]))[0] for i in range(2)]
    bounds = {"start": start, "end": end}
    times = {name: None if at is None else lake.from_microseconds(at) for name, at in bounds.items()}
    expected = [
        row
        for row in rows
        if (sensors is None or row[0] in sensors)
        and (start is None or row[1] >= start)
        and (end is None or row[1] < end)
    ]

    assert rows_of(lake.merge([lake.read_files(tmp_path, paths, sensors=sensors, **times)])) == expected
    if sensors is not None:
        assert rows_of(lake.select(table_of(rows), sensors=sensors, **times)) == expected


def test_a_file_that_is_gone_says_so(tmp_path, table_of, rows) -> None:
    path, _ = publish(tmp_path, "a", table_of(rows))
    (tmp_path / path).unlink()

    with pytest.raises(FileNotFoundError):
        lake.read_files(tmp_path, [path], sensors=[1])


def test_removing_takes_the_unfinished_form_too_and_may_be_repeated(tmp_path, table_of, rows) -> None:
    path, _ = publish(tmp_path, "a", table_of(rows))
    lake.write_file(tmp_path, path, table_of(rows), level=1)

    assert sorted(lake.list_files(tmp_path)) == [lake.temporary_path(path), path]
    assert lake.remove_files(tmp_path, [path]) == 2
    assert lake.remove_files(tmp_path, [path]) == 0


def test_instants_keep_their_microsecond_and_need_a_zone() -> None:
    instant = datetime(2026, 5, 1, 23, 59, 59, 999_999, tzinfo=UTC)

    assert lake.from_microseconds(lake.microseconds(instant)) == instant
    with pytest.raises(ValueError, match="time zone"):
        lake.microseconds(instant.replace(tzinfo=None))


def test_a_file_of_an_earlier_version_reads_the_same(tmp_path, table_of, rows_of, rows) -> None:
    path = lake.raw_path(DAY_0, "old")
    (tmp_path / path).parent.mkdir(parents=True)
    pq.write_table(table_of(rows), tmp_path / path, row_group_size=1000)

    found = lake.read_files(tmp_path, [path], sensors=[3, 17, 99], start=lake.from_microseconds(DAY // 2))

    assert rows_of(found) == [row for row in rows if row[0] in (3, 17) and row[1] >= DAY // 2]


def test_a_sensor_across_row_groups_is_found_whole(tmp_path, table_of, rows_of, monkeypatch) -> None:
    monkeypatch.setattr("twins.lake.writer.ROW_GROUP", 64)
    rows = [(sensor, t * 1000, float(t), 0, 1) for sensor in range(1, 6) for t in range(150)]
    path, _ = publish(tmp_path, "a", table_of(rows))

    for sensors, first, last in (([1], 0, 150), ([2, 4], 63, 65), ([5], 100, 101), ([1, 2, 3, 4, 5], 10, 140)):
        bounds = {"start": lake.from_microseconds(first * 1000), "end": lake.from_microseconds(last * 1000)}
        expected = [row for row in rows if row[0] in sensors and first * 1000 <= row[1] < last * 1000]
        assert rows_of(lake.read_files(tmp_path, [path], sensors=sensors, **bounds)) == expected
    assert pq.read_metadata(tmp_path / path).num_row_groups == 12


@pytest.mark.parametrize(("noise", "encoding"), [(True, "BYTE_STREAM_SPLIT"), (False, "PLAIN")])
def test_values_are_encoded_as_their_content_compresses_best(tmp_path, table_of, rows_of, noise, encoding) -> None:
    dice = random.Random(1)
    rows = [(1, t, dice.gauss(50, 5) if noise else t % 7 / 10, 0, 1) for t in range(5000)]

    path, _ = publish(tmp_path, "a", table_of(rows), level=1)

    encodings = pq.read_metadata(tmp_path / path).row_group(0).column(2).encodings
    assert encoding in encodings
    assert {"BYTE_STREAM_SPLIT", "PLAIN"} - {encoding} - set(encodings)
    assert rows_of(lake.read_files(tmp_path, [path])) == rows


def test_noise_and_steps_go_apart_where_both_are_worth_a_file(table_of, rows_of, monkeypatch) -> None:
    dice = random.Random(1)
    rows = [
        (sensor, t, dice.gauss(50, 5) if sensor % 2 else t % 7 / 10, 0, 1) for sensor in (1, 2, 3) for t in range(500)
    ]

    assert [rows_of(table) for table in lake.split_by_content(table_of(rows))] == [rows]

    monkeypatch.setattr("twins.lake.writer.ROW_GROUP", 500)
    steps, noise = lake.split_by_content(table_of(rows))
    assert rows_of(steps) == [row for row in rows if row[0] == 2]
    assert rows_of(noise) == [row for row in rows if row[0] != 2]


@pytest.mark.parametrize("row_group", [64, 65_536])
def test_what_is_later_than_an_instant_of_its_own_is_found_of_each_sensor(
    tmp_path, table_of, rows_of, rows, row_group, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "ROW_GROUP", row_group)
    split = sorted(rows, key=lambda row: row[1])
    halves = [sorted(part) for part in (split[:1500], split[1500:])]
    paths = [publish(tmp_path, name, table_of(half))[0] for name, half in zip("ab", halves, strict=True)]
    dice = random.Random(2)
    middle = split[1500][1]
    # Some end before the second file, some within the first, one has nothing later, one is in no file.
    after = {sensor: dice.choice([middle - 1, middle // 2, dice.randrange(DAY), -1]) for sensor in range(1, 40, 2)}
    after[5], after[1000] = DAY, 0
    sensors = np.array(sorted(after), np.int64)
    limits = np.array([after[sensor] for sensor in sorted(after)], np.int64)
    end = lake.from_microseconds(DAY * 9 // 10)

    found = lake.read_later(tmp_path, paths, sensors=sensors, after=limits, end=end)

    expected = [row for half in halves for row in half if row[0] in after and after[row[0]] < row[1] < DAY * 9 // 10]
    assert len(expected) > 300
    assert found.schema == lake.READING_SCHEMA
    assert rows_of(found) == expected
    nothing = lake.read_later(tmp_path, paths[:1], sensors=sensors, after=limits * 0 + middle, end=end)
    assert (nothing.schema, nothing.num_rows) == (lake.READING_SCHEMA, 0)
