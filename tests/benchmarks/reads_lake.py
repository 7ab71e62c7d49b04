"""The lake at rest and read: bytes a reading, and reads beside DuckDB, VictoriaMetrics and the bare index.

Everything is measured on settled files, one thing after the other in turns, and compared by medians. DuckDB reads its
own sorted table in a file of its own, in this process; VictoriaMetrics is asked over HTTP, which is the only way, for
bytes that are not decoded, and with its cache of answers off.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import statistics
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import numpy as np
import orjson
import pyarrow as pa
from django.db import connection
from django.db.models import Sum

from assets.models import Sensor
from assets.services import NewAsset, create_assets, create_sensors
from config.benchmarks import Figure
from tests.benchmarks import _peers
from tests.benchmarks._mixed import Mixed
from twins import lake
from twins.conf import settings
from twins.models import LakeFile
from twins.models.ingestion import Dataset, FileState
from twins.selectors.minutes import windows_of
from twins.selectors.readings import latest_readings, scan_readings
from twins.selectors.series import series_of
from twins.services.compaction import compact_hot_tail, settle_day
from twins.services.ingestion import accept_readings

SENSORS = 2_000
ROUNDS = 60
DAYS = 30
_MINUTE = timedelta(minutes=1)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=10_000_000, help="readings of the mixed data set")


def run(options: Namespace) -> Iterator[Figure]:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    sensors = _register("mixed", SENSORS)
    mixed = Mixed(options.rows, sensors=SENSORS, jitter=10)
    day = lake.from_microseconds(mixed.start).date()
    for table in mixed.tables(400_000):
        accept(_keyed(table, sensors))
    _compact()
    settle_day(day=day)
    yield Figure(name="bytes_per_reading", value=_bytes(Dataset.RAW, day), unit="B", goal=("<=", 2.3))
    yield Figure(name="rollup_bytes_per_reading", value=_bytes(Dataset.MINUTE, day), unit="B")
    yield Figure(name="bytes_per_reading_second_jitter", value=_second_jitter(sensors), unit="B")
    with tempfile.TemporaryDirectory(prefix="twins-others-") as folder:
        yield _one_day(sensors, day, Path(folder))
        yield from _hundred_sensors(sensors, mixed, Path(folder))
    yield from _thirty_days()
    yield _latest()


def accept(table: pa.Table) -> None:
    answer = accept_readings(readings=table, source="benchmark")
    assert answer.batch is not None, answer.rejects[:3]


def _register(name: str, count: int) -> np.ndarray:
    """Lake keys of new sensors at a new asset."""
    asset = create_assets(rows=[NewAsset(tag=name, name=name, level="system")])[name]
    made = create_sensors(sensors=[Sensor(asset=asset, name=f"s{i}", quantity="x") for i in range(count)])
    return np.array([sensor.pk for sensor in made], np.int32)


def _keyed(table: pa.Table, sensors: np.ndarray) -> pa.Table:
    return table.set_column(0, "sensor", pa.array(sensors[table["sensor"].to_numpy()]))


def _compact() -> None:
    while compact_hot_tail():
        pass


def _bytes(dataset: Dataset, day: date) -> float:
    """Bytes of a day's live files for each of its readings."""
    live = LakeFile.objects.filter(state=FileState.LIVE, day=day)
    size = live.filter(dataset=dataset).aggregate(total=Sum("bytes"))["total"] or 0
    return float(size / live.filter(dataset=Dataset.RAW).aggregate(total=Sum("rows"))["total"])


def _second_jitter(sensors: np.ndarray) -> float:
    """The same with times that lie anywhere in their second, another day."""
    start = datetime(2025, 6, 1, tzinfo=UTC)
    for table in Mixed(2_000_000, sensors=SENSORS, start=lake.microseconds(start)).tables(400_000):
        accept(_keyed(table, sensors))
    _compact()
    settle_day(day=start.date())
    return _bytes(Dataset.RAW, start.date())


def _one_day(sensors: np.ndarray, day: date, folder: Path) -> Figure:
    start = datetime.combine(day, datetime.min.time(), UTC)
    end = start + timedelta(days=1)
    paths = LakeFile.objects.filter(state=FileState.LIVE, day=day, dataset=Dataset.RAW).values_list("path", flat=True)
    chosen = np.random.default_rng(1).choice(sensors, ROUNDS).tolist()
    with duckdb.connect(folder / "readings.duckdb") as engine:
        engine.execute("SET threads = 2")
        engine.execute(
            "CREATE TABLE readings AS SELECT sensor, time, value, quality FROM read_parquet(?, "
            "hive_partitioning = false) ORDER BY sensor, time",
            [[str(Path(settings().LAKE) / path) for path in paths]],
        )
        engine.execute("CHECKPOINT")
        query = "SELECT sensor, time, value, quality FROM readings WHERE sensor = ? AND time >= ? AND time < ?"

        def other(sensor: int) -> int:
            return int(engine.sql(query, params=[sensor, start, end]).to_arrow_table().num_rows)

        def ours(sensor: int) -> int:
            return int(scan_readings(sensors=[sensor], start=start, end=end).num_rows)

        assert [ours(sensor) for sensor in chosen] == [other(sensor) for sensor in chosen]
        ratio = _ratio(
            [lambda s=sensor: ours(s) for sensor in chosen], [lambda s=sensor: other(s) for sensor in chosen]
        )
    return Figure(name="one_day_raw_vs_duckdb", value=ratio, unit="x", goal=("<=", 1.5))


def _ratio(ours: list[Callable[[], Any]], others: list[Callable[[], Any]]) -> float:
    """The median time of ours in median times of others, measured in turns."""
    times = [(_seconds(one), _seconds(other)) for one, other in zip(ours, others, strict=True)]
    return statistics.median(a for a, _ in times) / statistics.median(b for _, b in times)


def _seconds(action: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def _hundred_sensors(sensors: np.ndarray, mixed: Mixed, folder: Path) -> Iterator[Figure]:
    """Means by the minute: of a hundred sensors of one plant, which is how they are asked for, and of scattered."""
    end = lake.from_microseconds(mixed.end).replace(second=0, microsecond=0)
    start = end - timedelta(hours=1)
    with _peers.running(_peers.VICTORIA_METRICS, folder) as other:
        client = other and other.client
        if client is not None:
            _load_victoria(client, sensors)
        for name, label, chosen, goal in (
            ("hundred_sensors_hour_vs_victoriametrics", 'plant="7"', sensors[700:800], ("<=", 1.5)),
            ("hundred_scattered_sensors_hour_vs_victoriametrics", 'nth="3"', sensors[3::20], None),
        ):
            value = None if client is None else _hundred(client, label, chosen.tolist(), start, end)
            yield Figure(name=name, value=value, unit="x", goal=goal)


def _hundred(client: httpx.Client, label: str, chosen: list[int], start: datetime, end: datetime) -> float:
    # Its windows end at the step and are open at their beginning, ours begin there and are open at their end.
    span = {"start": (start + _MINUTE).timestamp() - 0.001, "end": end.timestamp() - 0.001, "step": 60}
    query = {"query": f"avg_over_time(reading{{{label}}}[1m])", "nocache": 1, **span}

    def other() -> bytes:
        return client.get("/api/v1/query_range", params=query).raise_for_status().content

    def ours() -> pa.Table:
        return windows_of(sensors=chosen, width=_MINUTE, start=start, end=end)

    found = {
        (int(series["metric"]["sensor"]), round(float(at) - 59.999)): float(value)
        for series in orjson.loads(other())["data"]["result"]
        for at, value in series["values"]
    }
    mine = {(row["sensor"], int(row["start"].timestamp())): row["mean"] for row in ours().to_pylist()}
    assert mine.keys() == found.keys(), (len(mine), len(found))
    assert all(abs(mine[key] - found[key]) < 1e-6 * max(1.0, abs(mine[key])) for key in mine)
    return _ratio([ours] * ROUNDS, [other] * ROUNDS)


def _await(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(httpx.HTTPError):
            if ready():
                return
        time.sleep(0.1)
    raise RuntimeError("VictoriaMetrics did not end its merge within a minute.")


def _load_victoria(client: httpx.Client, sensors: np.ndarray) -> None:
    """All readings of the mixed data set, from the lake, a line of JSON for each sensor."""
    for low in range(0, len(sensors), 100):
        table = scan_readings(sensors=sensors[low : low + 100].tolist(), start=datetime(2026, 1, 1, tzinfo=UTC))
        lines = []
        for place, sensor in enumerate(sensors[low : low + 100].tolist(), start=low):
            rows = table.filter(pa.compute.equal(table["sensor"], sensor))
            labels = {"__name__": "reading", "sensor": str(sensor), "plant": str(place // 100), "nth": str(place % 20)}
            times = rows["time"].cast(pa.int64()).to_numpy() // 1000
            lines.append(
                orjson.dumps(
                    {"metric": labels, "values": rows["value"].to_numpy(), "timestamps": times},
                    option=orjson.OPT_SERIALIZE_NUMPY,
                )
            )
        client.post("/api/v1/import", content=b"\n".join(lines)).raise_for_status()
    client.get("/internal/force_flush").raise_for_status()
    client.get("/internal/force_merge").raise_for_status()
    _await(lambda: "vm_active_force_merges 0" in client.get("/metrics").text)


def _thirty_days() -> Iterator[Figure]:
    """One at a time of twenty sensors that say something every ten seconds: asked for the first time, and again."""
    start = datetime(2025, 9, 1, tzinfo=UTC)
    sensors = _register("dense", 20)
    ticks = DAYS * 8640
    mixed = Mixed(20 * ticks, sensors=20, interval=10_000_000, start=lake.microseconds(start), jitter=10)
    for table in mixed.tables(400_000):
        accept(_keyed(table, sensors))
    _compact()
    for number in range(DAYS):
        settle_day(day=(start + timedelta(days=number)).date())
    end = start + timedelta(days=DAYS)

    def chart(sensor: int) -> None:
        series = series_of([sensor], start=start, end=end, points=500)[sensor]
        assert (len(series.points) <= 500, series.total) == (True, ticks)

    asked = sensors[::4].tolist()
    first, *again = ([_seconds(lambda s=sensor: chart(s)) * 1000 for sensor in asked] for _ in range(6))
    yield Figure(name="thirty_days_500_points_first_ms", value=statistics.median(first), unit="ms")
    value = statistics.median(itertools.chain(*again))
    yield Figure(name="thirty_days_500_points_ms", value=value, unit="ms", goal=("<=", 15))


def _latest() -> Figure:
    sensors = _register("many", 10_000)
    now = np.full(len(sensors), lake.microseconds(datetime(2026, 2, 1, tzinfo=UTC)))
    times = pa.array(now).cast(pa.timestamp("us", tz="UTC"))
    accept(pa.table({"sensor": pa.array(sensors), "time": times, "value": np.arange(len(sensors)) / 7}))
    _compact()
    ids = sensors.tolist()

    def other() -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT sensor_id, time, value, quality, batch FROM twins_latestreading WHERE sensor_id = ANY(%s)",
                [ids],
            )
            return cursor.fetchall()

    assert {row[0]: row[2] for row in other()} == {key: row.value for key, row in latest_readings(ids).items()}
    ratio = _ratio([lambda: latest_readings(ids)] * ROUNDS, [other] * ROUNDS)
    return Figure(name="latest_10000_vs_lookup", value=ratio, unit="x", goal=("<=", 2.0))
