"""Runs an operation of the lake in a process of its own for each line of standard input, and kills it where told.

A line is JSON: {"run": "accept" | "compact" | "merge" | "settle", "kill": [step, nth] | null, ...arguments}; the answer
is the process's wait status: 0, or -9 for a killed one. Django is loaded once and every operation runs in a fork, which
costs milliseconds instead of a second.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any


def main() -> None:
    sys.path.insert(0, str(Path.cwd()))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = sys.argv[1]
    settings.TWINS["LAKE"] = Path(sys.argv[2])
    import django

    django.setup()
    import twins.lake.rollup

    # However small a file is, its roll-up is written.
    twins.lake.rollup._LEAST = twins.lake.rollup._PAYS = 1
    # Loaded once, here; the forks only use it. pyarrow looks for pandas.
    import pandas  # noqa: F401

    import twins.services.compaction
    import twins.services.ingestion

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _run(order: dict[str, Any]) -> None:
    code = 1
    try:
        code = 0 if _operation(order, _killer(order["kill"])) else 2
    finally:
        os._exit(code)


def _killer(kill: list[Any] | None) -> Callable[[str], None]:
    left = [kill[1] if kill else 0]

    def step(name: str) -> None:
        if kill and name == kill[0]:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return step


def _operation(order: dict[str, Any], step: Callable[[str], None]) -> object:
    import pyarrow as pa

    from twins.services import compaction, ingestion

    if order["run"] == "compact":
        return compaction.compact_hot_tail(step=step)
    if order["run"] == "settle":
        return compaction.settle_day(day=date.fromisoformat(order["day"]), step=step)
    if order["run"] == "merge":
        return compaction.compact_day(day=date.fromisoformat(order["day"]), fan_in=2, step=step)
    ingestion.MAX_BODY = order["max_body"]
    sensor, time, value = zip(*order["rows"], strict=True)
    times = pa.array(time, pa.int64()).cast(pa.timestamp("us", "UTC"))
    readings = pa.table({"sensor": pa.array(sensor, pa.int32()), "time": times, "value": pa.array(value, pa.float64())})
    return ingestion.accept_readings(readings=readings, source="killed", key=order["key"], step=step).batch


if __name__ == "__main__":
    main()
