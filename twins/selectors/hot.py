"""The newest readings of the hot tail: few, changing with every batch, and each batch decoded once a process."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from django.db import connection

from twins import lake
from twins.conf import settings
from twins.exceptions import LakeError
from twins.selectors.readings import Reading

_ATTEMPTS = 5
_newest: dict[str, pa.Table] = {}
"""The newest reading of each sensor by hot batch; a batch never changes."""


def hot_readings() -> dict[int, Reading]:
    """The newest reading of each sensor among batches that are not compacted; one statement.

    Whatever is newer among the compacted ones is in the table of latest readings, read after this. Raises LakeError.
    """
    for _ in range(_ATTEMPTS):
        try:
            merged = lake.merge(_tables())
        except FileNotFoundError as error:
            # Compacted between statement and reading.
            missing = error
        else:
            return {row["sensor"]: Reading(**row) for row in lake.newest(merged).to_pylist()}
    raise LakeError(f"The body of a hot batch is missing ({missing}): restore the lake from a backup.")


def _tables() -> list[pa.Table]:
    # A copy, because other threads forget what is compacted.
    known = dict(_newest)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id || content_hash AS name, id, landing, CASE WHEN id || content_hash = ANY(%s) THEN NULL "
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
    return list(hot.values())


def _decoded(batch: int, landing: str | None, body: Any) -> pa.Table:
    readings = lake.read_landing(settings().LAKE, landing) if landing else lake.decode_body(body)
    return lake.newest(lake.stamp_batch(readings, batch))
