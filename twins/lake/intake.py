"""What may enter the lake. Checks are vectorised; a fault of the table is an error, a fault of a row is a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twins.exceptions import ReadingsError
from twins.lake.schema import Columns, column, microseconds

MAX_REJECTS = 1_000

_NO_SENSOR, _NO_TIME = -1, -(2**63)
"""What stands in a column of a row that lacks it; a value that is not there is NaN."""
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
    limited: bool = True
    """False when all are known and none has a limit."""


def conform(readings: pa.Table) -> Columns:
    """The columns sensor (int64 still), time, value and quality; faults of single rows are left for `find_rejects`.

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
    table = pa.table({name: _cast(readings[name], name) for name in _TYPES})
    return Columns(*(_filled(table, name) for name in _TYPES))


def _filled(table: pa.Table, name: str) -> np.ndarray:
    values = table[name]
    if not values.null_count:
        return column(table, name)
    if name == "time":
        values = values.cast(pa.int64())
    return values.fill_null({"sensor": _NO_SENSOR, "time": _NO_TIME, "value": np.nan, "quality": 0}[name]).to_numpy()


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
    readings: Columns, *, limits: Limits, earliest: datetime, latest: datetime
) -> tuple[np.ndarray, tuple[Reject, ...]]:
    """The numbers of the rows that may not enter, and the first MAX_REJECTS of them, each with its first reason.

    A sensor must be known to `limits` and its value within them; `earliest` <= time <= `latest`; a value must be
    finite, whatever its quality: what has no value was not measured, so the gap itself is the record.
    """
    first, last = microseconds(earliest), microseconds(latest)
    if _are_faultless(readings, limits, first, last):
        # So it is most often, and asked in a fraction of the steps.
        return np.empty(0, np.int64), ()
    sensor, time, value, _ = readings
    code, ids, low, high, _ = limits
    faults: list[tuple[np.ndarray, Callable[[int], str]]] = [
        (sensor == _NO_SENSOR, lambda _: "the sensor is missing"),
        (np.isnan(low)[code], lambda row: f"sensor {ids[code[row]]} is not registered"),
        (time == _NO_TIME, lambda _: "the time is missing"),
        (time < first, lambda _: f"the time is before {earliest:%Y-%m-%d %H:%M} UTC"),
        (time > last, lambda _: f"the time is after {latest:%Y-%m-%d %H:%M} UTC, in the future"),
        (np.isnan(value), lambda _: "the value is missing, or NaN"),
        (~np.isfinite(value), lambda row: f"the value is {value[row]}, not a finite number"),
        (value < low[code], lambda row: f"the value {value[row]:g} is below {low[code[row]]:g}, the least there is"),
        (value > high[code], lambda row: f"the value {value[row]:g} is above {high[code[row]]:g}, the most there is"),
    ]
    bad = np.flatnonzero(np.logical_or.reduce([mask for mask, _ in faults]))
    return bad, tuple(
        Reject(int(row), next(reason(row) for mask, reason in faults if mask[row])) for row in bad[:MAX_REJECTS]
    )


def _are_faultless(readings: Columns, limits: Limits, first: int, last: int) -> bool:
    _, time, value, _ = readings
    if not (len(time) and first <= time.min() and time.max() <= last and np.isfinite(value).all()):
        return False
    if not limits.limited:
        return True
    low, high = limits.low[limits.code], limits.high[limits.code]
    # No comparison holds for NaN, the limit of an unknown sensor.
    return bool(((value >= low) & (value <= high)).all())


def limits_of(sensor: np.ndarray, known: Mapping[int, tuple[float, float]]) -> Limits:
    """The limits of the rows of a column, out of those of known sensors."""
    ids, code = np.unique(sensor, return_inverse=True)
    nothing = (np.nan, np.nan)
    low, high = np.array([known.get(one, nothing) for one in ids.tolist()], dtype=np.float64).reshape(-1, 2).T
    return Limits(code, ids.tolist(), low, high)
