"""Every format gives the same readings and names the same faults; what is none is refused in a sentence."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from twins import sources
from twins.exceptions import MalformedBody
from twins.sources import DecodedReadings

from .tables import table_of

SENSORS = ["7f2c1c3e-8d2b-4b0e-9a53-0c6c2f1d1e55", "00000000-0000-0000-0000-00000000000a"]
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROWS = [
    {"sensor": SENSORS[n % 2], "time": T0 + n * timedelta(milliseconds=1), "value": n / 7, "quality": n % 3 - 1}
    for n in range(100)
]
EXPECTED = table_of(
    sources.decode_json(json.dumps([{**row, "time": row["time"].isoformat()} for row in ROWS]).encode())
)


def table(rows: list[dict[str, Any]] = ROWS, **types: pa.DataType) -> pa.Table:
    kinds = {"sensor": pa.string(), "time": pa.timestamp("us", "UTC"), "value": pa.float64(), "quality": pa.int32()}
    return pa.table(
        {name: pa.array([row[name] for row in rows], types.get(name, kind)) for name, kind in kinds.items()}
    )


def as_json_columns(rows: list[dict[str, Any]] = ROWS) -> bytes:
    return json.dumps({**table(rows).to_pydict(), "time": [row["time"].isoformat() for row in rows]}).encode()


def as_ndjson(rows: list[dict[str, Any]] = ROWS) -> bytes:
    return b"\n".join(json.dumps({**row, "time": row["time"].isoformat()}).encode() for row in rows) + b"\n"


def as_csv(rows: list[dict[str, Any]] = ROWS) -> bytes:
    lines = [f"{row['time'].isoformat()},{row['value']!r},{row['sensor']},{row['quality']}" for row in rows]
    return "\r\n".join(["time,value,sensor,quality", *lines]).encode()


def as_arrow(readings: pa.Table, compression: str | None = None) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, readings.schema, options=options) as writer:
        writer.write_table(readings, max_chunksize=30)
    return sink.getvalue()


def as_parquet(readings: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(readings, sink, **options)
    return sink.getvalue()


def encoded(column: str, kind: Callable[[pa.ChunkedArray], Any]) -> pa.Table:
    whole = table()
    return whole.set_column(whole.column_names.index(column), column, kind(whole[column]))


def sixteen(values: pa.ChunkedArray) -> pa.Array:
    return pa.array([uuid.UUID(text).bytes for text in values.to_pylist()], pa.binary(16))


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (sources.decode_json, as_json_columns()),
        (sources.decode_ndjson, as_ndjson()),
        (sources.decode_csv, as_csv()),
        (sources.decode_csv, b"\xef\xbb\xbf" + as_csv()),
        (sources.decode_arrow, as_arrow(table())),
        (sources.decode_arrow, as_arrow(table(sensor=pa.large_string()))),
        (sources.decode_arrow, as_arrow(table(sensor=pa.string_view()))),
        (sources.decode_arrow, as_arrow(encoded("sensor", lambda values: values.dictionary_encode()))),
        (sources.decode_arrow, as_arrow(encoded("sensor", sixteen))),
        (sources.decode_arrow, as_arrow(encoded("sensor", lambda values: sixteen(values).dictionary_encode()))),
        (sources.decode_arrow, as_arrow(table(time=pa.timestamp("ns", "Europe/Berlin")))),
        (sources.decode_arrow, as_arrow(table(quality=pa.int64()))),
        (sources.decode_arrow, as_arrow(table(), "zstd")),
        (sources.decode_arrow, as_arrow(table(), "lz4")),
        (sources.decode_parquet, as_parquet(table())),
        (sources.decode_parquet, as_parquet(encoded("sensor", sixteen), compression="zstd", row_group_size=7)),
    ],
)
def test_the_same_readings_are_the_same_in_every_format(
    decode: Callable[[bytes], DecodedReadings], body: bytes
) -> None:
    decoded = decode(body)
    assert not decoded.rejects
    assert table_of(decoded).schema == EXPECTED.schema
    assert table_of(decoded).to_pylist() == EXPECTED.to_pylist()


FAULTS = [
    {**ROWS[0], "sensor": None},
    {**ROWS[1], "sensor": "T30"},
    {**ROWS[2], "value": None},
    {**ROWS[3], "quality": 2**40},
]
REASONS = {
    1: "has no sensor",
    2: 'sensor "T30" is not a UUID',
    3: "has no value",
    4: "is not a whole number of 32 bits",
}


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (sources.decode_ndjson, as_ndjson([ROWS[0], *FAULTS, ROWS[1]])),
        (sources.decode_csv, as_csv([ROWS[0], *FAULTS, ROWS[1]]).replace(b"None", b"")),
        (sources.decode_arrow, as_arrow(table([ROWS[0], *FAULTS, ROWS[1]], quality=pa.int64()))),
        (sources.decode_parquet, as_parquet(table([ROWS[0], *FAULTS, ROWS[1]], quality=pa.int64()))),
    ],
)
def test_a_faulty_row_is_named_by_its_index_and_stops_no_other(
    decode: Callable[[bytes], DecodedReadings], body: bytes
) -> None:
    decoded = decode(body)
    found = {reject.index: reject.reason for reject in decoded.rejects.listed}
    assert {index: reason in found[index] for index, reason in REASONS.items()} == dict.fromkeys(REASONS, True)
    assert (list(found), decoded.rejects.total, decoded.received) == ([1, 2, 3, 4], 4, 6)
    assert table_of(decoded).to_pylist() == [EXPECTED.slice(n, 1).to_pylist()[0] for n in (0, 1)]
    assert decoded.places is not None and decoded.places.tolist() == [0, 5]
    assert json.loads(decoded.rejects.listed[1].content)["sensor"] == "T30"


@pytest.mark.parametrize("year", [1, 9999])
def test_the_ends_of_the_calendar_are_instants(year: int) -> None:
    rows = [{**ROWS[0], "time": datetime(year, 1, 1, tzinfo=UTC)}]
    for decoded in (sources.decode_csv(as_csv(rows)), sources.decode_arrow(as_arrow(table(rows)))):
        assert table_of(decoded)["time"].to_pylist() == [datetime(year, 1, 1, tzinfo=UTC)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_beyond_the_calendar_is_a_fault_of_its_row(unit: str) -> None:
    body = as_arrow(
        pa.table(
            {
                "sensor": [SENSORS[0]] * 2,
                "time": pa.array([0, 2**63 - 1], pa.timestamp(unit, "UTC")),
                "value": [1.0, 2.0],
            }
        )
    )
    decoded = sources.decode_arrow(body)
    # Nanoseconds end in the year 2262, which the calendar knows.
    assert [one.index for one in decoded.rejects.listed] == ([] if unit == "ns" else [1])


@pytest.mark.parametrize("text", ["1,5", "nan", "inf", "", "1e", "0x10", "--1", "1 2", "١"])
def test_a_csv_value_that_is_no_number_is_a_fault_of_its_row(text: str) -> None:
    cell = f'"{text}"' if "," in text else text
    decoded = sources.decode_csv(f"sensor,time,value\n{SENSORS[0]},2026-03-01T12:00:00Z,{cell}\n".encode())
    assert [reject.index for reject in decoded.rejects.listed] == [0]


GOOD = table()


@pytest.mark.parametrize(
    ("decode", "body", "message"),
    [
        (sources.decode_json, b'{"sensor": 5, "time": [], "value": []}', "'sensor' is a number, not a list"),
        (sources.decode_json, b'{"sensor": ["a"], "time": [], "value": []}', "'sensor' has 1 rows"),
        (sources.decode_json, b'{"sensor": "a", "time": [], "value": []}', "holds no reading"),
        (sources.decode_ndjson, b"\n \n", "holds no reading"),
        (sources.decode_csv, b"", "'sensor' is missing"),
        (sources.decode_csv, b"sensor;time;value\n", "is unknown"),
        (sources.decode_csv, b"sensor,time,value,value\n", "there twice"),
        (sources.decode_csv, ",".join(f"c{n}" for n in range(10_000)).encode(), "first line is too long"),
        (sources.decode_csv, b"sensor,time,value\n1,2\n", "is not CSV"),
        (sources.decode_csv, b"sensor,time,value\n\xff,2,3\n", "is not CSV in UTF-8"),
        (sources.decode_csv, b"sensor,time,value\n", "holds no reading"),
        (sources.decode_arrow, b"", "holds no reading"),
        (sources.decode_arrow, b"ARROW1\x00\x00", "no valid Arrow"),
        (sources.decode_arrow, as_arrow(GOOD)[:500], "no valid Arrow"),
        (sources.decode_arrow, as_arrow(GOOD.drop_columns("value")), "'value' is missing"),
        (sources.decode_arrow, as_arrow(GOOD.append_column("value", GOOD["value"])), "'value' is there twice"),
        (sources.decode_arrow, as_arrow(GOOD.append_column("unit", GOOD["sensor"])), "'unit' is unknown"),
        (sources.decode_arrow, as_arrow(table(time=pa.timestamp("us"))), "no time zone"),
        (
            sources.decode_arrow,
            as_arrow(encoded("value", lambda values: values.cast(pa.string()))),
            "has the type string",
        ),
        (sources.decode_arrow, as_arrow(encoded("time", lambda values: values.cast(pa.int64()))), "has the type int64"),
        (sources.decode_arrow, as_arrow(GOOD.slice(0, 0)), "holds no reading"),
        (sources.decode_parquet, b"PAR1PAR1", "no valid parquet"),
        (sources.decode_parquet, b"hello", "PAR1"),
        (sources.decode_parquet, as_parquet(GOOD)[:-200] + b"PAR1", "no valid parquet"),
        (sources.decode_parquet, as_parquet(GOOD.append_column("unit", GOOD["sensor"])), "'unit' is unknown"),
        (sources.decode_parquet, as_parquet(table(time=pa.timestamp("us"))), "no time zone"),
    ],
)
def test_a_body_that_is_something_else_is_refused_in_a_sentence(
    decode: Callable[[bytes], DecodedReadings], body: bytes, message: str
) -> None:
    with pytest.raises(MalformedBody, match=message):
        decode(body)


@pytest.mark.parametrize("encoding", sources.ENCODINGS)
def test_a_compressed_body_is_opened_up_to_a_limit(encoding: str) -> None:
    plain = as_ndjson()
    packed = pa.compress(plain, codec=encoding, asbytes=True)
    assert sources.decompress(packed, encoding, limit=len(plain)) == plain
    with pytest.raises(sources.TooLarge, match="larger than"):
        sources.decompress(packed, encoding, limit=len(plain) - 1)
    for broken in (packed[:-5], b"", b"hello", packed[:1]):
        with pytest.raises(MalformedBody, match=f"not {encoding}, or ends"):
            sources.decompress(broken, encoding, limit=len(plain))
