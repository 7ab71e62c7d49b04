"""What may enter the lake. Checks are vectorised; a fault of the table is an error, a fault of a row is a value."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twins.exceptions import ReadingsError
from twins.lake.merge import last_of_each
from twins.lake.schema import BODY_SCHEMA, column, from_columns, from_microseconds, microseconds

MAX_REJECTS = 1_000

_TYPES = {"sensor": pa.int64(), "time": pa.timestamp("us", tz="UTC"), "value": pa.float64(), "quality": pa.int32()}


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that may not enter, by its index in the table, why, and as it was sent where that is known."""

    index: int
    reason: str
    content: str = field(default="", compare=False)


class Limits(NamedTuple):
    """Which of some sensors each row has, what those are called, and their lowest and highest values; NaN of unknown
    ones."""

    code: np.ndarray
    names: Sequence[Any]
    low: np.ndarray
    high: np.ndarray


def conform(readings: pa.Table) -> pa.Table:
    """The columns sensor, time, value, quality in the lake's types; faults of single rows are left for `find_rejects`.

    A missing quality is 0, good; finer times are cut to microseconds; a column `batch` is ignored. Raises ReadingsError
    for a column that is missing, doubled, unknown or of another kind, and for times without a zone.
    """
    names = readings.schema.names
    if unknown := sorted(set(names) - {*_TYPES, "batch"}):
        raise ReadingsError(f"The column {unknown[0]!r} is unknown: send sensor, time, value and quality.")
    if repeated := [name for name in _TYPES if names.count(name) > 1]:
        raise ReadingsError(f"The column {repeated[0]!r} is there twice: send it once.")
    if missing := [name for name in ("sensor", "time", "value") if name not in names]:
        raise ReadingsError(f"The column {missing[0]!r} is missing: send sensor, time, value and quality.")
    if "quality" not in names:
        readings = readings.append_column("quality", pa.nulls(readings.num_rows, pa.int32()))
    columns = {name: _cast(readings[name], name) for name in _TYPES}
    columns["quality"] = columns["quality"].fill_null(0)
    return pa.table(columns)


def _cast(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    kind = values.type
    if name == "time" and pa.types.is_timestamp(kind) and kind.tz is None:
        raise ReadingsError("The column 'time' has no time zone: send timestamps in UTC.")
    fits = pa.types.is_timestamp(kind) if name == "time" else pa.types.is_integer(kind) or pa.types.is_null(kind)
    if name == "value":
        fits = fits or pa.types.is_floating(kind)
    if not fits:
        raise ReadingsError(f"The column {name!r} has the type {kind}: send {_TYPES[name]}.")
    try:
        # Cutting nanoseconds is wanted; an overflow is still an error.
        options = pc.CastOptions(_TYPES[name], allow_time_truncate=True)
        return values.cast(options=options)
    except pa.ArrowInvalid as error:
        raise ReadingsError(f"The column {name!r} does not fit {_TYPES[name]} ({error}).") from error


def find_rejects(
    readings: pa.Table, *, limits: Limits, earliest: datetime, latest: datetime
) -> tuple[np.ndarray, tuple[Reject, ...]]:
    """The numbers of the rows that may not enter, and the first MAX_REJECTS of them, each with its first reason.

    `readings` comes from `conform`. A sensor must be known to `limits` and its value within them; `earliest` <= time
    <= `latest`; a value must be finite, whatever its quality: what has no value was not measured, so the gap itself is
    the record.
    """
    sensor, time, value = (readings[name] for name in ("sensor", "time", "value"))
    instants = time.cast(pa.int64()).fill_null(0).to_numpy()
    numbers = value.fill_null(0.0).to_numpy()
    code, ids, low, high = limits
    if (
        len(readings)
        and not (sensor.null_count or time.null_count or value.null_count)
        and microseconds(earliest) <= instants.min() <= instants.max() <= microseconds(latest)
        and _are_within(numbers, limits)
    ):
        # So it is most often, and asked in a fraction of the steps.
        return np.empty(0, np.int64), ()
    missing = [np.asarray(values.is_null()) for values in (sensor, time, value)]
    faults: list[tuple[np.ndarray, Callable[[int], str]]] = [
        (missing[0], lambda _: "the sensor is missing"),
        (np.isnan(low)[code], lambda row: f"sensor {ids[code[row]]} is not registered"),
        (missing[1], lambda _: "the time is missing"),
        (instants < microseconds(earliest), lambda _: f"the time is before {earliest:%Y-%m-%d %H:%M} UTC"),
        (instants > microseconds(latest), lambda _: f"the time is after {latest:%Y-%m-%d %H:%M} UTC, in the future"),
        (missing[2], lambda _: "the value is missing"),
        (~np.isfinite(numbers), lambda row: f"the value is {numbers[row]}, not a finite number"),
        (
            numbers < low[code],
            lambda row: f"the value {numbers[row]:g} is below {low[code[row]]:g}, the least there is",
        ),
        (
            numbers > high[code],
            lambda row: f"the value {numbers[row]:g} is above {high[code[row]]:g}, the most there is",
        ),
    ]
    bad = np.flatnonzero(np.logical_or.reduce([mask for mask, _ in faults]))
    return bad, tuple(
        Reject(int(row), next(reason(row) for mask, reason in faults if mask[row])) for row in bad[:MAX_REJECTS]
    )


def _are_within(numbers: np.ndarray, limits: Limits) -> bool:
    low, high = limits.low[limits.code], limits.high[limits.code]
    return bool((np.isfinite(numbers) & (numbers >= low) & (numbers <= high)).all())


def limits_of(sensor: pa.ChunkedArray, known: Mapping[int, tuple[float, float]]) -> Limits:
    """The limits of the rows of a column, out of those of known sensors."""
    encoded = sensor.fill_null(0).combine_chunks().dictionary_encode()
    ids = encoded.dictionary.to_pylist()
    nothing = (np.nan, np.nan)
    low, high = np.array([known.get(one, nothing) for one in ids], dtype=np.float64).reshape(-1, 2).T
    return Limits(encoded.indices.to_numpy(), ids, low, high)


def sort_and_drop_repeats(readings: pa.Table) -> pa.Table:
    """Faultless readings in BODY_SCHEMA, sorted by (sensor, time); of two of one (sensor, time) the last row stays."""
    columns = [column(readings, name) for name in BODY_SCHEMA.names]
    order = last_of_each(columns[0], columns[1])
    return from_columns([values[order] for values in columns], BODY_SCHEMA)


def content_hash(readings: pa.Table) -> str:
    """SHA-256, in hex, of sorted readings: equal for equal readings however they were ordered, chunked or encoded."""
    digest = hashlib.sha256()
    for values in _little_endian(readings):
        digest.update(values)
    return digest.hexdigest()


def _little_endian(readings: pa.Table) -> Iterator[memoryview]:
    for name, kind in zip(BODY_SCHEMA.names, ("<i4", "<i8", "<f8", "<i4"), strict=True):
        yield np.ascontiguousarray(column(readings, name), dtype=kind).data


def ranges(readings: pa.Table) -> tuple[int, int, datetime, datetime]:
    """Lowest and highest sensor, first and last time of sorted readings, at least one."""
    sensor, time = column(readings, "sensor"), column(readings, "time")
    return int(sensor[0]), int(sensor[-1]), from_microseconds(int(time.min())), from_microseconds(int(time.max()))
