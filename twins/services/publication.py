"""The lake for others: a manifest that names its live files and says how the newest batch wins, and exports.

A manifest is a JSON file at the top of the lake, replaced whole. Whatever was accepted before it was made is in the
files it names, and those stay on disk for GRACE after it was made, whatever is compacted meanwhile, so a reader has
that long. Beside it lies the register's part: which number is which sensor.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from django.db import connection

from assets.models import Sensor
from twins import lake
from twins.conf import settings
from twins.exceptions import LakeError
from twins.lake import MANIFEST, SETTLED
from twins.selectors.readings import scan_readings
from twins.services.compaction import compact_all
from twins.services.sweeping import GRACE

_RULE = "Of rows with equal sensor and time, the one with the highest batch stands."
_COLUMNS = {
    "sensor": "int32, the key of sensors",
    "time": "timestamp, UTC, microseconds",
    "value": "double, in the unit of the sensor",
    "quality": "int32, OPC UA status code: 0 good, above uncertain, below bad",
    "batch": "int64, which acceptance it came with",
}
_SENSOR_SCHEMA = pa.schema(
    [
        pa.field("sensor", pa.int32(), nullable=False),
        pa.field("uuid", pa.string(), nullable=False),
        pa.field("asset", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("quantity", pa.string(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),
    ]
)
_EXPORTED = 4_000_000
"""Readings of one step of an export, about: what it holds in memory."""


def publish_manifest(*, now: datetime) -> dict[str, Any]:
    """Write the manifest, after everything accepted before has gone into files; what was written."""
    compact_all()
    sensors = lake.sensors_path(uuid.uuid4().hex)
    lake.write_synced(settings().LAKE, sensors, _sensor_file())
    manifest = _manifest(now, sensors)
    lake.write_synced(settings().LAKE, MANIFEST, json.dumps(manifest, indent=1).encode())
    return manifest


def _manifest(now: datetime, sensors: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT file.dataset, file.path, of.path, file.day::text, file.level, file.rows, file.bytes, file.sha256, "
            "file.sensor_min, file.sensor_max, file.time_min, file.time_max FROM twins_lakefile file "
            "LEFT JOIN twins_lakefile of ON of.id = file.of_id WHERE file.state = 'live' "
            "ORDER BY file.day, file.sensor_min, file.id"
        )
        names = [
            "dataset",
            "path",
            "of",
            "day",
            "level",
            "rows",
            "bytes",
            "sha256",
            "sensor_min",
            "sensor_max",
            "time_min",
            "time_max",
        ]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    crowded = {row["day"] for row in rows if row["dataset"] == "raw" and row["level"] != SETTLED}
    files = [_entry(row) | {"alone": row["day"] not in crowded} for row in rows if row["dataset"] == "raw"]
    return {
        "version": 1,
        "location": lake.public_name(settings().LAKE),
        "made_at": now.isoformat(),
        "readable_until": (now + GRACE).isoformat(),
        "columns": _COLUMNS,
        "rule": _RULE,
        "alone": "No other file has a reading of the same sensor and time as a file that is alone.",
        "sensors": sensors,
        "files": files,
        "minutes": [_entry(row) | {"of": row["of"]} for row in rows if row["dataset"] == "minute"],
        "duckdb": _view(files),
    }


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    plain = {name: row[name] for name in ("path", "day", "rows", "bytes", "sha256", "sensor_min", "sensor_max")}
    return plain | {name: row[name].astimezone(UTC).isoformat() for name in ("time_min", "time_max")}


def _view(files: Sequence[dict[str, Any]]) -> str:
    """Text of a DuckDB view of all readings, each once; paths are relative to the lake."""
    # Text for another engine, made of our own paths; nothing here runs it.
    select = "SELECT {} FROM read_parquet({}, hive_partitioning = false)"
    newest = " QUALIFY row_number() OVER (PARTITION BY sensor, time ORDER BY batch DESC) = 1"
    kinds = [([file["path"] for file in files if file["alone"] is alone], alone) for alone in (True, False)]
    names = ", ".join(_COLUMNS)
    parts = [select.format(names, _listed(paths)) + ("" if alone else newest) for paths, alone in kinds if paths]
    return "CREATE OR REPLACE VIEW readings AS " + " UNION ALL ".join(parts) if parts else ""


def _listed(paths: Sequence[str]) -> str:
    return "[" + ", ".join(f"'{path}'" for path in paths) + "]"


def _sensor_file() -> bytes:
    fields = ("pk", "uuid", "asset__tag", "name", "quantity", "unit")
    rows = [(row[0], str(row[1]), *row[2:]) for row in Sensor.objects.order_by("pk").values_list(*fields)]
    columns = list(zip(*rows, strict=True)) or [()] * len(fields)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SENSOR_SCHEMA, strict=True)]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, schema=_SENSOR_SCHEMA), sink, compression="zstd", store_schema=False)
    return sink.getvalue().to_pybytes()


def export_readings(
    *, target: Path, sensors: Sequence[int] | None = None, start: datetime | None = None, end: datetime | None = None
) -> int:
    """Write readings, each once, by day, sensor and time, into one CSV or Parquet file by its ending; how many.

    Columns: sensor (UUID), asset (tag), name, unit, time, value, quality. `sensors` are lake keys, None for all. The
    file has its name once it is whole. Raises LakeError for another ending and for a file that exists.
    """
    if target.suffix not in (".csv", ".parquet"):
        raise LakeError(f"{target.name} ends neither in .csv nor in .parquet: choose one of them.")
    if target.exists():
        raise LakeError(f"{target} exists: choose another name, or remove it.")
    unfinished = target.with_name(f".{target.name}.part")
    rows = Sensor.objects.order_by("pk").values_list("pk", "uuid", "asset__tag", "name", "unit")
    known = {row[0]: (str(row[1]), *row[2:]) for row in (rows if sensors is None else rows.filter(pk__in=sensors))}
    written = 0
    writer = _open(unfinished, target.suffix)
    try:
        with writer:
            for readings in _stretches(list(known), start, end):
                writer.write_table(_named(readings, known))
                written += readings.num_rows
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return written


_EXPORT_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("sensor", "asset", "name", "unit")),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        pa.field("value", pa.float64()),
        pa.field("quality", pa.int32()),
    ]
)


def _open(path: Path, suffix: str) -> Any:
    if suffix == ".csv":
        return pyarrow.csv.CSVWriter(path, _EXPORT_SCHEMA)
    return pq.ParquetWriter(path, _EXPORT_SCHEMA, compression="zstd")


def _named(readings: pa.Table, known: Mapping[int, tuple[str, ...]]) -> pa.Table:
    keys = sorted(known)
    place = pa.compute.index_in(readings["sensor"], pa.array(keys, pa.int32()))
    texts = [pa.array([known[key][i] for key in keys], pa.string()).take(place.combine_chunks()) for i in range(4)]
    return pa.Table.from_arrays([*texts, *(readings[n] for n in ("time", "value", "quality"))], schema=_EXPORT_SCHEMA)


def _stretches(sensors: list[int], start: datetime | None, end: datetime | None) -> Iterator[pa.Table]:
    """Readings day by day, of so many sensors at a time that a day of them is about _EXPORTED."""
    for day, rows in _days():
        first = datetime.combine(day, time(), UTC)
        window = (max(first, start or first), min(first + timedelta(days=1), end or datetime.max.replace(tzinfo=UTC)))
        step = max(1, len(sensors) * _EXPORTED // max(rows, _EXPORTED))
        for low in range(0, len(sensors), step):
            readings = scan_readings(sensors=sensors[low : low + step], start=window[0], end=window[1])
            if readings.num_rows:
                yield readings


def _days() -> list[tuple[date, int]]:
    """UTC days that can have readings and about how many, in order."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT day, sum(rows) FROM (SELECT day, rows FROM twins_lakefile WHERE dataset = 'raw' AND state = 'live' "
            "UNION ALL SELECT generate_series(date_trunc('day', time_min AT TIME ZONE 'UTC'), "
            "time_max AT TIME ZONE 'UTC', '1 day')::date, rows FROM twins_batch WHERE compacted_at IS NULL) held "
            "GROUP BY day ORDER BY day"
        )
        return [(day, int(rows)) for day, rows in cursor.fetchall()]
