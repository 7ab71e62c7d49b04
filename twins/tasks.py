"""Background work, one line to a service each.

A message is a hint: every task is idempotent and finds its work in PostgreSQL.
"""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module

from celery import Task, shared_task
from celery.signals import task_postrun, worker_init, worker_ready
from django.utils import timezone

from twins import events, lake
from twins.ml.compiled import load_compiler, load_or_prepare
from twins.services import assessment, compaction, corrections, ledger, patterns, retention, training, watching

_log = logging.getLogger(__name__)

HINT_INTERVAL = 1.0
"""Seconds between two hints from one process: one run takes all that came meanwhile."""

ROUNDS = 20
"""Of assessments in one run, each of the newest state: many thousand parts need not wait for the clock in between."""


@worker_init.connect
def load_for_all(**_: object) -> None:
    """What a process of the worker needs some seconds to load is loaded once, before it is forked, and shared."""
    global _compiles  # noqa: PLW0603
    # Arrow asks of the first array it makes whether pandas knows it, and loads it where it is there.
    for module in ("pandas", "xgboost"):
        with suppress(Exception):  # whoever needs it says what is missing
            import_module(module)
    with suppress(Exception):
        load_compiler()
        _compiles = not load_or_prepare()
    lake.keep_large_apart()
    # What the collector has looked at is written to, and what is written to is no longer shared.
    gc.collect()
    gc.freeze()


_compiles = False
"""Whether some loops are to be compiled and kept, as after an installation."""


@worker_ready.connect
def compile_beside(**_: object) -> None:
    """What is not kept yet is compiled by a process of its own, which no work waits for, and loaded where it is needed:
    by this worker, the web server and whoever else."""
    if _compiles:
        threading.Thread(target=_compile, name="twins-compile", daemon=True).start()


def _compile() -> None:
    command = [sys.executable, "-c", "from twins.ml.compiled import prepare_for_parent; prepare_for_parent()"]
    told = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    # Nothing is ever written to it: its end tells the process that this one has ended, however it did.
    with subprocess.Popen(command, env=told, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr
        complaint = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        last = complaint.rpartition("\n")[2]
        _log.warning("loops are compiled where they are needed, not beforehand: %s %s", process.returncode, last)


@task_postrun.connect
def give_back_memory(sender: Task, **_: object) -> None:
    """What a task needed is not held until the next one, which another process may get."""
    if sender.name.startswith("twins."):
        lake.give_back()


@shared_task(name="twins.compact_hot_tail", ignore_result=True)
def compact_hot_tail() -> None:
    compaction.compact_due()


@shared_task(name="twins.compact_days", ignore_result=True)
def compact_days() -> None:
    compaction.compact_crowded_days()
    compaction.settle_finished_days(now=timezone.now())
    compaction.roll_up_files()


@shared_task(name="twins.expire_readings", ignore_result=True)
def expire_readings() -> None:
    retention.expire_readings(now=timezone.now())
    corrections.prune_corrections(now=timezone.now())


@shared_task(name="twins.assess_stale", ignore_result=True)
def assess_stale() -> None:
    for _ in range(ROUNDS):
        if not assessment.assess_stale(now=timezone.now()):
            break


@shared_task(name="twins.watch_arrivals", ignore_result=True)
def watch_arrivals() -> None:
    watching.watch_due(now=timezone.now())
    patterns.watch_patterns(now=timezone.now())


@shared_task(name="twins.notice_silence", ignore_result=True)
def notice_silence() -> None:
    watching.notice_silence(now=timezone.now())


@shared_task(name="twins.judge_ledger", ignore_result=True)
def judge_ledger() -> None:
    ledger.judge_ledger(now=timezone.now())


@shared_task(name="twins.prune_ledger", ignore_result=True)
def prune_ledger() -> None:
    ledger.prune_ledger(now=timezone.now())
    watching.prune_findings(now=timezone.now())


@shared_task(name="twins.train_models", ignore_result=True)
def train_models() -> None:
    for _ in training.train_designs(now=timezone.now()):
        pass


@shared_task(name="twins.sweep_lake", ignore_result=True)
def sweep_lake() -> None:
    compaction.sweep_lake(now=timezone.now())
    compaction.compact_due()


class _Hints(threading.Thread):
    """Sends hints beside the work that gives rise to them: a broker that is away must not hold up an acceptance.

    However often a task is wanted, it is sent once in HINT_INTERVAL; a hint that cannot be sent is dropped, because the
    schedule comes anyway.
    """

    def __init__(self) -> None:
        super().__init__(name="twins-hints", daemon=True)
        # By identity: to hash what stands for a task takes longer than all else that is done here for an acceptance.
        self._wanted: dict[int, Task] = {}
        self._some = threading.Condition()

    def want(self, task: Task) -> None:
        if id(task) in self._wanted:  # so it is sent after this, whoever takes it out meanwhile
            return
        with self._some:
            self._wanted[id(task)] = task
            self._some.notify()

    def run(self) -> None:
        while True:
            with self._some:
                self._some.wait_for(lambda: self._wanted)
                tasks, self._wanted = self._wanted, {}
            for task in tasks.values():
                try:
                    task.apply_async(retry=False, expires=10)
                except Exception as error:
                    _log.warning("no hint for %s (%s); the schedule will start it", task.name, error)
            time.sleep(HINT_INTERVAL)


_hints: _Hints | None = None


def hint(task: Task) -> None:
    """Ask for a task soon, without waiting and without a promise."""
    global _hints  # noqa: PLW0603
    # A fork leaves its parent's thread behind, so a worker's child starts its own.
    if _hints is None or not _hints.is_alive():
        _hints = _Hints()
        _hints.start()
    _hints.want(task)


def _hint_work() -> None:
    hint(compact_hot_tail)
    hint(assess_stale)


events.heed("readings_accepted", _hint_work)
events.heed("readings_corrected", lambda: hint(assess_stale))
