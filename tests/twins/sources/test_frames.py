"""A stream that is looked at without being opened is read, or refused, as one that is opened."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.twins.sources.tables import table_of
from twins.exceptions import MalformedBody
from twins.sources import decode_arrow, frames

NAMES = pa.array([uuid.UUID(int=7**40 + number).bytes for number in range(3)], pa.binary(16))
NOON = 1_777_636_800_000_000


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    frames._frames.clear()
    yield
    frames._frames.clear()


def columns(rows: int = 5, seed: int = 1, *, quality: bool = True, unit: str = "us") -> pa.Table:
    rng = np.random.default_rng(seed)
    code = pa.array(rng.integers(0, len(NAMES), rows), pa.int32())
    time = NOON + rng.integers(0, 10**9, rows)
    found = {
        "sensor": pa.DictionaryArray.from_arrays(code, NAMES),
        "time": pa.array(time).view(pa.timestamp("us", "UTC")).cast(pa.timestamp(unit, "UTC"), safe=False),
        "value": pa.array(rng.normal(size=rows)),
        "quality": pa.array(rng.integers(-9, 9, rows), pa.int32()),
    }
    return pa.table(found if quality else {name: found[name] for name in ("time", "sensor", "value")})


def stream(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def outcome(body: bytes) -> Any:
    """All that is said of a body: its readings and rejects, and each row as it was sent; or why it is refused."""
    try:
        decoded = decode_arrow(body)
    except MalformedBody as error:
        return str(error)
    sent = [decoded.content(row) for row in range(len(decoded.readings.time))]
    return repr(table_of(decoded).to_pydict()), decoded.received, decoded.rejects, sent


def read_framed(body: bytes) -> Any:
    return frames.read_framed(body, str)


def opened(body: bytes) -> Any:
    """The same of a body that nothing is known about."""
    kept = dict(frames._frames)
    frames._frames.clear()
    found = outcome(body)
    frames._frames.clear()
    frames._frames.update(kept)
    return found


@pytest.mark.parametrize("quality", [True, False])
@pytest.mark.parametrize("rows", [1, 4, 5, 1000])
def test_the_second_body_of_a_layout_is_read_without_being_opened(rows: int, quality: bool) -> None:
    first, second = (stream(columns(rows, seed, quality=quality)) for seed in (1, 2))
    assert read_framed(first) is None
    outcome(first)

    assert read_framed(second) is not None
    assert outcome(second) == opened(second) != opened(first)
    assert outcome(first) == opened(first)


def test_whatever_byte_is_another_the_answer_is_that_of_an_opened_stream() -> None:
    known = stream(columns())
    outcome(known)
    looked_at = 0
    for place in range(len(known)):
        for change in (0x01, 0x80, 0xFF):
            body = bytearray(known)
            body[place] ^= change
            looked_at += read_framed(bytes(body)) is not None
            assert outcome(bytes(body)) == opened(bytes(body)), (place, change)
            assert outcome(known) == opened(known)
    # The names, values and qualities may be anything, and of codes and times some.
    assert 3 * (len(NAMES) * 16 + 5 * 12) <= looked_at < 3 * (len(NAMES) * 16 + 5 * 24)


def test_a_shorter_or_longer_stream_is_opened() -> None:
    known = stream(columns())
    outcome(known)

    for body in (known[:-8], known[:-1], known + b"\0" * 8, known[: len(known) // 2], b""):
        assert read_framed(body) is None
        assert outcome(body) == opened(body)


def _nulls(table: pa.Table) -> pa.Table:
    values = pa.array([None, *table["value"].to_pylist()[1:]], pa.float64())
    return table.set_column(table.column_names.index("value"), "value", values)


def _as_text(table: pa.Table) -> pa.Table:
    texts = pa.array([str(uuid.UUID(bytes=name)) for name in table["sensor"].to_pylist()])
    return table.set_column(0, "sensor", texts)


@pytest.mark.parametrize(
    "body",
    [
        stream(_nulls(columns())),
        stream(_as_text(columns())),
        stream(columns(unit="ms")),
        stream(columns(), compression="zstd"),
        stream(pa.concat_tables([columns(), columns(seed=2)])),
        stream(columns().replace_schema_metadata({"note": "x" * frames._LARGEST})),
    ],
    ids=["with nulls", "names as text", "other unit", "compressed", "two batches", "much beside the columns"],
)
def test_a_stream_whose_columns_do_not_lie_in_it_as_they_are_used_is_opened_each_time(body: bytes) -> None:
    first = outcome(body)

    assert read_framed(body) is None
    assert outcome(body) == first


def test_columns_of_a_part_of_a_table_are_found() -> None:
    first, second = (stream(columns(9, seed).slice(3, 4)) for seed in (1, 2))
    outcome(first)

    assert read_framed(second) is not None
    assert outcome(second) == opened(second)


def test_no_more_layouts_are_remembered_than_may_be() -> None:
    for rows in range(1, frames._MOST + 20):
        outcome(stream(columns(rows)))
    assert len(frames._frames) <= frames._MOST
