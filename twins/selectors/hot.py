"""The newest readings of the hot tail: few, changing with every batch, and each batch decoded once a process."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson
import pyarrow as pa

from assets.compiling import Compiled
from twins import lake
from twins.conf import settings
from twins.exceptions import LakeError
from twins.selectors.binding import binding_cursor
from twins.selectors.readings import Reading

_ATTEMPTS = 5
_NAME = "id || content_hash"
_newest: dict[str, pa.Table] = {}
"""The newest reading of each sensor by hot batch; a batch never changes."""


@dataclass(frozen=True)
class Tail:
    """The newest reading of each sensor in a hot tail, which is known by the `mark` of its batches."""

    mark: str
    readings: Mapping[int, Reading]

    @cached_property
    def json(self) -> str:
        """[time, value, quality, batch] by lake key of the sensor."""
        rows = {str(key): [each.time, each.value, each.quality, each.batch] for key, each in self.readings.items()}
        return orjson.dumps(rows).decode()

    @cached_property
    def stands(self) -> Compiled:
        """The condition that the hot tail of a statement is this one."""
        names = f"SELECT md5(coalesce(string_agg({_NAME}, ',' ORDER BY id), ''))"
        return f"({names} FROM twins_batch WHERE compacted_at IS NULL) = %s", (self.mark,)


_last: list[Tail] = []
"""The tail that was seen last, or nothing yet."""


def hot_readings() -> Mapping[int, Reading]:
    """The newest reading of each sensor among batches that are not compacted; one statement.

    Whatever is newer among the compacted ones is in the table of latest readings, read after this. Raises LakeError.
    """
    return hot_tail().readings


def remembered_tail() -> Tail:
    """The hot tail as this process saw it last, for a statement that asks whether it stands."""
    return _last[0] if _last else hot_tail()


def hot_tail() -> Tail:
    """The hot tail as it is now, see `hot_readings`."""
    for _ in range(_ATTEMPTS):
        try:
            tables = _tables()
        except FileNotFoundError as error:
            # Compacted between statement and reading.
            missing = error
            continue
        mark = hashlib.md5(",".join(tables).encode(), usedforsecurity=False).hexdigest()
        for known in _last:
            if known.mark == mark:
                return known
        rows = lake.newest(lake.merge(list(tables.values()))).to_pylist()
        _last[:] = [Tail(mark, {row["sensor"]: Reading(**row) for row in rows})]
        return _last[0]
    raise LakeError(f"The body of a hot batch is missing ({missing}): restore the lake from a backup.")


def _tables() -> dict[str, pa.Table]:
    # A copy, because other threads forget what is compacted.
    known = dict(_newest)
    with binding_cursor(prepared=False, binary=True) as cursor:
        cursor.execute(
            f"SELECT {_NAME} AS name, id, landing, CASE WHEN {_NAME} = ANY(%s) THEN NULL "  # noqa: S608 (columns)
            "ELSE body END FROM twins_batch WHERE compacted_at IS NULL ORDER BY id",
            [list(known)],
        )
        rows = cursor.fetchall()
    hot = {
        name: known[name] if name in known else _decoded(batch, landing, body) for name, batch, landing, body in rows
    }
    _newest.update(hot)
    for name in known.keys() - hot.keys():
        _newest.pop(name, None)
    return hot


def _decoded(batch: int, landing: str | None, body: Any) -> pa.Table:
    readings = lake.read_landing(settings().LAKE, landing) if landing else lake.decode_body(body)
    return lake.newest(lake.stamp_batch(readings, batch))
