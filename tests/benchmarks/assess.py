"""How many parts are assessed a second: readings of the lake to features, predictions and stored assessments.

Parts of one design with 40 sensors each, some of which failed before. The full size of the goal, 10,000 parts and 100
million readings, is `--parts 10000 --readings 250`. Measured twice: by a process that knows nothing and reads the
lives (`assess_parts_per_s`), and by one that goes on from what it knew after a newer reading of every sensor
(`assess_again_parts_per_s`). Then one reading at a time is sent to the service as `up` runs it (`reading_to_score_s`).
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import xgboost

from assets.models import Asset, AssetType, Design, Item, MaintenanceEvent, Sensor
from assets.services import (
    NewAsset,
    NewInstallation,
    create_assets,
    create_items,
    create_sensors,
    install_items,
    record_events,
)
from config.benchmarks import Figure
from tests.benchmarks import _service
from twins import ml
from twins.conf import settings
from twins.ml.boosting import DEFAULT
from twins.ml.task import Task, make_folds, make_task
from twins.ml.training import FEWEST_FAILURES, rounds_of, teaching_rows
from twins.models import Assessment
from twins.selectors.health import lives_of
from twins.selectors.readings import scan_readings
from twins.services.assessment import assess_stale
from twins.services.compaction import compact_hot_tail
from twins.services.ingestion import accept_readings
from twins.services.tokens import create_token
from twins.services.training import train_design

SENSORS, SETTINGS, FAILED, THREADS = 40, 2, 100, 2
STEP = timedelta(hours=6)
PATIENCE = 120
ROWS_A_BATCH = 200_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", type=int, default=1000, help="parts that run")
    parser.add_argument("--readings", type=int, default=100, help="readings of each sensor")


def run(options: argparse.Namespace) -> Iterator[Figure]:
    logging.getLogger("httpx").setLevel(logging.WARNING)
    plant = _Plant(options.parts, options.readings)
    now = plant.begin + options.readings * STEP
    _told("loaded", plant.load)
    yield from _learned(plant.design, now)
    _told("trained", lambda: train_design(design=plant.design, now=now))
    yield _assessed("assess_parts_per_s", now, options.parts, goal=167.0)
    plant.send(options.readings, options.readings + 1)
    yield _assessed("assess_again_parts_per_s", now + STEP, options.parts, goal=None)
    yield _reading_to_score(plant)


def _learned(design: Design, now: datetime) -> Iterator[Figure]:
    """Speed of the features of whole lives, and of learning."""
    lives = [life for life in lives_of([design], now=now)[design.pk] if life.failed]
    readings = ml.Readings(scan_readings(sensors=[known.sensor for life in lives for known in life.inputs]))
    model = ml.train(lives, readings, horizon=design.planning_horizon, seed=0).model
    spent = _seconds(lambda: ml.feature_rows(model, lives, readings))
    yield Figure(name="features_readings_per_s", value=len(readings.time) / spent, unit="readings/s", digits=0)
    yield _against_plain(lives, readings, model)


def _against_plain(lives: list[ml.Life], readings: ml.Readings, model: ml.FleetModel) -> Figure:
    """Learning with all that belongs to it against plain XGBoost.

    Learning lays out, looks for leaks, finds what is usual and the indices once a fold, boosts, calibrates and judges.
    Plain XGBoost is given the finished matrix and its folds, and grows as many trees of the same settings from the same
    rows on as many threads, with one matrix in bins for all questions to a fold. The quickest of three runs of each,
    in turn, because the machine may do other things.
    """
    task = make_task(lives, readings, horizon=model.horizon, horizons=None, ignored=(), fewest_failures=FEWEST_FAILURES)
    matrix = ml.feature_rows(model, lives, readings).columns
    fold = make_folds(task, 0)

    def plain() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            # No fold has the number -1: the last is taught by all rows.
            list(pool.map(lambda number: _plain(task, matrix, fold != number), [*np.unique(fold), -1]))

    def mine() -> None:
        ml.train(lives, readings, horizon=model.horizon, seed=0, threads=THREADS)

    runs = [(_seconds(mine), _seconds(plain)) for _ in range(3)]
    ours, theirs = (min(spent) for spent in zip(*runs, strict=True))
    return Figure(name="training_vs_plain_xgboost", value=ours / theirs, unit="ratio", goal=("<=", 1.5))


def _plain(task: Task, matrix: np.ndarray, taught: np.ndarray) -> None:
    """Life left and every horizon; all these lives failed, so that the same rows answer every question."""
    chosen = teaching_rows(task, taught & task.known)
    data = xgboost.QuantileDMatrix(matrix[chosen], max_bin=64, nthread=1)
    _grow(data, task.answers[chosen], failure=False)
    for within in task.horizons:
        _grow(data, task.left[chosen] <= within, failure=True)


def _grow(data: xgboost.QuantileDMatrix, answers: np.ndarray, *, failure: bool) -> None:
    data.set_label(answers.astype(np.float64))
    settings = DEFAULT.settings(len(answers), failure=failure)
    xgboost.train({**settings, "nthread": 1}, data, rounds_of(len(answers), DEFAULT, failure=failure))


def _assessed(name: str, now: datetime, parts: int, goal: float | None) -> Figure:
    """Everything stale is assessed in the rounds a worker makes."""
    written: set[int] = set()

    def rounds() -> None:
        while found := assess_stale(now=now):
            written.update(found)

    spent = _seconds(rounds)
    if len(written) < parts:
        raise RuntimeError(f"{len(written)} of {parts} parts were assessed.")
    return Figure(name=name, value=parts / spent, unit="parts/s", goal=None if goal is None else (">=", goal), digits=0)


def _reading_to_score(plant: _Plant) -> Figure:
    """The longest that a part waited for its new score, of ten readings that were sent to the service in turn.

    One before them is not counted: the worker loads what it needs.
    """
    _, token = create_token(name="benchmark", scopes=["ingest"])
    with tempfile.TemporaryDirectory(prefix="twins-bench-") as folder:
        (Path(folder) / "lake").symlink_to(settings().LAKE)
        with (
            _service.running(Path(folder)) as service,
            httpx.Client(base_url=service.url, headers={"Authorization": f"Token {token}"}, timeout=60) as client,
        ):
            spent = [_seconds(partial(_until_scored, client, part)) for part in plant.parts[FAILED : FAILED + 11]]
    return Figure(name="reading_to_score_s", value=max(spent[1:]), unit="s", goal=("<=", 5.0))


def _until_scored(client: httpx.Client, part: Asset) -> None:
    """Send one reading and wait for the assessment that used it."""
    at = datetime.now(UTC)
    sensor = Sensor.objects.filter(asset=part, role="measurement").earliest("id")
    answer = client.post("/ingest", json=[{"sensor": str(sensor.uuid), "time": at.isoformat(), "value": 15.0}])
    answer.raise_for_status()
    for _ in range(PATIENCE * 20):
        if Assessment.objects.filter(asset=part, data_time__gte=at).exists():
            return
        time.sleep(0.05)
    raise RuntimeError(f"{part.tag} was not assessed within {PATIENCE} s of its reading.")


def _told(what: str, work: Callable[[], object]) -> None:
    print(f"{what} in {_seconds(work):.1f} s", file=sys.stderr)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


class _Plant:
    """Parts that run, and places at which one failed each; every sensor is read every six hours."""

    def __init__(self, parts: int, readings: int) -> None:
        self.readings = readings
        # The reading after the last of them is of now.
        self.begin = datetime.now(UTC) - (readings + 1) * STEP
        kind = AssetType.objects.create(code="part", name="Part")
        days = readings * STEP / timedelta(days=1)
        self.design = Design.objects.create(type=kind, code="PART", name="Part", planning_horizon=round(days / 2, 3))
        tags = [f"P{number}" for number in range(parts + FAILED)]
        rows = [NewAsset(tag="PLANT", name="Plant", level="system")]
        rows += [NewAsset(tag=tag, name=tag, level="part", parent="PLANT", design=self.design) for tag in tags]
        assets = create_assets(rows=rows)
        self.parts = [assets[tag] for tag in tags]
        roles = ["setting"] * SETTINGS + ["measurement"] * (SENSORS - SETTINGS)
        sensors = create_sensors(
            sensors=[
                Sensor(asset=part, name=f"s{index:02}", quantity="any", role=role, expected_interval=21_600)
                for part in self.parts
                for index, role in enumerate(roles)
            ]
        )
        self.keys = np.array([sensor.pk for sensor in sensors], np.int32).reshape(len(self.parts), SENSORS)
        self.rng = np.random.default_rng(1)
        # Life in readings: the failed end before the last reading, the others go on.
        share = np.append(self.rng.uniform(0.5, 0.95, FAILED), self.rng.uniform(1.1, 2.0, parts))
        self.lasts = share * readings

    def load(self) -> None:
        items = create_items(items=[Item(design=self.design, serial_number=part.tag) for part in self.parts])
        wishes, failures = [], []
        for number, (part, item) in enumerate(zip(self.parts, items, strict=True)):
            end = self.begin + float(self.lasts[number]) * STEP if number < FAILED else None
            wishes.append(NewInstallation(asset=part, item=item, start=self.begin, end=end))
            if end is not None:
                failures.append(MaintenanceEvent(asset=part, item=item, kind="failure", started_at=end))
        install_items(installations=wishes)
        record_events(events=failures)
        self.send(0, self.readings)

    def send(self, first: int, beyond: int) -> None:
        """Readings number `first` to `beyond` of every sensor."""
        ticks = max(1, ROWS_A_BATCH // self.keys.size)
        for begin in range(first, beyond, ticks):
            accept_readings(readings=self._table(np.arange(begin, min(begin + ticks, beyond)) + 1), source="benchmark")
            compact_hot_tail()
        while compact_hot_tail():
            pass

    def _table(self, tick: np.ndarray) -> pa.Table:
        """Rows of all sensors at these ticks: load at two levels, wear that shows in some sensors, and noise."""
        parts = len(self.parts)
        load = self.rng.choice([50.0, 100.0], (len(tick), parts, 1))
        wear = np.minimum(tick[:, None] / self.lasts[None, :], 1.0)[:, :, None] ** 3
        values = self.rng.normal(0, 1, (len(tick), parts, SENSORS))
        number = np.arange(SENSORS)
        values += np.where(number < SETTINGS, load, 10 + 0.1 * load * (number % 3) + 2 * wear * (number % 7))
        begin = np.datetime64(self.begin.replace(tzinfo=None), "us")
        times = begin + tick * np.timedelta64(STEP)
        return pa.table(
            {
                "sensor": pa.array(np.tile(self.keys.ravel(), len(tick))),
                "time": pa.array(np.repeat(times, self.keys.size)).cast(pa.timestamp("us", "UTC")),
                "value": pa.array(values.ravel()),
                "quality": pa.array(np.zeros(values.size, np.int32)),
            }
        )
