"""JSON readings: what is taken, what is refused with which reason, and that nonsense is cheap."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.pace import within
from twins.exceptions import MalformedBody
from twins.sources import MAX_ROWS, decode_json

from .tables import table_of

SENSOR = "7f2c1c3e-8d2b-4b0e-9a53-0c6c2f1d1e55"
ROW = {"sensor": SENSOR, "time": "2026-03-01T12:00:00Z", "value": 1.5}


def body(*rows: Any) -> bytes:
    return json.dumps(list(rows)).encode()


def reasons(*rows: Any) -> dict[int, str]:
    decoded = decode_json(body(*rows))
    assert table_of(decoded).num_rows == decoded.received - decoded.rejects.total
    assert decoded.rejects.total >= len(decoded.rejects.listed) > 0
    return {reject.index: reject.reason for reject in decoded.rejects.listed}


def test_rows_become_columns() -> None:
    decoded = decode_json(body(ROW, {**ROW, "sensor": SENSOR.upper(), "value": 3, "quality": -7}))
    assert not decoded.rejects
    assert table_of(decoded).to_pylist() == [
        {"sensor": SENSOR, "time": datetime(2026, 3, 1, 12, tzinfo=UTC), "value": 1.5, "quality": 0},
        {"sensor": SENSOR, "time": datetime(2026, 3, 1, 12, tzinfo=UTC), "value": 3.0, "quality": -7},
    ]
    assert table_of(decoded)["sensor"].chunk(0).dictionary.to_pylist() == [SENSOR]


def test_an_object_with_readings_is_the_same_as_a_list() -> None:
    assert table_of(decode_json(json.dumps({"readings": [ROW]}).encode())) == table_of(decode_json(body(ROW)))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-03-01T12:00:00.5Z", datetime(2026, 3, 1, 12, 0, 0, 500000, UTC)),
        ("2026-03-01T12:00:00.123456789Z", datetime(2026, 3, 1, 12, 0, 0, 123456, UTC)),
        ("2026-03-01 12:00:00+02:30", datetime(2026, 3, 1, 9, 30, tzinfo=UTC)),
        ("2026-03-01t12:00:00z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
        ("2024-02-29T00:00:00-00:00", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_to_the_microsecond(text: str, instant: datetime) -> None:
    assert table_of(decode_json(body({**ROW, "time": text}, ROW)))["time"][0].as_py() == instant


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-03-01T12:00:00", "has no zone"),
        ("2026-03-01T12:00", "has no zone"),
        ("2026-02-30T12:00:00Z", "is not an RFC 3339 instant"),
        ("2026-03-01T24:00:00Z", "is not an RFC 3339 instant"),
        ("2026-03-01T12:00:60Z", "is not an RFC 3339 instant"),
        ("2026-03-01T12:00:00+99:00", "is not an RFC 3339 instant"),
        ("0000-01-01T00:00:00Z", "is not an RFC 3339 instant"),
        ("9999-12-31T23:59:59-01:00", "is not an RFC 3339 instant"),
        ("2026-03-01", "is not an RFC 3339 instant"),
        ("2026-03-01T12:00:00Z\n", "is not an RFC 3339 instant"),
        ("٢٠٢٦-03-01T12:00:00Z", "is not an RFC 3339 instant"),
        ("", "is not an RFC 3339 instant"),
        (1772366400, "is not an RFC 3339 instant"),
        (None, "has no time"),
    ],
)
def test_a_time_that_is_no_instant_is_refused(text: Any, reason: str) -> None:
    found = reasons(ROW, {**ROW, "time": text}, ROW)
    assert list(found) == [1]
    assert reason in found[1]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**ROW, "value": "1.5"}, 'value "1.5" is not a number'),
        ({**ROW, "value": True}, "value true is not a number"),
        ({**ROW, "value": None}, "has no value"),
        ({**ROW, "value": [1]}, "value a list is not a number"),
        ({**ROW, "quality": 1.0}, "quality 1.0 is not a whole number of 32 bits"),
        ({**ROW, "quality": True}, "quality true is not a whole number of 32 bits"),
        ({**ROW, "quality": 2**31}, "quality 2147483648 is not a whole number of 32 bits"),
        ({**ROW, "sensor": "T30"}, 'sensor "T30" is not a UUID'),
        ({**ROW, "sensor": 5}, "sensor 5 is not a UUID"),
        ({**ROW, "sensor": {}}, "sensor an object is not a UUID"),
        ({"time": ROW["time"], "value": 1}, "has no sensor"),
        ({**ROW, "qualty": 1}, 'has the unknown field "qualty"'),
        ([1, 2], "is a list, not an object"),
        (None, "is null, not an object"),
        (7, "is a number, not an object"),
        ("x", "is a text, not an object"),
    ],
)
def test_a_row_that_cannot_be_taken_is_named_by_its_index(row: Any, reason: str) -> None:
    found = reasons(ROW, ROW, row)
    assert list(found) == [2]
    assert reason in found[2]


def test_only_the_first_hundred_rejects_are_listed_and_all_are_counted() -> None:
    rejects = decode_json(body(ROW, *[{**ROW, "value": None}] * 250)).rejects
    assert [reject.index for reject in rejects.listed] == list(range(1, 101))
    assert rejects.total == 250


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "is not JSON at line 1, column 1"),
        (b'[\n{"value": NaN}]', "line 2, column 11 (character 12): NaN and infinity are not JSON numbers"),
        (b'[\n{"value": -Infinity}]', "NaN and infinity are not JSON numbers"),
        (b'[{"value": 1e400}]', "number is infinity"),
        (b'[{"value": ' + b"9" * 400 + b"}]", "number is infinity"),
        (b'[{"a": "\xff"}]', "not UTF-8: byte 8"),
        (b'["\\ud800"]', "is not JSON at line 1"),
        (b"[" * 100_000, "depth limit"),
        (b'{"a":' * 100_000, "depth limit"),
        (b"hello", "is not JSON at line 1, column 1"),
        (b"{}", "must be a JSON list of readings"),
        (b"3", "must be a JSON list of readings"),
        (b"null", "must be a JSON list of readings"),
        (b'{"readings": [], "more": 1}', "must be a JSON list of readings"),
        (b'{"readings": 4}', "must be a JSON list of readings"),
        (b"[]", "holds no reading"),
        (b"[" + b"1," * MAX_ROWS + b"1]", f"more than {MAX_ROWS}"),
    ],
)
def test_a_body_that_is_no_list_of_readings_says_where(raw: bytes, message: str) -> None:
    with pytest.raises(MalformedBody) as refused:
        decode_json(raw)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00" * 10_000_000,
        b"[" + b"1," * (MAX_ROWS - 1) + b"1]",
        b"[" + b"{}," * (MAX_ROWS - 1) + b"{}]",
        b'["' + b"a" * 10_000_000 + b'"]',
        json.dumps([{**ROW, "time": "2026-02-30T00:00:00Z"}] * 80_000).encode(),
        json.dumps([{**ROW, "sensor": f"nonsense {i}"} for i in range(80_000)]).encode(),
        b'[{"' + b"k" * 9_000_000 + b'": 1}]',
        b"[{" + b",".join(b'"k%d": 1' % i for i in range(500_000)) + b"}]",
        b"\xff" * 10_000_000,
        b" " * 10_000_000,
    ],
    ids=[
        "zeros",
        "numbers",
        "empty objects",
        "one text",
        "30 February",
        "no uuids",
        "long key",
        "many keys",
        "ff",
        " ",
    ],
)
def test_nonsense_is_refused_within_a_second(raw: bytes, collector_at_rest: None) -> None:
    started = time.thread_time()
    try:
        refused = bool(decode_json(raw).rejects)
    except MalformedBody:
        refused = True
    assert refused
    assert within(time.thread_time() - started, 1)
