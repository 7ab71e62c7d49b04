"""A fresh clone with an empty HOME: `up` serves on the oldest and the newest Python, as root and as an ordinary user.

Each takes a minute, so those between them are left to whose tests run there.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.full

_NOBODY = 65534
_HIDDEN = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "TWINS_DATA", "TWINS_NO_VENV", "VIRTUAL_ENV")


class Clone:
    """A copy of what is committed or about to be, with a HOME of its own."""

    def __init__(self, folder: Path, root: Path, owner: int | None) -> None:
        self.folder, self.home, self.owner = folder / "clone", folder / "home", owner
        listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
        for name in filter(None, listing.stdout.split("\0")):
            if (root / name).exists():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(root / name, self.folder / name)
        self.home.mkdir()
        if owner is not None:
            subprocess.run(["chown", "-R", f"{owner}:{owner}", folder], check=True)

    def start(self, log: Path, *command: str) -> subprocess.Popen[bytes]:
        env = {key: value for key, value in os.environ.items() if key not in _HIDDEN} | {"HOME": str(self.home)}
        if self.owner is None:  # every clone installs anew; what it downloads is the same
            env["PIP_CACHE_DIR"] = str(_downloads())
        who = {} if self.owner is None else {"user": self.owner, "group": self.owner, "extra_groups": []}
        with log.open("w") as file:
            return subprocess.Popen(command, cwd=self.folder, env=env, stdout=file, stderr=subprocess.STDOUT, **who)


@functools.cache
def _downloads() -> Path:
    """pip's cache for the clones of this run; the ordinary user's clone has none at all."""
    folder = Path(tempfile.mkdtemp(prefix="twins-downloads-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can reach, unlike pytest's own."""
    folder = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_up_serves_from_a_fresh_clone(version: str, place: Path, tmp_path: Path, root: Path, free_port: int) -> None:
    python = _python(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed")
    if python == _ordinary_python():
        pytest.skip("an ordinary user does the same with this Python, below")
    _serves(Clone(place, root, owner=None), python, free_port, tmp_path / "terminal.log")


def test_up_serves_an_ordinary_user(place: Path, tmp_path: Path, root: Path, free_port: int) -> None:
    if os.geteuid():
        pytest.skip("run by an ordinary user, so the other tests are this one")
    python = _ordinary_python()
    if python is None:
        pytest.skip("no Python that an ordinary user can run and make environments with")
    clone = Clone(place, root, owner=_NOBODY)
    tests = clone.start(tmp_path / "tests.log", python, "manage.py", "test", "-q", "tests/twins/test_checks.py")
    assert tests.wait(900) == 0, (tmp_path / "tests.log").read_text()
    _serves(clone, python, free_port, tmp_path / "terminal.log")


def _serves(clone: Clone, python: str, port: int, log: Path) -> None:
    process = clone.start(log, python, "manage.py", "up", f"--port={port}")

    def ended_or_says_it_serves() -> bool:
        return process.poll() is not None or "Ctrl-C" in log.read_text()

    try:
        wait_until(ended_or_says_it_serves, seconds=900, step=0.5, said=log.read_text)
        assert process.poll() is None, log.read_text()
        wait_until(lambda: _is_well(port), step=0.5, said=log.read_text)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
    wait_until(lambda: str(clone.folder) not in _running())


def _is_well(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=30).status_code == 200
    except httpx.HTTPError:
        return False


def _running() -> str:
    return subprocess.run(["ps", "-Ao", "args="], capture_output=True, text=True, check=True).stdout


def _python(version: str) -> str | None:
    """A Python of this version that runs: by its name, as the system's, or beside the one that runs this."""
    beside = sorted(Path(sys.base_prefix).parent.glob(f"{version}*/bin/python3"))
    for candidate in [f"/usr/bin/python{version}", f"python{version}", *map(str, beside)]:
        question = "import sys, ensurepip; print('%d.%d' % sys.version_info[:2])"
        try:
            done = subprocess.run([candidate, "-c", question], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.stdout.strip() == version and ".venv" not in (shutil.which(candidate) or ""):
            return candidate
    return None


def _ordinary_python() -> str | None:
    """The Python with which root lends the tests to an ordinary user."""
    found = filter(None, map(_python, ("3.11", "3.12", "3.13")))
    return None if os.geteuid() else next(filter(_usable_by_nobody, found), None)


def _usable_by_nobody(python: str) -> bool:
    try:
        return subprocess.run([python, "-c", ""], user=_NOBODY, check=False, cwd="/").returncode == 0
    except OSError:
        return False
