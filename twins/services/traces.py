"""The laid-out first and last rows of running lives, kept by this process so that a new reading costs only itself.

A cache and no truth: whoever starts without it reads the whole lives once. An entry is dropped when a batch reaches
back into rows already laid, and after a day.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from twins import ml
from twins.lake import column, from_microseconds, microseconds
from twins.selectors.health import Unit
from twins.selectors.late import Late, Seen, batches_seen, late_batches
from twins.selectors.readings import scan_readings

_KEPT = 20_000
_LASTS = timedelta(days=1)
_HOUR = 3_600_000_000


@dataclass(frozen=True)
class _Entry:
    rows: ml.Trace
    made: datetime
    seen: Seen
    """The batches it comes from."""


_entries: OrderedDict[tuple[int, int, ml.Columns], _Entry] = OrderedDict()


@dataclass(frozen=True)
class Traced:
    """The trace of a unit's life and the newest batch among the readings it came from, 0 for none."""

    rows: ml.Trace
    batch: int


def trace_units(*, units: Sequence[Unit], model: ml.FleetModel, now: datetime) -> list[Traced]:
    """Traces of the units' running lives, long enough for `model`, in the same order."""
    seen = batches_seen()
    before = _known(units, model, now)
    scans: dict[int, list[int]] = defaultdict(list)
    for index, (unit, entry) in enumerate(zip(units, before, strict=True)):
        scans[_reach(_since(unit, entry), now)].append(index)
    result: dict[int, Traced] = {}
    for chosen in scans.values():
        table = _scan([units[i] for i in chosen], min(_since(units[i], before[i]) for i in chosen))
        readings, batches = ml.Readings(table), _batches(table)
        for i in chosen:
            entry = before[i]
            rows = ml.trace(units[i].life, readings, model.columns, entry.rows if entry is not None else None)
            newest = max((batches.get(known.sensor, 0) for known in units[i].life.inputs), default=0)
            made = entry.made if entry is not None else now
            result[i] = Traced(_remember(units[i], model, _Entry(rows, made, seen)), newest)
    return [result[i] for i in range(len(units))]


def _known(units: Sequence[Unit], model: ml.FleetModel, now: datetime) -> list[_Entry | None]:
    """What is kept of each unit and still holds."""
    kept = [_lasting(_entries.get(_key(unit, model)), now) for unit in units]
    there = [entry for entry in kept if entry is not None]
    if not there:
        return kept
    late = late_batches(
        after=min(entry.seen.settled for entry in there),
        until=from_microseconds(max(entry.rows.complete_until for entry in there)),
    )
    return [
        None if entry is None or _reached_by(late, unit, entry) else entry
        for unit, entry in zip(units, kept, strict=True)
    ]


def _key(unit: Unit, model: ml.FleetModel) -> tuple[int, int, ml.Columns]:
    return unit.installation, unit.life.start, model.columns


def _lasting(entry: _Entry | None, now: datetime) -> _Entry | None:
    if entry is None or not entry.rows.complete_until:
        return None
    return entry if timedelta(0) <= now - entry.made < _LASTS else None


def _reached_by(late: Sequence[Late], unit: Unit, entry: _Entry) -> bool:
    """Whether a batch that came since may tell of a time of which the rows are laid."""
    until = from_microseconds(entry.rows.complete_until)
    new = [one for one in late if one.time_min <= until and not entry.seen.has(one.batch)]
    return any(one.sensor_min <= known.sensor <= one.sensor_max for one in new for known in unit.life.inputs)


def _since(unit: Unit, entry: _Entry | None) -> int:
    return entry.rows.complete_until + 1 if entry is not None else unit.life.start


def _reach(since: int, now: datetime) -> int:
    """Lives that need about equally old readings share a scan: one that fell silent does not make all read far."""
    return ((microseconds(now) - since) // _HOUR).bit_length() // 2


def _scan(units: Sequence[Unit], since: int) -> pa.Table:
    sensors = {known.sensor for unit in units for known in unit.life.inputs}
    return scan_readings(sensors=sorted(sensors), start=from_microseconds(since))


def _batches(table: pa.Table) -> dict[int, int]:
    """The newest batch among the readings of each sensor of a scan."""
    if not table.num_rows:
        return {}
    sensor = column(table, "sensor")
    starts = np.flatnonzero(np.append(True, sensor[1:] != sensor[:-1]))
    newest = np.maximum.reduceat(column(table, "batch"), starts)
    return dict(zip(sensor[starts].tolist(), newest.tolist(), strict=True))


def _remember(unit: Unit, model: ml.FleetModel, entry: _Entry) -> ml.Trace:
    first, last = ml.rows_needed(model)
    rows = ml.shorten(entry.rows, first=first, last=last)
    key = _key(unit, model)
    _entries[key] = replace(entry, rows=rows)
    _entries.move_to_end(key)
    while len(_entries) > _KEPT:
        _entries.popitem(last=False)
    return rows
