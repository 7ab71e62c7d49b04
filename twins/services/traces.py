"""The laid-out first and last rows of running lives, kept by this process so that a new reading costs only itself.

A cache and no truth: whoever starts without it reads the whole lives once. An entry is dropped after an hour, so that
readings which came late into rows already laid are not missed for longer.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyarrow as pa

from twins import ml
from twins.lake import from_microseconds, microseconds
from twins.selectors.health import Unit
from twins.selectors.readings import scan_readings

_KEPT = 20_000
_LASTS = timedelta(hours=1)
_HOUR = 3_600_000_000


@dataclass(frozen=True)
class _Entry:
    rows: ml.Trace
    made: datetime


_entries: OrderedDict[tuple[int, int, ml.Columns], _Entry] = OrderedDict()


@dataclass(frozen=True)
class Traced:
    """The trace of a unit's life and the newest batch among the readings it came from, 0 for none."""

    rows: ml.Trace
    batch: int


def trace_units(*, units: Sequence[Unit], model: ml.FleetModel, now: datetime) -> list[Traced]:
    """Traces of the units' running lives, long enough for `model`, in the same order."""
    before = [_known(unit, model, now) for unit in units]
    scans: dict[int, list[int]] = defaultdict(list)
    for index, (unit, rows) in enumerate(zip(units, before, strict=True)):
        scans[_reach(_since(unit, rows), now)].append(index)
    result: dict[int, Traced] = {}
    for chosen in scans.values():
        table = _scan([units[i] for i in chosen], min(_since(units[i], before[i]) for i in chosen))
        readings, batches = ml.Readings(table), _batches(table)
        for i in chosen:
            rows = ml.trace(units[i].life, readings, model.columns, before[i])
            newest = max((batches.get(known.sensor, 0) for known in units[i].life.inputs), default=0)
            result[i] = Traced(_remember(units[i], model, rows, before[i], now), newest)
    return [result[i] for i in range(len(units))]


def _known(unit: Unit, model: ml.FleetModel, now: datetime) -> ml.Trace | None:
    entry = _entries.get((unit.installation, unit.life.start, model.columns))
    fresh = entry is not None and timedelta(0) <= now - entry.made < _LASTS
    return entry.rows if entry is not None and fresh and entry.rows.complete_until else None


def _since(unit: Unit, rows: ml.Trace | None) -> int:
    return rows.complete_until + 1 if rows is not None else unit.life.start


def _reach(since: int, now: datetime) -> int:
    """Lives that need about equally old readings share a scan: one that fell silent does not make all read far."""
    return ((microseconds(now) - since) // _HOUR).bit_length() // 2


def _scan(units: Sequence[Unit], since: int) -> pa.Table:
    sensors = {known.sensor for unit in units for known in unit.life.inputs}
    return scan_readings(sensors=sorted(sensors), start=from_microseconds(since))


def _batches(table: pa.Table) -> dict[int, int]:
    newest = table.group_by("sensor").aggregate([("batch", "max")])
    return dict(zip(newest["sensor"].to_pylist(), newest["batch_max"].to_pylist(), strict=True))


def _remember(unit: Unit, model: ml.FleetModel, rows: ml.Trace, before: ml.Trace | None, now: datetime) -> ml.Trace:
    first, last = ml.rows_needed(model)
    rows = ml.shorten(rows, first=first, last=last)
    key = (unit.installation, unit.life.start, model.columns)
    made = _entries[key].made if before is not None and key in _entries else now
    _entries[key] = _Entry(rows, made)
    _entries.move_to_end(key)
    while len(_entries) > _KEPT:
        _entries.popitem(last=False)
    return rows
