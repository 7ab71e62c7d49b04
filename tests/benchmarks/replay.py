"""The demo plant's last half year, replayed with models that knew only what had happened before: catches and alarms.

Trained anew every 30 days; a warning is a probability of failure within the shortest horizon that reaches a half, until
it clears. Lead times are days from raising to failure.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
from django.utils import timezone

from config.benchmarks import Figure
from config.demo.loader import load_history
from twins.services.replay import replay

HALF_A_YEAR = timedelta(days=182)


def run(options: argparse.Namespace) -> Iterator[Figure]:
    now = timezone.now()
    load_history(now=now, say=lambda text: print(text, file=sys.stderr))
    failures = missed = right = false = open_ = 0
    leads: list[float] = []
    for one in replay(start=now - HALF_A_YEAR, end=now):
        print(f"{one.design}: {one.record}, {one.failures} failures", file=sys.stderr)
        failures, missed = failures + one.failures, missed + one.record.missed
        right, false, open_ = right + one.record.right, false + one.record.false, open_ + one.record.open
        leads += one.leads
    yield Figure(name="replay_failures", value=failures, unit="failures", digits=0)
    yield Figure(name="replay_caught", value=failures - missed, unit="failures", digits=0)
    yield Figure(name="replay_median_lead", value=float(np.median(leads)) if leads else None, unit="d", digits=1)
    yield Figure(name="replay_right_warnings", value=right, unit="warnings", digits=0)
    yield Figure(name="replay_false_alarms", value=false, unit="warnings", digits=0)
    yield Figure(name="replay_open_warnings", value=open_, unit="warnings", digits=0)
