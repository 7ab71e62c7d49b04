"""Decoded row groups of roll-ups, kept for who asks next: they are small, never change, and are asked for again.

Many sensors lie in one row group, and a dashboard asks for neighbours and asks again, so a process keeps what it
decoded, up to a bound in bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from twins.lake.footers import Footer
from twins.lake.kept import Kept
from twins.lake.store import Bucket, Location, open_store

KEPT_BYTES = 48 << 20

_kept: Kept[tuple[str, str, tuple[str, ...], int], pa.Table] = Kept(KEPT_BYTES, pa.Table.get_total_buffer_size)


def decode(location: Location, path: str, footer: Footer, groups: Sequence[int], *, columns: Sequence[str]) -> pa.Table:
    """Some columns of row groups of a file, one after the other; raises FileNotFoundError."""
    store = open_store(location)
    with store.open(path) as source:
        # Many small reads cost a round trip each where the file is far away.
        file = pq.ParquetFile(source, metadata=footer.metadata, pre_buffer=isinstance(store, Bucket))
        # Handing small columns to a pool of threads takes longer than decoding them.
        return file.read_row_groups(list(groups), columns=list(columns), use_threads=len(groups) > 8)


def decode_kept(
    location: Location, path: str, footer: Footer, groups: Sequence[int], *, columns: Sequence[str]
) -> pa.Table:
    """The same, from memory where it was decoded before."""
    keys = [(str(location), path, tuple(columns), group) for group in groups]
    found = _kept.get(keys)
    missing = [key for key in keys if key not in found]
    if missing:
        table = decode(location, path, footer, [key[3] for key in missing], columns=columns)
        at = 0
        for key in missing:
            rows = int(footer.groups[key[3] + 1] - footer.groups[key[3]])
            found[key] = table.slice(at, rows).combine_chunks()
            at += rows
        _kept.put({key: found[key] for key in missing})
    return pa.concat_tables([found[key] for key in keys])
