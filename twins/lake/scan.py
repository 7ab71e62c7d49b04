"""Rows of some sensors and a span of time out of files, decoding only the row groups that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from twins.lake.blocks import decode, decode_kept
from twins.lake.footers import Footer, footer_of
from twins.lake.schema import READING_SCHEMA, column, microseconds
from twins.lake.store import Location, open_store

_TIME = pa.timestamp("us", tz="UTC")
_FEW = 8
_ALWAYS = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)


def read_files(
    root: Location,
    paths: Sequence[str],
    *,
    sensors: Sequence[int] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    schema: pa.Schema = READING_SCHEMA,
    keep: bool = False,
) -> pa.Table:
    """Rows, unmerged, of `sensors` (None: of all) with `start` <= time < `end`, in `schema`, whose second column is the
    time; `keep` what was decoded for whoever asks next.

    Raises FileNotFoundError when a file was removed meanwhile.
    """
    if not paths or (sensors is not None and not len(sensors)):
        return schema.empty_table()
    span = (_ALWAYS[0] if start is None else microseconds(start), _ALWAYS[1] if end is None else microseconds(end))
    if sensors is None and span == _ALWAYS:
        return pa.concat_tables([_read_whole(root, path, schema) for path in paths])
    wanted = None if sensors is None else np.unique(np.asarray(sensors, dtype=np.int64))
    take = partial(decode_kept if keep else decode, root, columns=schema.names)
    parts = [
        _conform(part, schema)
        for path in paths
        for part in _part(footer_of(root, path), wanted, span, partial(take, path))
    ]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def read_later(
    root: Location,
    paths: Sequence[str],
    *,
    sensors: np.ndarray,
    after: np.ndarray,
    end: datetime,
    schema: pa.Schema = READING_SCHEMA,
) -> pa.Table:
    """Rows, unmerged, of ascending `sensors`, of each those later than its own instant of `after` (microseconds since
    1970) and before `end`.

    For who goes on from where it was: of a file that it went through before, only the times are decoded. Raises
    FileNotFoundError when a file was removed meanwhile.
    """
    parts: list[pa.Table] = []
    span = (int(after.min()) + 1, microseconds(end))
    # In order of time, so that what is read of each sensor is too, and merging has only sensors to sort by.
    footers = sorted(((footer_of(root, path), path) for path in paths), key=lambda each: int(each[0].first.min()))
    for footer, path in footers:
        take = partial(decode, root, path)
        groups = _groups(footer, _runs(footer, sensors), span)
        if not groups:
            continue
        if footer.first[groups].min() > after.max():
            parts += _part(footer, sensors, span, partial(take, columns=schema.names))
            continue
        limits = _repeated(footer, sensors, after)
        limits = np.concatenate([limits[footer.groups[group] : footer.groups[group + 1]] for group in groups])
        time = column(take(footer, groups, columns=schema.names[1:2]), schema.names[1])
        held = (time > limits) & (time < span[1])
        if held.any():
            parts.append(take(footer, groups, columns=schema.names).filter(pa.array(held)))
    parts = [_conform(part, schema) for part in parts]
    return pa.concat_tables(parts) if parts else schema.empty_table()


def _repeated(footer: Footer, sensors: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The instant of each row's sensor, of sensors that are not asked for one that nothing is later than."""
    at = np.searchsorted(sensors[:-1], footer.sensors)
    of_each = np.where(sensors[at] == footer.sensors, after[at], _ALWAYS[1])
    return np.repeat(of_each, np.diff(footer.starts))


def _read_whole(root: Location, path: str, schema: pa.Schema) -> pa.Table:
    with open_store(root).open(path) as source:
        return _conform(pq.ParquetFile(source).read(columns=schema.names), schema)


def _part(
    footer: Footer, wanted: np.ndarray | None, span: tuple[int, int], take: Callable[..., pa.Table]
) -> Iterator[pa.Table]:
    """What a file holds of the wanted sensors and the span, out of the row groups that `take` decodes."""
    if wanted is not None and len(wanted) == 1:
        yield from _of_one(footer, int(wanted[0]), span, take)
        return
    runs = _runs(footer, wanted)
    groups = _groups(footer, runs, span)
    if groups:
        yield from _slices(take(footer, groups), footer, runs, groups, span)


def _of_one(footer: Footer, sensor: int, span: tuple[int, int], take: Callable[..., pa.Table]) -> Iterator[pa.Table]:
    """The same for one sensor, in a fraction of the steps: a chart of a year asks it of every day."""
    at = int(np.searchsorted(footer.sensors, sensor))
    if at == len(footer.sensors) or footer.sensors[at] != sensor:
        return
    first, end = int(footer.starts[at]), int(footer.starts[at + 1])
    low = int(np.searchsorted(footer.groups, first, side="right")) - 1
    high = int(np.searchsorted(footer.groups, end, side="left"))
    held = [g for g in range(low, high) if footer.last[g] >= span[0] and footer.first[g] < span[1]]
    if not held:
        return
    # From the first to the last that can hold the span: what lies between is this sensor's alone.
    low, high = held[0], held[-1] + 1
    table = take(footer, range(low, high))
    begin = int(footer.groups[low])
    first, end = max(first - begin, 0), min(end - begin, table.num_rows)
    if footer.first[low:high].min() < span[0] or footer.last[low:high].max() >= span[1]:
        time = table.column(1).cast(pa.int64()).to_numpy()[first:end]
        first, end = first + int(np.searchsorted(time, span[0])), first + int(np.searchsorted(time, span[1]))
    if first < end:
        yield table.slice(first, end - first)


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    return table if table.schema.equals(schema) else table.cast(schema)


def _runs(footer: Footer, wanted: np.ndarray | None) -> np.ndarray:
    """First row and end of each wanted sensor that the file holds, one line each."""
    starts = footer.starts
    if wanted is None:
        return np.stack([starts[:-1], starts[1:]], axis=1)
    at = np.searchsorted(footer.sensors, wanted)
    within = at < len(footer.sensors)
    at = at[within][footer.sensors[at[within]] == wanted[within]]
    return np.stack([starts[at], starts[at + 1]], axis=1)


def _groups(footer: Footer, runs: np.ndarray, span: tuple[int, int]) -> list[int]:
    """Row groups that hold rows of the runs and can hold times of the span."""
    if not len(runs):
        return []
    low = np.searchsorted(footer.groups, runs[:, 0], side="right") - 1
    high = np.searchsorted(footer.groups, runs[:, 1], side="left")
    depth = np.zeros(len(footer.groups) + 1, np.int64)
    np.add.at(depth, low, 1)
    np.add.at(depth, high, -1)
    held = np.cumsum(depth)[: len(footer.groups) - 1] > 0
    return np.flatnonzero(held & (footer.last >= span[0]) & (footer.first < span[1])).tolist()


def _slices(
    table: pa.Table, footer: Footer, runs: np.ndarray, groups: list[int], span: tuple[int, int]
) -> Iterator[pa.Table]:
    """The rows of the runs within the span out of row groups read one after the other: slices, without copying."""
    # Most files lie wholly within a long span: then nothing has to be cut sensor by sensor.
    whole = footer.first[groups].min() >= span[0] and footer.last[groups].max() < span[1]
    many = len(runs) > _FEW
    if whole or many:
        runs = _joined(runs)
    begins, ends = footer.groups[groups], footer.groups[np.asarray(groups) + 1]
    shift = np.cumsum(ends - begins) - (ends - begins) - begins
    low = np.maximum(runs[:, 0][:, None], begins[None, :]) + shift
    high = np.minimum(runs[:, 1][:, None], ends[None, :]) + shift
    pieces = np.stack([low[low < high], high[low < high]], axis=1)
    if whole:
        yield from (table.slice(a, b - a) for a, b in _joined(pieces).tolist())
        return
    time = table.column(1).cast(pa.int64()).to_numpy()
    if many:
        # One comparison of all rows is quicker than a slice for each of many sensors.
        inside = np.zeros(len(time) + 1, np.int8)
        np.add.at(inside, pieces[:, 0], 1)
        np.add.at(inside, pieces[:, 1], -1)
        held = np.cumsum(inside[:-1], dtype=np.int8).view(bool)
        yield table.filter(pa.array(held & (time >= span[0]) & (time < span[1])))
        return
    for a, b in pieces.tolist():
        first, end = (a + int(np.searchsorted(time[a:b], bound)) for bound in span)
        if first < end:
            yield table.slice(first, end - first)


def _joined(pieces: np.ndarray) -> np.ndarray:
    """Neighbouring ones of ascending pieces [pieces, 2], first row and end, as one."""
    apart = pieces[1:, 0] != pieces[:-1, 1]
    return np.stack([pieces[np.append(True, apart), 0], pieces[np.append(apart, True), 1]], axis=1)


def select(
    readings: pa.Table, *, sensors: Sequence[int], start: datetime | None = None, end: datetime | None = None
) -> pa.Table:
    """The same choice from a table in memory."""
    return readings.filter(_filter(sensors, start, end))


def _filter(sensors: Sequence[int], start: datetime | None, end: datetime | None) -> pc.Expression:
    time = pc.field("time")
    chosen = _is_one_of(sensors)
    if start is not None:
        chosen &= time >= pa.scalar(microseconds(start), pa.int64()).cast(_TIME)
    if end is not None:
        chosen &= time < pa.scalar(microseconds(end), pa.int64()).cast(_TIME)
    return chosen


def _is_one_of(sensors: Sequence[int]) -> pc.Expression:
    sensor = pc.field("sensor")
    ids = np.unique(np.asarray(sensors, dtype=np.int32))
    # The range is quick to compare; the set is for what lies between.
    chosen = (sensor >= pa.scalar(ids[0], pa.int32())) & (sensor <= pa.scalar(ids[-1], pa.int32()))
    return chosen if len(ids) > int(ids[-1]) - int(ids[0]) else chosen & sensor.isin(pa.array(ids))
