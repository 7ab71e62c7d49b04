"""Minutes and windows of many sensors: from roll-ups where those are exact, from readings where they are not.

The roll-up of a file is exact for a minute that no other file and no hot batch has readings of. Whatever minute is in
more than one of them (late readings, corrections, the minute where one file ends and the next begins) is made anew from
readings. So the answer is that of the readings, bit for bit, from the moment of acceptance, and roll-ups are never
brought up to date: they come and go with their files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from twins import lake
from twins.conf import settings
from twins.lake import MINUTE, MINUTE_SCHEMA
from twins.selectors.view import File, View, look, retry

_MINUTE = timedelta(minutes=1)


def minutes_of(
    *,
    sensors: Sequence[int],
    start: datetime | None = None,
    end: datetime | None = None,
    columns: pa.Schema = MINUTE_SCHEMA,
) -> pa.Table:
    """The minutes of `sensors`, in `columns`, sorted; those at the edges hold what lies in `start` <= time < `end`.

    Of minutes whose readings retention has removed, the roll-up stands, as long as the whole minute lies within.
    """
    wanted = sorted(set(sensors))
    if not wanted or (start is not None and end is not None and start >= end):
        return columns.empty_table()
    return retry(lambda: minutes_in(look(wanted, floor_minute(start), end, rolled=True), start, end, columns))


def windows_of(
    *, sensors: Sequence[int], width: timedelta, start: datetime | None = None, end: datetime | None = None
) -> pa.Table:
    """Count, min, max, mean, first, last and worst quality of windows of `width`, in WINDOW_SCHEMA, sorted.

    Windows are counted from 1970; the first and the last hold what lies in `start` <= time < `end`; a window without
    readings has no row. Whole minutes are served from roll-ups. Raises ValueError for a width that is not positive.
    """
    microseconds = width // timedelta(microseconds=1)
    if microseconds <= 0:
        raise ValueError(f"The width of a window is {width}: it must be positive.")
    if microseconds % MINUTE == 0:
        minutes = minutes_of(sensors=sensors, start=start, end=end, columns=lake.WINDOWED_SCHEMA)
        return lake.windows_of_minutes(minutes, width=microseconds)
    wanted = sorted(set(sensors))
    if not wanted or (start is not None and end is not None and start >= end):
        return lake.WINDOW_SCHEMA.empty_table()
    readings = retry(lambda: look(wanted, start, end).readings(start, end))
    return lake.windows_of_readings(readings, width=microseconds)


@dataclass(frozen=True, slots=True)
class Window:
    """What the readings of one window come to; a row of WINDOW_SCHEMA without its sensor."""

    start: datetime
    count: int
    min: float
    max: float
    mean: float
    first: float
    last: float
    quality: int


def windows_by_sensor(
    sensors: Sequence[int], *, width: timedelta, start: datetime | None, end: datetime | None
) -> dict[int, list[Window]]:
    """The windows of each sensor, in order of time; sensors without readings are absent."""
    table = windows_of(sensors=sensors, width=width, start=start, end=end)
    found: dict[int, list[Window]] = {}
    keys, begins, *rest = (lake.column(table, name).tolist() for name in lake.WINDOW_SCHEMA.names)
    for key, at, *values in zip(keys, begins, *rest, strict=True):
        found.setdefault(key, []).append(Window(lake.from_microseconds(at), *values))
    return found


def minutes_in(
    view: View, start: datetime | None, end: datetime | None, columns: pa.Schema = MINUTE_SCHEMA
) -> pa.Table:
    """The minutes, in `columns`, of a view that was taken with roll-ups from the beginning of the minute of `start`."""
    first, beyond = _ceiling(start), floor_minute(end)
    if first is not None and beyond is not None and first > beyond:
        return lake.roll_up(view.readings(start, end)).select(columns.names)
    edges = []
    if first != start:
        edges.append(lake.roll_up(view.readings(start, first)).select(columns.names))
    if beyond != end:
        edges.append(lake.roll_up(view.readings(beyond, end)).select(columns.names))
    whole = [] if first is not None and first == beyond else [_whole(view, first, beyond, columns)]
    return lake.sort_minutes([*edges, *whole]) if edges else whole[0]


def _whole(view: View, first: datetime | None, beyond: datetime | None, columns: pa.Schema) -> pa.Table:
    loose = _loose(view, first, beyond)
    # By path is by day, which leaves nothing to sort for a sensor that no other file disputes.
    paths = sorted([*view.archive, *(file.minutes for file in view.files if file.minutes)])
    if not paths:
        return lake.roll_up(loose).select(columns.names)
    rolled = _rolled(paths, view, first, beyond, columns)
    table = pa.concat_tables([rolled, lake.roll_up(loose).select(columns.names)]) if loose.num_rows else rolled
    keys = lake.minute_keys(table)
    if (keys[1:] > keys[:-1]).all():
        return table
    order = np.argsort(keys, kind="stable")
    same = keys[order[1:]] == keys[order[:-1]]
    if same.any():
        return _made_anew(
            view, loose, keys[order[1:]][same], lambda paths: _rolled(paths, view, first, beyond, columns)
        )
    return table.take(pa.array(order))


def _made_anew(view: View, loose: pa.Table, disputed: np.ndarray, read: Callable[[list[str]], pa.Table]) -> pa.Table:
    """All minutes, those that more than one source has made anew from readings; what retention left stands."""
    archive = read(view.archive)
    rolled = [(file, read([file.minutes])) for file in view.files if file.minutes]
    closed = lake.minute_keys(archive)
    shared = np.setdiff1d(disputed, closed)
    anew = lake.roll_up(_readings_of(view, rolled, loose, shared)).select(archive.schema.names)
    dropped = np.concatenate([shared, closed])
    sources = [*(minutes for _, minutes in rolled), lake.roll_up(loose).select(archive.schema.names)]
    kept = [_keyed(source, ~np.isin(lake.minute_keys(source), dropped)) for source in sources]
    return lake.sort_minutes([archive, anew, *kept])


def _loose(view: View, first: datetime | None, beyond: datetime | None) -> pa.Table:
    """Merged readings of what has no roll-up: small files and the hot tail."""
    without = View(view.sensors, [file for file in view.files if not file.minutes], [], view.hot)
    return without.readings(first, beyond)


def _rolled(
    paths: list[str], view: View, first: datetime | None, beyond: datetime | None, columns: pa.Schema
) -> pa.Table:
    root = settings().LAKE
    return lake.read_files(root, paths, sensors=view.sensors, start=first, end=beyond, schema=columns, keep=True)


def _readings_of(view: View, rolled: list[tuple[File, pa.Table]], loose: pa.Table, keys: np.ndarray) -> pa.Table:
    """Merged readings of some minutes, from every file that has any of them."""
    parts = [_keyed(loose, np.isin(lake.keys_of_readings(loose), keys))]
    for file, minutes in rolled:
        held = np.intersect1d(lake.minute_keys(minutes), keys)
        if len(held):
            sensors, at = held >> 32, (held & 0xFFFFFFFF) * MINUTE
            readings = lake.read_files(
                settings().LAKE,
                [file.path],
                sensors=np.unique(sensors).tolist(),
                start=lake.from_microseconds(int(at.min())),
                end=lake.from_microseconds(int(at.max()) + MINUTE),
            )
            parts.append(_keyed(readings, np.isin(lake.keys_of_readings(readings), keys)))
    return lake.merge(parts)


def _keyed(rows: pa.Table, mask: np.ndarray) -> pa.Table:
    return rows if mask.all() else rows.filter(pa.array(mask))


def floor_minute(instant: datetime | None) -> datetime | None:
    """The beginning of the minute of an instant."""
    if instant is None:
        return None
    return lake.from_microseconds(lake.microseconds(instant) // MINUTE * MINUTE)


def _ceiling(instant: datetime | None) -> datetime | None:
    floor = floor_minute(instant)
    return floor if floor is None or floor == instant else floor + _MINUTE
