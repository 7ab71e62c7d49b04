"""What is known of a file without decoding it: where each sensor's readings begin, and the span of each row group.

Files never change, so a footer is read once a process. Every file carries the number of its readings by sensor in its
key-value metadata; a reader that knows it decodes only the row groups that hold what is asked, and finds the rows in
them without comparing.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from twins.lake.kept import Kept
from twins.lake.store import Location, open_store

DIRECTORY = b"twins.sensors"
"""Key of the directory of sensors in a file's metadata; other readers ignore it."""

_KEPT = 16_384
"""Row groups whose footers are kept, some 40 MB of them at most."""


@dataclass(frozen=True, slots=True)
class Footer:
    """`sensors` ascending; `starts` and `groups` are row numbers, each one longer for the end; times in microseconds,
    of each row group."""

    metadata: pq.FileMetaData
    sensors: np.ndarray
    starts: np.ndarray
    groups: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def rows_of(self, sensors: np.ndarray) -> np.ndarray:
        """How many rows the file holds of each of some sensors."""
        # By the array's own method and without a choice: a chart of a year asks it of every day.
        at = self.sensors[:-1].searchsorted(sensors)
        return (self.starts[at + 1] - self.starts[at]) * (self.sensors[at] == sensors)


def directory_of(sensor: np.ndarray) -> bytes:
    """The directory of a sorted sensor column, for a file's metadata: ids and numbers of readings, compressed."""
    bounds = np.flatnonzero(np.append(sensor[1:] != sensor[:-1], True)) + 1 if len(sensor) else np.empty(0, np.int64)
    ids = sensor[bounds - 1].astype("<i8")
    pairs = np.concatenate([np.diff(ids, prepend=0), np.diff(bounds, prepend=0)]).astype("<i8")
    return base64.b64encode(pa.compress(pairs.tobytes(), codec="zstd", asbytes=True)) + b":%d" % len(ids)


_kept: Kept[tuple[str, str], Footer] = Kept(_KEPT, lambda footer: len(footer.groups))


def footer_of(location: Location, path: str) -> Footer:
    """The footer of a published file; raises FileNotFoundError."""
    key = (str(location), path)
    if (known := _kept.get([key]).get(key)) is not None:
        return known
    footer = _read(location, path)
    _kept.put({key: footer})
    return footer


def _read(location: Location, path: str) -> Footer:
    with open_store(location).open(path) as source:
        file = pq.ParquetFile(source)
        metadata = file.metadata
        listed = (metadata.metadata or {}).get(DIRECTORY)
        # Files of earlier versions do not list their sensors.
        sensors, counts = _listed(listed) if listed else _counted(file)
    names = [metadata.schema.column(i).name for i in range(metadata.num_columns)]
    time = names.index("time" if "time" in names else "minute")
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    spans = [group.column(time).statistics for group in groups]
    return Footer(
        metadata=metadata,
        sensors=sensors,
        starts=np.concatenate([[0], np.cumsum(counts)]),
        groups=np.concatenate([[0], np.cumsum([group.num_rows for group in groups])]).astype(np.int64),
        first=np.array([span.min_raw for span in spans], np.int64),
        last=np.array([span.max_raw for span in spans], np.int64),
    )


def _listed(directory: bytes) -> tuple[np.ndarray, np.ndarray]:
    packed, _, count = directory.partition(b":")
    number = int(count)
    pairs = pa.decompress(base64.b64decode(packed), 16 * number, codec="zstd", asbytes=True)
    ids, counts = np.frombuffer(pairs, "<i8").reshape(2, number)
    return np.cumsum(ids), counts


def _counted(file: pq.ParquetFile) -> tuple[np.ndarray, np.ndarray]:
    sensor = file.read(columns=["sensor"], use_threads=False)["sensor"].to_numpy()
    return np.unique(sensor, return_counts=True)
