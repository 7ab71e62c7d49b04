"""Readings of the lake as arrays, found by sensor and time without copying."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_UNCERTAIN = 0x4000_0000
"""Qualities are OPC UA status codes as int32: from here on uncertain, below 0 bad."""


class Readings:
    """Readings of many sensors by (sensor, time), without those that are not good.

    `table` has the lake's schema and order; neither bad or uncertain quality nor NaN is good.
    """

    def __init__(self, table: pa.Table) -> None:
        sensor = table["sensor"].to_numpy()
        time = table["time"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
        value = table["value"].to_numpy()
        quality = table["quality"].to_numpy()
        good = np.isfinite(value) & (quality >= 0) & (quality < _UNCERTAIN)
        if not good.all():
            sensor, time, value = sensor[good], time[good], value[good]
        # The compiled loops take no numbers that lie across words, as they may in the middle of a message.
        self.time, self.value = (np.require(each, requirements=["C", "A"]) for each in (time, value))
        starts = np.flatnonzero(np.append(len(sensor) > 0, sensor[1:] != sensor[:-1]))
        ends = np.append(starts, len(sensor))[1:]
        self._bounds = dict(zip(sensor[starts].tolist(), zip(starts.tolist(), ends.tolist(), strict=True), strict=True))

    def between(self, sensor: int, start: int, end: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Times (microseconds) and values of one sensor in [start, end]."""
        low, high = self.bounds(sensor)
        times = self.time[low:high]
        a, b = np.searchsorted(times, start, "left"), np.searchsorted(times, end, "right")
        return times[a:b], self.value[low + a : low + b]

    def bounds(self, sensor: int) -> tuple[int, int]:
        """Where the readings of one sensor begin and end in `time` and `value`, which are in order of time."""
        return self._bounds.get(sensor, (0, 0))
