"""Arrow tables of readings, as Arrow and Parquet carry them: columns of known types, checked without a loop.

`sensor` is a UUID as text or as 16 bytes, dictionary encoded or not; `time` a timestamp with a zone in any unit, cut to
microseconds; `value` a number; `quality`, which may be left out, an integer.
"""

from __future__ import annotations

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as kinds

from twins.exceptions import MalformedBody
from twins.lake import from_microseconds
from twins.sources.columns import FIRST_US, LAST_US, binary_sensors, instants, is_null, sensors
from twins.sources.decoded import DecodedReadings, Finding, Names, check_rows, gather

NAMES = ("sensor", "time", "value", "quality")
_FACTORS = {"s": 1_000_000, "ms": 1_000, "us": 1}


def check_schema(schema: pa.Schema) -> None:
    """Raises MalformedBody for columns that are missing, doubled, unknown or of a type that is no reading's."""
    check_names(schema.names)
    for field in schema:
        if field.name == "time" and kinds.is_timestamp(field.type) and field.type.tz is None:
            raise MalformedBody("The column 'time' has no time zone: send timestamps in UTC.")
        if not _FITS[field.name](field.type):
            raise MalformedBody(f"The column {field.name!r} has the type {field.type}: send {_WANTED[field.name]}.")


def check_names(names: list[str]) -> None:
    """Raises MalformedBody unless these are the columns of readings, each once."""
    if unknown := sorted(set(names) - set(NAMES)):
        raise MalformedBody(f"The column {unknown[0][:60]!r} is unknown: send sensor, time, value and quality.")
    if repeated := [name for name in NAMES if names.count(name) > 1]:
        raise MalformedBody(f"The column {repeated[0]!r} is there twice: send it once.")
    if missing := [name for name in NAMES[:3] if name not in names]:
        raise MalformedBody(f"The column {missing[0]!r} is missing: send sensor, time and value.")


def from_table(table: pa.Table) -> DecodedReadings:
    """The readings of a table whose schema `check_schema` has passed, and whose buffers are valid."""
    check_rows(table.num_rows)
    time, time_finding = _times(_whole(table["time"]))
    value, value_finding = _values(_whole(table["value"]))
    quality, quality_finding = _qualities(table)
    names, sensor_finding = _sensors(table["sensor"])
    findings = [sensor_finding, time_finding, value_finding, quality_finding]
    return gather(names, time, value, quality, findings, content=lambda row: content_of(table, row))


def _is_text(kind: pa.DataType) -> bool:
    return kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return kinds.is_binary(kind) or kinds.is_large_binary(kind) or (kinds.is_fixed_size_binary(kind))


def _is_sensor(kind: pa.DataType) -> bool:
    kind = kind.value_type if kinds.is_dictionary(kind) else kind
    return _is_text(kind) or _is_bytes(kind)


_FITS = {
    "sensor": _is_sensor,
    "time": kinds.is_timestamp,
    "value": lambda kind: kinds.is_floating(kind) or kinds.is_integer(kind),
    "quality": lambda kind: kinds.is_integer(kind) or kinds.is_null(kind),
}
_WANTED = {
    "sensor": "UUIDs as text or as 16 bytes",
    "time": "timestamps in UTC",
    "value": "double",
    "quality": "int32",
}


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _sensors(column: pa.ChunkedArray) -> tuple[Names, Finding]:
    kind = column.type
    if kinds.is_dictionary(kind):
        encoded = _whole(column if column.num_chunks == 1 else column.unify_dictionaries())
        if encoded.indices.type != pa.int32():
            encoded = pa.DictionaryArray.from_arrays(encoded.indices.cast(pa.int32()), encoded.dictionary)
    else:
        # Encoding knows neither views nor the wider kinds.
        narrow = pa.string() if _is_text(kind) else kind if kinds.is_fixed_size_binary(kind) else pa.binary()
        encoded = pc.dictionary_encode(_whole(column.cast(narrow)))
    if _is_bytes(encoded.type.value_type):
        return binary_sensors(encoded)
    return sensors(encoded, lambda row: encoded[row].as_py())


def _times(column: pa.Array) -> tuple[np.ndarray, Finding]:
    numbers = column.view(pa.int64())
    factor = _FACTORS.get(column.type.unit)
    found = (numbers.fill_null(0) if numbers.null_count else numbers).to_numpy()
    if factor is None:
        found = found // 1_000
    elif factor > 1:
        # A product that would overflow is as far away as one that only leaves the calendar.
        found = np.clip(found, FIRST_US // factor - 1, LAST_US // factor + 1) * factor
    if numbers.null_count:
        found = np.where(is_null(numbers), LAST_US + 1, found)
    return instants(found)


def _values(column: pa.Array) -> tuple[np.ndarray, Finding]:
    bad = is_null(column)
    numbers = column if column.type == pa.float64() else column.cast(pa.float64(), safe=False)
    if numbers.null_count:
        numbers = numbers.fill_null(0.0)
    return numbers.to_numpy(), (bad, lambda row: "has no value")


def _qualities(table: pa.Table) -> tuple[np.ndarray, Finding]:
    rows = table.num_rows
    fine: Finding = (np.zeros(rows, bool), str)
    if "quality" not in table.column_names or kinds.is_null(table["quality"].type):
        return np.zeros(rows, np.int32), fine
    column = _whole(table["quality"])
    found = (column.fill_null(0) if column.null_count else column).to_numpy()
    if column.type == pa.int32():
        return found, fine
    bad = (found > 2**31 - 1) | (found < -(2**31))
    kept = np.where(bad, 0, found).astype(np.int32)
    return kept, (bad, lambda row: f"quality {found[row]} is not a whole number of 32 bits")


def content_of(table: pa.Table, row: int) -> str:
    """A row of a table that `check_schema` has passed as JSON would carry it."""
    cells = {name: table[name][row] for name in table.column_names}
    content = {name: cell.as_py() for name, cell in cells.items() if name != "time"}
    if isinstance(content["sensor"], bytes):
        content["sensor"] = content["sensor"].hex()
    instant = _times(table["time"].slice(row, 1).combine_chunks())
    content["time"] = None if instant[1][0][0] else from_microseconds(int(instant[0][0])).isoformat()
    return orjson.dumps({name: content[name] for name in NAMES if name in content}).decode()
