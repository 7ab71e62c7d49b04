"""How many labelled windows of the Numenta Anomaly Benchmark the detector finds, and how often it alarms in vain.

One default configuration for all streams. A window is found when an onset of novelty lies in it; every onset outside is
a false alarm. Told is the stream with the most false alarms a week, not the mean.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from django.core.management.base import CommandError

from config.benchmarks import Figure
from twins.ml.anomaly import Kind, Watched, new_state, watch

_WEEK = 7 * 86_400e6
_READINGS = 400_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nab", type=Path, required=True, help="folder of the NAB streams and windows.json")


def run(options: argparse.Namespace) -> Iterator[Figure]:
    try:
        windows = json.loads((options.nab / "windows.json").read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"{options.nab} does not hold the windows of NAB: {error}") from error
    found, total, rates = 0, 0, []
    for name, labelled in sorted(windows.items()):
        times, values = _read(options.nab / f"{name}.gz")
        spans = [tuple(_microseconds(bound) for bound in window) for window in labelled]
        onsets = [one.time for one in watch(Watched(1), new_state(), times, values) if one.kind is Kind.NOVELTY]
        total += len(spans)
        found += sum(any(start <= onset <= end for onset in onsets) for start, end in spans)
        vain = sum(not any(start <= onset <= end for start, end in spans) for onset in onsets)
        rates.append(vain / ((times[-1] - times[0]) / _WEEK))
    yield Figure(name="nab_windows_found", value=found, unit=f"of {total}", goal=(">=", 5), digits=0)
    yield Figure(name="nab_false_alarms_per_week", value=max(rates), unit="alarms", goal=("<=", 1.0))
    yield Figure(name="anomaly_readings_per_s", value=_speed(), unit="readings/s", digits=0)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(path, "rt") as stream:
        rows = [(_microseconds(row["timestamp"]), float(row["value"])) for row in csv.DictReader(stream)]
    times, values = zip(*rows, strict=True)
    return np.array(times, np.int64), np.array(values)


def _microseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def _speed() -> float:
    """One sensor with a full memory, which is the dearest case."""
    rng = np.random.default_rng(0)
    values = np.sin(np.arange(_READINGS) / 50) + rng.normal(0, 0.1, _READINGS)
    times = (np.arange(_READINGS, dtype=np.int64) + 1) * 1_000_000
    watch(Watched(1), new_state(), times[:1000], values[:1000])
    begun = time.perf_counter()
    watch(Watched(1), new_state(), times, values)
    return _READINGS / (time.perf_counter() - begun)
