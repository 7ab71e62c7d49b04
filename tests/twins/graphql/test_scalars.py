"""What is written of many values at once is what is written of each."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import numpy as np

from twins.graphql.scalars import parse_time, write_time, written_times

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def test_times_are_written_at_once_as_each_is_written_alone() -> None:
    dice = random.Random(3)
    bounds = [(datetime(year, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND for year in (1, 472, 1969, 1970, 1971, 9999)]
    day = 86_400_000_000
    times = [-1, 0, 1, day - 1, day, *bounds, *(dice.randrange(bounds[0], bounds[-1]) for _ in range(2000))]
    times += sorted(dice.randrange(0, 400 * day) for _ in range(2000))

    written = written_times(np.array(times, np.int64)).to_pylist()

    assert [text.decode() for text in written] == [f'"{write_time(_EPOCH + n * _MICROSECOND)}"' for n in times]
    assert [(parse_time(text.decode()[1:-1]) - _EPOCH) // _MICROSECOND for text in written] == times
    assert written_times(np.empty(0, np.int64)).to_pylist() == []
