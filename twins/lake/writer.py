"""Files as they are written: small, sorted, pruned by what their footers say, and read by every Parquet reader.

Times are delta-packed; values are plain or, where most of their bits are noise, split into byte streams, whichever a
sample of the file compresses better. What lives longer is compressed harder.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twins.lake.footers import DIRECTORY, directory_of
from twins.lake.schema import column, from_microseconds
from twins.lake.store import Location, open_store

ROW_GROUP = 65_536
SETTLED = 99
"""Level of the files of a finished day, which nothing but late readings and retention will touch again."""

_SAMPLE = 4_096
_SAMPLES = 16


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the index says of a file: size, hash and the ranges readers prune by. Times in UTC, bounds inclusive."""

    rows: int
    bytes: int
    sha256: str
    sensor_min: int
    sensor_max: int
    time_min: datetime
    time_max: datetime
    batch_min: int
    batch_max: int


def write_file(root: Location, path: str, readings: pa.Table, *, level: int) -> FileFacts:
    """Write merged readings (at least one) so that they survive a power cut; `publish` gives the file its name.

    `level` 0 is written fast, higher ones, which live longer, smaller.
    """
    sensor, time, batch = (column(readings, name) for name in ("sensor", "time", "batch"))
    split = level > 0 and splits_well(column(readings, "value"))
    data = encode(
        readings,
        sensor=sensor,
        level=level,
        encodings={
            "time": "DELTA_BINARY_PACKED",
            "value": "BYTE_STREAM_SPLIT" if split else "PLAIN",
            "batch": "DELTA_BINARY_PACKED",
        },
        row_group=ROW_GROUP,
    )
    open_store(root).write(path, data)
    return FileFacts(
        rows=readings.num_rows,
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        sensor_min=int(sensor[0]),
        sensor_max=int(sensor[-1]),
        time_min=from_microseconds(int(time.min())),
        time_max=from_microseconds(int(time.max())),
        batch_min=int(batch.min()),
        batch_max=int(batch.max()),
    )


def encode(table: pa.Table, *, sensor: np.ndarray, level: int, encodings: dict[str, str], row_group: int) -> memoryview:
    """The bytes of a Parquet file sorted by its first two columns; a column without an encoding gets a dictionary."""
    sink = pa.BufferOutputStream()
    options = {
        "compression": "zstd",
        "compression_level": _compression(level),
        "use_dictionary": [name for name in table.schema.names if name not in encodings],
        "column_encoding": encodings,
        "sorting_columns": [pq.SortingColumn(0), pq.SortingColumn(1)],
        "write_page_index": True,
        "store_schema": False,
    }
    with pq.ParquetWriter(sink, table.schema, **options) as writer:
        writer.add_key_value_metadata({DIRECTORY.decode(): directory_of(sensor).decode()})
        writer.write_table(table, row_group_size=row_group)
    return memoryview(sink.getvalue())


def _compression(level: int) -> int:
    if level >= SETTLED:
        return 6
    return 3 if level else 1


def splits_well(values: np.ndarray) -> bool:
    """Whether a sample of the values is smaller as byte streams than as it stands, by half a bit a value at least."""
    if len(values) <= _SAMPLE * _SAMPLES:
        parts = [values]
    else:
        parts = [values[at : at + _SAMPLE] for at in np.linspace(0, len(values) - _SAMPLE, _SAMPLES).astype(int)]
    plain = split = 0
    for part in parts:
        octets = np.ascontiguousarray(part, "<f8").view(np.uint8).reshape(-1, 8)
        plain += _compressed(octets)
        split += _compressed(np.ascontiguousarray(octets.T))
    return split + sum(len(part) for part in parts) // 16 < plain


def _compressed(octets: np.ndarray) -> int:
    return int(pa.compress(octets.tobytes(), codec="zstd").size)


def split_by_content(readings: pa.Table) -> list[pa.Table]:
    """Sorted readings as one table or, where both are worth files, those of sensors whose values are mostly noise apart
    from the others: they want different encodings. The order within is kept."""
    sensor, value = column(readings, "sensor"), column(readings, "value")
    ends = np.flatnonzero(np.append(sensor[1:] != sensor[:-1], True)) + 1
    starts = np.concatenate([[0], ends[:-1]])
    noisy = np.array([splits_well(value[a : min(b, a + _SAMPLE)]) for a, b in zip(starts, ends, strict=True)])
    rows = np.repeat(noisy, ends - starts)
    if min(rows.sum(), len(rows) - rows.sum()) < ROW_GROUP:
        return [readings]
    return [readings.filter(pa.array(mask)) for mask in (~rows, rows)]
