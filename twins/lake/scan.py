"""Readings of some sensors and a span of time out of files, decoding only the row groups that can hold them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from twins.lake.schema import READING_SCHEMA, microseconds

_TIME = pa.timestamp("us", tz="UTC")


def read_files(
    root: Path,
    paths: Sequence[str],
    *,
    sensors: Sequence[int] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> pa.Table:
    """Readings, unmerged, of `sensors` (None: of all) with `start` <= time < `end`.

    Raises FileNotFoundError when a file was removed meanwhile.
    """
    if not paths or (sensors is not None and not sensors):
        return READING_SCHEMA.empty_table()
    dataset = ds.FileSystemDataset.from_paths(
        [str(root / path) for path in paths],
        schema=READING_SCHEMA,
        format=ds.ParquetFileFormat(),
        filesystem=LocalFileSystem(),
    )
    return dataset.to_table(filter=_filter(sensors, start, end))


def select(
    readings: pa.Table, *, sensors: Sequence[int], start: datetime | None = None, end: datetime | None = None
) -> pa.Table:
    """The same choice from a table in memory."""
    return readings.filter(_filter(sensors, start, end))


def _filter(sensors: Sequence[int] | None, start: datetime | None, end: datetime | None) -> pc.Expression:
    time = pc.field("time")
    chosen = pc.scalar(True) if sensors is None else _is_one_of(sensors)
    if start is not None:
        chosen &= time >= pa.scalar(microseconds(start), pa.int64()).cast(_TIME)
    if end is not None:
        chosen &= time < pa.scalar(microseconds(end), pa.int64()).cast(_TIME)
    return chosen


def _is_one_of(sensors: Sequence[int]) -> pc.Expression:
    sensor = pc.field("sensor")
    ids = np.unique(np.asarray(sensors, dtype=np.int32))
    # The range is what row group statistics answer; the set is for what lies between.
    chosen = (sensor >= pa.scalar(ids[0], pa.int32())) & (sensor <= pa.scalar(ids[-1], pa.int32()))
    return chosen if len(ids) > int(ids[-1]) - int(ids[0]) else chosen & sensor.isin(pa.array(ids))
