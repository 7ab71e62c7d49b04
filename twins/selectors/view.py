"""One consistent view of the lake: live files and hot bodies as one statement saw them.

One statement names both, because two would see two states of the lake, and a transaction that sees one cannot be
opened inside a host's request transaction. A file that was replaced and swept between statement and reading makes the
whole view be taken afresh.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from twins import lake
from twins.conf import settings
from twins.exceptions import LakeError
from twins.selectors.binding import binding_cursor
from twins.selectors.spent import scanned

_ATTEMPTS = 5
_MANY = 2_000
"""Sensors from which on a scan takes two threads."""
_BEYOND = datetime.max.replace(tzinfo=UTC)
_Read = TypeVar("_Read")

_FILES = (
    "SELECT path, NULL, NULL::bigint, NULL, NULL::bytea FROM twins_lakefile WHERE dataset = 'raw' AND state = 'live' "
    "AND sensor_min <= %s AND sensor_max >= %s AND time_max >= %s AND time_min < %s AND day BETWEEN %s AND %s "
)
_ROLLED_FILES = (
    "SELECT raw.path, minute.path, NULL::bigint, NULL, NULL::bytea FROM twins_lakefile raw "
    "LEFT JOIN twins_lakefile minute ON minute.of_id = raw.id AND minute.state = 'live' "
    "WHERE raw.dataset = 'raw' AND raw.state = 'live' AND raw.sensor_min <= %s AND raw.sensor_max >= %s "
    "AND raw.time_max >= %s AND raw.time_min < %s AND raw.day BETWEEN %s AND %s "
    "UNION ALL SELECT NULL, path, NULL, NULL, NULL FROM twins_lakefile WHERE dataset = 'minute' AND of_id IS NULL "
    "AND state = 'live' AND sensor_min <= %s AND sensor_max >= %s AND time_max >= %s AND time_min < %s "
    "AND day BETWEEN %s AND %s "
)
_HOT = (
    "UNION ALL SELECT NULL, NULL, id, landing, body FROM twins_batch WHERE compacted_at IS NULL "
    "AND sensor_min <= %s AND sensor_max >= %s AND time_max >= %s AND time_min < %s"
)


class File(NamedTuple):
    """A live file of readings and its roll-up, where it has one."""

    path: str
    minutes: str | None


@dataclass(frozen=True, slots=True)
class View:
    """What can hold readings of `sensors` in a window: files, roll-ups of what is no longer there, and hot readings."""

    sensors: list[int]
    files: list[File]
    archive: list[str]
    hot: list[pa.Table]

    def readings(self, start: datetime | None, end: datetime | None, sensors: list[int] | None = None) -> pa.Table:
        """Merged readings of some sensors, all of the view's by default, within the view's window."""
        wanted = self.sensors if sensors is None else sensors
        if len(wanted) < _MANY:
            return self._merged(start, end, wanted)
        # Decoding and sorting run side by side: neither holds Python's lock.
        middle = len(wanted) // 2
        with ThreadPoolExecutor(2) as pool:
            halves = pool.map(partial(self._merged, start, end), (wanted[:middle], wanted[middle:]))
            return pa.concat_tables(halves)

    def _merged(self, start: datetime | None, end: datetime | None, sensors: list[int]) -> pa.Table:
        chosen = [lake.select(readings, sensors=sensors, start=start, end=end) for readings in self.hot]
        # In order of days, so that what is read of each sensor is in order of time.
        paths = sorted(file.path for file in self.files)
        return lake.merge([lake.read_files(settings().LAKE, paths, sensors=sensors, start=start, end=end), *chosen])


def look(
    sensors: list[int], start: datetime | None, end: datetime | None, *, rolled: bool = False, hot: bool = True
) -> View:
    """The view of sorted sensors in a window, with roll-ups when `rolled`, of files alone when not `hot`; raises
    FileNotFoundError, see `retry`."""
    first, beyond = start or lake.EPOCH, end or _BEYOND
    window: list[Any] = [sensors[-1], sensors[0], first, beyond]
    held = [*window, _utc_day(first), _utc_day(beyond)]
    with binding_cursor(prepared=False, binary=True) as cursor:
        if rolled:
            cursor.execute(_ROLLED_FILES + _HOT, [*held, *held, *window])
        elif hot:
            cursor.execute(_FILES + _HOT, [*held, *window])
        else:
            cursor.execute(_FILES, held)
        rows = cursor.fetchall()
    scanned()
    return View(
        sensors=sensors,
        files=[File(path, minutes) for path, minutes, *_ in rows if path],
        archive=[minutes for path, minutes, *_ in rows if minutes and not path],
        hot=[lake.stamp_batch(read_body(landing, body), batch) for _, _, batch, landing, body in rows if batch],
    )


def read_body(landing: str | None, body: Any) -> pa.Table:
    """The readings of a hot batch."""
    return lake.read_landing(settings().LAKE, landing) if landing else lake.decode_body(body)


def retry(read: Callable[[], _Read]) -> _Read:
    """What `read` returns from a view that it takes; taken afresh while files go away. Raises LakeError."""
    for _ in range(_ATTEMPTS):
        try:
            return read()
        except FileNotFoundError as error:
            missing = error
    raise LakeError(
        f"A file of the lake that the index calls live is missing ({missing}): restore the lake from a backup, "
        "or point TWINS['LAKE'] at the right directory."
    )


def _utc_day(instant: datetime) -> date:
    return lake.from_microseconds(lake.microseconds(instant)).date()
