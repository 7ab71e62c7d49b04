"""The newest readings of the hot tail: few, changing with every batch, and each batch decoded once a process."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pyarrow as pa
from django.db import connection

from twins import lake
from twins.conf import settings
from twins.selectors.readings import Reading

_KEPT = 4096
_ATTEMPTS = 5
_newest: OrderedDict[tuple[int, str], pa.Table] = OrderedDict()
"""The newest reading of each sensor by batch; a batch never changes."""


def hot_readings() -> dict[int, Reading]:
    """The newest reading of each sensor among batches that are not compacted; one statement.

    Whatever is newer among the compacted ones is in the table of latest readings, read after this. Raises LakeError.
    """
    for attempt in range(_ATTEMPTS):
        try:
            tables = _tables()
            break
        except FileNotFoundError:
            # Compacted between statement and reading.
            if attempt == _ATTEMPTS - 1:
                raise
    return {row["sensor"]: Reading(**row) for row in lake.newest(lake.merge(tables)).to_pylist()}


def _tables() -> list[pa.Table]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, content_hash, landing, CASE WHEN id || content_hash = ANY(%s) THEN NULL ELSE body END "
            "FROM twins_batch WHERE compacted_at IS NULL ORDER BY id",
            [[f"{batch}{content}" for batch, content in list(_newest)]],
        )
        rows = cursor.fetchall()
    return [_decoded(batch, content, landing, body) for batch, content, landing, body in rows]


def _decoded(batch: int, content: str, landing: str | None, body: Any) -> pa.Table:
    known = _newest.get((batch, content))
    if known is not None:
        return known
    readings = lake.read_landing(settings().LAKE, landing) if landing else lake.decode_body(body)
    table = _newest[batch, content] = lake.newest(lake.stamp_batch(readings, batch))
    while len(_newest) > _KEPT:
        _newest.popitem(last=False)
    return table
