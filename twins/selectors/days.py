"""A past by days: those of which one roll-up says all there is of a sensor, and what is left of the view.

Days of the first kind are most of a long past, and nothing of them has to be compared. Late, corrected, hot and
unrolled readings, and the days in which a window begins and ends, are in the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from twins import lake
from twins.conf import settings
from twins.selectors.view import View

_DAY = timedelta(days=1)


class Days(NamedTuple):
    """Roll-ups with how many minutes they have of each sensor, and the rest of the view."""

    rolled: list[lake.Held]
    rest: View


class _Source(NamedTuple):
    """A file, and its rows of each sensor of the view."""

    path: str
    is_rolled: bool
    rows: np.ndarray


def days_apart(view: View, start: datetime | None, end: datetime | None) -> Days:
    """The days of a view that was taken with roll-ups. Raises FileNotFoundError, see `retry`."""
    chosen = (lake.select(readings, sensors=view.sensors, start=start, end=end) for readings in view.hot)
    hot = [readings for readings in chosen if readings.num_rows]
    by_day = _by_day(view)
    clear = {day for day in by_day.keys() - _days_of(hot) if _lies_within(day, start, end) and _is_clear(by_day[day])}
    rolled = [
        lake.Held(source.path, sensor, rows)
        for day in clear
        for source in by_day[day]
        for sensor, rows in zip(view.sensors, source.rows.tolist(), strict=True)
        if rows
    ]
    files = [file for file in view.files if lake.day_of_path(file.path) not in clear]
    archive = [path for path in view.archive if lake.day_of_path(path) not in clear]
    return Days(rolled, View(view.sensors, files, archive, hot))


def _by_day(view: View) -> dict[date, list[_Source]]:
    root, wanted = settings().LAKE, np.asarray(view.sensors)
    by_day = defaultdict(list)
    paths = [(file.minutes or file.path, file.minutes is not None) for file in view.files]
    for path, is_rolled in [*paths, *((path, True) for path in view.archive)]:
        rows = lake.footer_of(root, path).rows_of(wanted)
        if rows.any():
            by_day[lake.day_of_path(path)].append(_Source(path, is_rolled, rows))
    return by_day


def _is_clear(sources: list[_Source]) -> bool:
    """Whether each sensor is in one roll-up and nowhere else."""
    if not all(source.is_rolled for source in sources):
        return False
    return len(sources) == 1 or bool((np.count_nonzero([source.rows for source in sources], axis=0) <= 1).all())


def _days_of(hot: Iterable[pa.Table]) -> set[date]:
    numbers = {day for readings in hot for day in np.unique(lake.column(readings, "time") // lake.DAY).tolist()}
    return {(lake.EPOCH + number * _DAY).date() for number in numbers}


def _lies_within(day: date, start: datetime | None, end: datetime | None) -> bool:
    begin = datetime.combine(day, time(), UTC)
    return (start is None or start <= begin) and (end is None or begin + _DAY <= end)
