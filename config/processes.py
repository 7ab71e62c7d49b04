"""Processes that belong to one data directory: started in a group of their own, found again, and ended whole.

Every child carries the data directory in its environment, so what a killed supervisor left behind is recognised
without trusting a number in a file that another process may have by now.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

import psutil  # type: ignore[import-untyped]

OWNER = "TWINS_CHILD_OF"
"""Environment variable of every child: the data directory it works for."""


class BusyError(Exception):
    """Another process has the data directory."""


_LOG_LIMIT = 10 * 1024 * 1024


def spawn(
    name: str,
    command: Sequence[str],
    *,
    data: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    last_wish: signal.Signals = signal.SIGTERM,
    output: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` as the leader of a new session, logging to DATA/log/NAME.log, its id in DATA/run/NAME.pid.

    On Linux the child gets `last_wish` should this process die without a word. Call from the main thread: the
    kernel ties that wish to the thread that forked. `output` may be subprocess.PIPE for a child that says little.
    """
    environment = {**os.environ, **(env or {}), OWNER: str(data)}
    with _open_log(data, name) as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log if output is None else output,
            stderr=log,
            cwd=cwd,
            env=environment,
            start_new_session=True,
            preexec_fn=_dies_with_parent(last_wish),  # noqa: PLW1509 (the callers have one thread)
        )
    note_pid(data, name, child.pid)
    return child


def pid_file(data: Path, name: str) -> Path:
    """Where the process id of the child `name` is written."""
    folder = data / "run"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.pid"


def note_pid(data: Path, name: str, number: int) -> None:
    """Write the process id of `name`; whoever reads meanwhile finds the one before or this one, never half of it."""
    file = pid_file(data, name)
    part = file.with_suffix(".part")
    part.write_text(f"{number}\n")
    part.replace(file)


def log_file(data: Path, name: str) -> Path:
    """Where the child `name` writes what it has to say."""
    return data / "log" / f"{name}.log"


def last_lines(data: Path, name: str, count: int = 12) -> str:
    """The end of a child's log, for a message that says why it died."""
    try:
        text = log_file(data, name).read_bytes()[-8192:].decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-count:])


def stop(child: subprocess.Popen[bytes], *, first: signal.Signals = signal.SIGTERM, patience: float = 5.0) -> None:
    """Ask the child to end, then end its whole group; returns when no member is left."""
    if child.poll() is None:
        child.send_signal(first)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            child.kill()
    end_group(child)
    child.wait()


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the child's group, grandchildren included."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return


def children_of(data: Path) -> list[psutil.Process]:
    """Every process that was started for this data directory, by this supervisor or one that is gone."""
    return [one for one in psutil.process_iter() if one.pid != os.getpid() and _belongs_to(one, data)]


def working_in(folder: Path) -> list[psutil.Process]:
    """Every process of PostgreSQL that works in `folder`; it overwrites its environment with its title."""
    return [one for one in psutil.process_iter() if one.pid != os.getpid() and _works_in(one, folder)]


def end(found: Sequence[psutil.Process], *, patience: float = 3.0) -> int:
    """End processes that nobody waits for, gently first; returns how many there were."""
    for process in found:
        _signal(process, signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    _, alive = psutil.wait_procs(found, timeout=patience)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=patience)
    return len(found)


@contextmanager
def exclusive(data: Path) -> Iterator[None]:
    """Have the data directory alone; raises BusyError when another process has it. Nothing is left by a kill."""
    folder = data / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise BusyError(
                f"{data} is in use by process {file.read().strip() or 'unknown'}: stop that one first, or choose "
                "another directory with --data."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def wait_until(condition: Callable[[], bool], *, seconds: float, step: float = 0.02) -> bool:
    """Ask `condition()` until it is true or the time is over."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(step)
    return True


def _belongs_to(process: psutil.Process, data: Path) -> bool:
    try:
        return process.environ().get(OWNER) == str(data) and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()) == folder
    except (psutil.Error, OSError):
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return


def _open_log(data: Path, name: str) -> IO[bytes]:
    path = log_file(data, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_LIMIT:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def _dies_with_parent(last_wish: signal.Signals) -> Any:
    if not sys.platform.startswith("linux"):
        return None
    library, parent = _libc(), os.getpid()

    def wish() -> None:
        library.prctl(1, int(last_wish), 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return wish


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
