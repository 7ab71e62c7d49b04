"""Loops are compiled once, by one of the processes that need them, and never by a call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.waiting import PATIENCE
from twins.ml.compiled import LEFT_ALONE, Loop, loops
from twins.ml.windows import window_slope

_WINDOWS = ["_mean", "_sd", "_slope", "_beginning"]
_PROGRAM = """
import json, sys
from numba.core import event
from twins.ml import compiled

class Heard(event.Listener):
    names = []
    def on_start(self, event):
        if event.data["dispatcher"].py_func.__module__.startswith("twins."):
            self.names.append(event.data["dispatcher"].py_func.__name__)
            print("compiles", file=sys.stderr, flush=True)
    def on_end(self, event):
        pass

with event.install_listener("numba:compile", Heard()):
    said = {}
print(json.dumps([said, Heard.names]))
"""


def start(folder: Path | None, said: str) -> subprocess.Popen[str]:
    """A process that tells what an expression is and what it compiled, and keeps that in a folder if one is given."""
    command = [sys.executable, "-c", _PROGRAM.replace("{}", said)]
    told = os.environ if folder is None else {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    return subprocess.Popen(command, env=told, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def told(process: subprocess.Popen[str]) -> Any:
    answer, complaint = process.communicate(timeout=300)
    assert process.returncode == 0, complaint
    return json.loads(answer)


PREPARE = "[one.prepare() for one in compiled.loops('twins.ml.windows')] and None"
LOAD = "[one.load() for one in compiled.loops('twins.ml.windows')]"


def test_of_several_processes_one_compiles_and_the_others_load(tmp_path: Path) -> None:
    assert told(start(tmp_path, LOAD)) == [[False] * 4, []]
    assert not list(tmp_path.rglob("*.nb?"))
    racers = [start(tmp_path, PREPARE) for _ in range(2)]
    assert sorted(name for one in racers for name in told(one)[1]) == sorted(_WINDOWS)
    assert told(start(tmp_path, LOAD)) == [[True] * 4, []]


def test_what_a_killed_process_was_compiling_is_compiled_by_the_next(tmp_path: Path) -> None:
    killed = start(tmp_path, PREPARE)
    assert killed.stderr
    assert killed.stderr.readline() == "compiles\n"
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    made = told(start(tmp_path, PREPARE))[1]
    assert set(made) <= set(_WINDOWS)
    assert told(start(tmp_path, LOAD)) == [[True] * 4, []]


@pytest.mark.full
def test_what_was_torn_by_a_power_cut_is_compiled_anew(tmp_path: Path) -> None:
    slope = "compiled.loops('twins.ml.windows')[2]"
    told(start(tmp_path, f"{slope}.prepare()"))
    for ending in ("nbi", "nbc"):
        [file] = tmp_path.rglob(f"*.{ending}")
        file.write_bytes(b"")
        assert told(start(tmp_path, f"[{slope}.load(), {slope}.prepare()]")) == [[False, None], ["_slope"]]


def test_a_loop_that_cannot_be_kept_is_compiled_all_the_same() -> None:
    code: dict[str, Any] = {}
    exec("def double(values):\n    return 2 * values.sum()", code)  # of a file that is none
    double = Loop(code["double"], "int64[::1]")
    assert (double.load(), double.can_be_kept()) == (False, False)
    assert double(np.arange(4)) == 12
    assert double.load()


def test_other_types_than_its_own_are_refused_and_not_compiled() -> None:
    values = np.arange(6.0).reshape(3, 2)
    slope = next(one for one in loops("twins.ml.windows") if one.__name__ == "_slope")
    sealed = values.copy()
    sealed.flags.writeable = False
    first = np.zeros(3, np.int64)
    wanted = [[0, 0], [2, 2], [2, 2]]
    assert slope(values, first, 2, np.arange(3)).tolist() == wanted
    assert slope(sealed, first, 2, np.arange(3)).tolist() == wanted
    with pytest.raises(TypeError, match="No matching definition"):
        slope(values.astype(np.float32), first, 2, np.arange(3))
    # Whoever asks by its name need not know how an array lies in memory.
    assert window_slope(np.asfortranarray(values), first, 2).tolist() == wanted


_FOR_PARENT = [sys.executable, "-c", "from twins.ml.compiled import prepare_for_parent; prepare_for_parent()"]


def test_who_compiles_for_a_worker_ends_with_it(tmp_path: Path) -> None:
    here = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    with subprocess.Popen(["sleep", "1000"], stdout=subprocess.PIPE) as worker:
        compiling = subprocess.Popen(_FOR_PARENT, env=here, stdin=worker.stdout)
        worker.kill()
        assert compiling.wait(PATIENCE) == LEFT_ALONE


@pytest.mark.full
def test_a_worker_loads_all_loops_as_soon_as_they_are_kept() -> None:
    """Where all keep them: to compile all of them anew takes half a minute."""
    with subprocess.Popen(_FOR_PARENT, stdin=subprocess.PIPE) as compiling:
        assert compiling.wait(PATIENCE) == 0
    assert told(start(None, "compiled.load_or_prepare()")) == [True, []]
