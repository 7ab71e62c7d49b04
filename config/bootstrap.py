"""Makes the environment that the project runs in, out of the standard library alone.

`.venv` is complete when its marker says so: it is written last, with the lock's hash, the Python version and the
sections that are in. Whoever finds no marker finishes the installation; whoever finds one broken off starts it anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
TEST_SECTION = "# --- only what the tests need ---"
"""The line of the lock behind which the second section stands."""
_BEAT = 10.0
"""Seconds between two signs of life of an installation that says nothing itself."""
_MOST_AT_ONCE = 4
"""Pips that work at a time, where there are as many processors."""
_VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"  # packages are built for these two numbers
_INSTALLER = re.compile(r"^pip==.*\n(?:    .*\n)*", re.MULTILINE)
_BLOCK = re.compile(r"^[A-Za-z0-9._-]+==.*\n(?:    .*\n)*", re.MULTILINE)
"""A requirement with its hashes."""
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(;)?", re.MULTILINE)


def run(argv: list[str]) -> None:
    """Run a command of the project inside an environment that has what it needs."""
    command = argv[1] if len(argv) > 1 else "help"
    Environment(ROOT / ".venv", LOCK.read_text()).enter(tests=command in ("test", "benchmark"))
    if command in _DIRECT:
        sys.exit(_DIRECT[command](argv[2:]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    with _own_engines() if command == "benchmark" else nullcontext(), _plain_words(argv):
        execute_from_command_line(argv)


@contextmanager
def _plain_words(argv: list[str]) -> Iterator[None]:
    """A database that is not there is a sentence for a person; --traceback shows the rest."""
    from django.db import OperationalError

    try:
        yield
    except OperationalError as error:
        if "--traceback" in argv:
            raise
        sys.exit(f"The database did not answer: {error}\nIs `python3 manage.py up` running, or DATABASE_URL right?")


@contextmanager
def _own_engines() -> Iterator[None]:
    """Engines in a temporary directory, told to the settings by the environment, unless it names others."""
    if {"DATABASE_URL", "REDIS_URL"} <= set(os.environ):
        yield
        return
    from config import embedded

    with tempfile.TemporaryDirectory(prefix="twins-", ignore_cleanup_errors=True) as folder:
        try:
            with embedded.running(Path(folder)) as addresses:
                os.environ.update({name: url for name, url in addresses.items() if name not in os.environ})
                yield
        except embedded.EngineError as error:
            sys.exit(str(error))


def _up(arguments: list[str]) -> int:
    # Without Django: the supervisor stays small, has one thread and speaks at once.
    from config.supervisor import main

    return main(arguments)


def run_tests(arguments: list[str]) -> int:
    """Run pytest with these arguments; returns its exit status."""
    import pytest

    os.chdir(ROOT)  # pytest looks for testpaths from here
    # With it pytest-django would read the settings before tests/conftest.py has started the engines.
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    return int(pytest.main([*_side_by_side(arguments), *arguments]))


def _side_by_side(arguments: list[str]) -> list[str]:
    """The whole suite runs in one process a processor, each with engines of its own, and --full, which waits a quarter
    of its time for installations and killed processes, in one more; a part of it, or given engines, in one."""
    part = any(argument in ("-x", "--pdb") or Path(argument.partition("::")[0]).exists() for argument in arguments)
    if part or os.environ.get("DATABASE_URL") or os.environ.get("REDIS_URL"):
        return []
    processes = min(4, (os.cpu_count() or 1) + ("--full" in arguments))
    return [f"--numprocesses={processes}", "--dist=loadfile"]


_DIRECT = {"up": _up, "test": run_tests}


class Environment:
    """The virtual environment of the project, and what the lock says should be in it."""

    def __init__(self, folder: Path, lock: str) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self._marker = folder / "installed.json"
        self._started = folder / "installing"
        self._lock = lock

    def enter(self, *, tests: bool) -> None:
        """Return when the running Python has the packages; else complete the environment and start again in it."""
        if os.environ.get("TWINS_NO_VENV") == "1" or self._is_active_elsewhere(tests):
            return
        if not self.is_complete(tests):
            with _only_one(self.folder.parent):
                if not self.is_complete(tests):  # the one before us may have done it
                    self._install(tests)
        if Path(sys.prefix).resolve() != self.folder.resolve():
            sys.stdout.flush()
            os.execve(self.python, [str(self.python), *sys.argv], self._variables())  # noqa: S606

    def _variables(self) -> dict[str, str]:
        """Who wants no bytecode beside the sources has it in here: without any, each process would compile all it
        imports, for the packages are installed uncompiled."""
        if not sys.dont_write_bytecode:
            return dict(os.environ)
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {"PYTHONPYCACHEPREFIX": str(self.folder / "bytecode"), **kept}

    def is_complete(self, tests: bool) -> bool:
        """Whether the marker vouches for this lock, this Python and these sections."""
        try:
            marker = json.loads(self._marker.read_text())
        except (OSError, ValueError):
            return self._is_running_here() and not self._started.exists() and has_packages(self._section(tests))
        wanted = self._facts(tests)
        return marker in (wanted, {**wanted, "tests": True})

    def _facts(self, tests: bool) -> dict[str, str | bool]:
        return {
            "lock": hashlib.sha256(self._lock.encode()).hexdigest(),
            "python": _VERSION,
            "tests": tests,
        }

    def _section(self, tests: bool) -> str:
        return self._lock if tests else self._lock.partition(TEST_SECTION)[0]

    def _is_running_here(self) -> bool:
        return Path(sys.prefix).resolve() == self.folder.resolve()

    def _is_active_elsewhere(self, tests: bool) -> bool:
        active = sys.prefix != sys.base_prefix or "CONDA_PREFIX" in os.environ
        return active and not self._is_running_here() and has_packages(self._section(tests))

    def _install(self, tests: bool) -> None:
        had_tests = '"tests": true' in (self._marker.read_text() if self._marker.exists() else "")
        tests = tests or had_tests
        self._make_venv()
        self._marker.unlink(missing_ok=True)
        self._started.touch()
        self._pip_install(self._section(tests))
        self._started.unlink()
        self._marker.write_text(json.dumps(self._facts(tests)))

    def _make_venv(self) -> None:
        """A virtual environment of this Python with pip; what this command left broken or of another Python goes."""
        if self._is_running_here():
            return
        found = self._version()
        if found == _VERSION and not self._started.exists():
            return
        if found and not self._marker.exists() and not self._started.exists():
            sys.exit(
                f"{self.folder} belongs to Python {found} and was not made by this command: remove it, or start with "
                f"python{found}."
            )
        if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
            sys.exit(
                f"Python {_VERSION} cannot make virtual environments here: install the package python{_VERSION}-venv "
                f"(Debian and Ubuntu: apt install python{_VERSION}-venv, or python3-venv) and start again."
            )
        _say(f"Making {self.folder.name} with Python {platform.python_version()} ...")
        command = [sys.executable, "-m", "venv", "--clear", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"The virtual environment {self.folder} could not be made:\n{_tail(done.stdout + done.stderr)}")

    def _version(self) -> str | None:
        """Major and minor version of the environment's Python; None when it does not run or has no pip."""
        question = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
        try:
            done = subprocess.run([self.python, "-c", question], capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() or None

    def _pip_install(self, section: str) -> None:
        total = len({name for name, _, _ in _PIN.findall(section)})
        _say(f"Installing up to {total} packages from {LOCK.name}; this happens once ...")
        # The pip that comes with a Python takes twice as long as a new one.
        self._pip_install_these(_INSTALLER.findall(section), total, quiet=True)
        packages = _INSTALLER.sub("", section)
        self._pip_install_these(_shares(packages, min(_MOST_AT_ONCE, os.cpu_count() or 1)), total)

    def _pip_install_these(self, shares: list[str], total: int, *, quiet: bool = False) -> None:
        """Each share of requirements by a pip of its own, all at once."""
        with tempfile.TemporaryDirectory() as folder:
            commands = []
            for number, requirements in enumerate(shares):
                file = Path(folder, f"{number}.txt")
                file.write_text(requirements)
                command = [str(self.python), "-m", "pip", "install", "--no-deps", "--require-hashes", "--no-input"]
                # Most modules are never imported; those that are compile themselves, which halves the installation.
                command += ["--no-compile", "--disable-pip-version-check", "--progress-bar=off", "-r", str(file)]
                commands.append([*command, "--quiet"] if quiet else command)
            status, tail = _follow(commands, total, self.folder)
        if status:
            self._started.unlink()  # each pip ended in order; what others brought is there for the next start
            sys.exit(
                f"pip could not install {LOCK.name} (status {status}). Its last lines:\n{tail}\n"
                "Nothing is broken: start again when the reason is gone, it goes on from here."
            )


def _shares(section: str, count: int) -> list[str]:
    """The requirements of a section in so many parts, each package in one; pip itself takes one after the other."""
    packages: dict[str, str] = {}
    for block in _BLOCK.findall(section):
        name = _PIN.findall(block)[0][0]
        packages[name] = packages.get(name, "") + block  # once for each platform
    blocks = list(packages.values())
    return ["".join(blocks[number::count]) for number in range(min(count, len(blocks)))]


def has_packages(section: str) -> bool:
    """Whether the running Python has every package of a lock section, in a version that stands there."""
    wanted: dict[str, set[str]] = {}
    optional: dict[str, bool] = {}
    for name, version, marker in _PIN.findall(_INSTALLER.sub("", section)):
        wanted.setdefault(name, set()).add(version)
        optional[name] = bool(marker)  # only for some platforms: without `packaging` nobody can tell which
    for name, versions in wanted.items():
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if not optional[name]:
                return False
        else:
            if found not in versions:
                return False
    return True


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Let two starts wait for each other; the lock is on the directory itself, so no file is left behind."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another start is installing; waiting for it ...")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _follow(commands: list[list[str]], total: int, venv: Path) -> tuple[int, str]:
    """Run pips at once and show how far they are; returns status and last lines of the first that failed, or of one."""
    collected, unpacking, done = itertools.count(1), threading.Event(), threading.Event()

    def follow(command: list[str]) -> tuple[int, str]:
        last: deque[str] = deque(maxlen=15)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
            for line in pip.stdout or ():
                last.append(line.rstrip())
                if line.startswith("Collecting "):
                    number = next(collected)
                    _progress(f"{number} of {total}: {line.split()[1]}", number)
                elif line.startswith("Installing collected") and not unpacking.is_set():
                    unpacking.set()
                    _progress("unpacking", 0)
        return pip.returncode, "\n".join(last)

    counting = threading.Thread(target=_count_unpacked, args=(unpacking, done, total, venv), daemon=True)
    counting.start()
    with ThreadPoolExecutor(max(1, len(commands))) as pips:
        ended = list(pips.map(follow, commands))
    done.set()
    unpacking.set()
    counting.join()
    if sys.stdout.isatty():
        _say("")
    return next((end for end in ended if end[0]), ended[0] if ended else (0, ""))


def _count_unpacked(unpacking: threading.Event, done: threading.Event, total: int, venv: Path) -> None:
    """Show how many packages are there until all is done: unpacking is silent and takes longest."""
    unpacking.wait()
    while not done.wait(_BEAT):
        there = sum(1 for _ in venv.glob("lib/*/site-packages/*.dist-info"))
        _progress(f"unpacked {there} of {total}", 0)


def _progress(text: str, count: int) -> None:
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write("\r" + f"  {text}"[:width].ljust(width))
        sys.stdout.flush()
    elif count % 10 == 0:
        _say(f"  {text}")


def _say(text: str) -> None:
    print(text, flush=True)


def _tail(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-10:])
