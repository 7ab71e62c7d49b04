"""`up`: one process that starts the engines, the web server and the worker, watches them, and ends them all.

It imports no Django and has one thread, so it is small, speaks at once and can fork safely. What it starts dies with
it: by its own hand on SIGINT and SIGTERM, by the kernel's (Linux) or by the next start when it was killed.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import psutil  # type: ignore[import-untyped]

from config import embedded, processes
from config.bootstrap import ROOT

# httptools, which it stands on, is not for Windows.
PROTOCOL = "twins.http.protocol:KnowingProtocol" if find_spec("httptools") else "auto"
"""uvicorn's HTTP protocol."""
_STEADY = 30.0
"""Seconds after which a child counts as running well, so that its next restart is quick again."""
_PATIENCE = 4.0
"""Seconds that the services, and then the engines, get to end by themselves: all is over within 10."""


class Stopped(Exception):
    """Somebody asked to stop while something was being waited for."""


@dataclass
class Child:
    """A process that should be running."""

    name: str
    command: Callable[[], list[str]]
    stop_signal: signal.Signals = signal.SIGTERM
    prepare: Callable[[], None] = lambda: None
    environment: Mapping[str, str] = field(default_factory=dict)
    """What it alone is told beside what all are."""
    output: int | None = None
    """Where it speaks, apart from its log."""
    once: bool = False
    then: Child | None = None
    """What starts when this one, which runs once, has succeeded."""
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    started: float = 0.0
    due: float = field(default=0.0)

    @classmethod
    def of_engine(cls, engine: embedded.Engine) -> Child:
        return cls(engine.name, engine.command, engine.stop_signal, engine.prepare)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `up`."""
    parser.add_argument("--demo", action="store_true", help="load a power plant that ages, then play live data")
    parser.add_argument("--data", type=Path, help="directory of everything that is kept (default .data)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=8000, help="port to listen on (default 8000)")


def _port(text: str) -> int:
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port: choose one from 1 to 65535")


def main(arguments: list[str]) -> int:
    """Run `up` with these arguments; returns the exit status."""
    parser = argparse.ArgumentParser(prog="manage.py up", description=__doc__.splitlines()[0] if __doc__ else None)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def run(options: argparse.Namespace) -> int:
    """Start everything, watch it until a signal comes, end everything."""
    data = (options.data or Path(os.environ.get("TWINS_DATA") or ROOT / ".data")).expanduser().resolve()
    say(f"starting; data in {data}")
    try:
        _check_port(options.host, options.port)
        _check_data(data)
        with processes.exclusive(data):
            return Supervisor(data, options).run()
    except (embedded.EngineError, processes.BusyError, OSError) as error:
        say(str(error))
        return 1


def say(text: str) -> None:
    """One line to the person at the terminal, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)  # noqa: T201


class Supervisor:
    """The children of one `up`."""

    def __init__(self, data: Path, options: argparse.Namespace) -> None:
        self.data = data
        self.options = options
        self.children: list[Child] = []
        self.environment = {
            "TWINS_DATA": str(data),
            "TWINS_INGEST_URL": f"{self._address()}/ingest",
            "TWINS_HOSTS": ",".join(filter(None, [os.environ.get("TWINS_HOSTS", ""), *_names(options.host)])),
            "PYTHONUNBUFFERED": "1",
        }
        self._stopping = False

    def run(self) -> int:
        """Everything in its order; a signal at any point leads to the end."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        processes.note_pid(self.data, "up", os.getpid())
        try:
            self._end_leftovers()
            self._start_engines()
            facts = self._prepare()
            self._start_services()
            self._announce(facts)
            self._watch(lambda: False)
        except Stopped:
            pass
        finally:
            self._stop_all()
        return 0

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _end_leftovers(self) -> None:
        if count := processes.end(processes.children_of(self.data)):
            say(f"ended {count} processes that an earlier start had left behind")

    def _start_engines(self) -> None:
        """The engines that no address is given for; a first start makes their directories."""
        engines: list[embedded.Engine] = []
        if not os.environ.get("DATABASE_URL"):
            engines.append(embedded.Postgres(self.data))
        if not os.environ.get("REDIS_URL"):
            engines.append(embedded.Valkey(self.data))
        for engine in engines:
            self._start(Child.of_engine(engine))
        for engine in engines:
            self._await(engine)
            engine.finish()
        self.environment |= embedded.addresses(engines)
        say("PostgreSQL and Valkey are ready" if engines else "using the engines of DATABASE_URL and REDIS_URL")

    def _await(self, engine: embedded.Engine) -> None:
        process = next(child.process for child in self.children if child.name == engine.name)
        assert process
        embedded.await_ready(engine, process, give_up=lambda: self._stopping)
        if self._stopping:
            raise Stopped

    def _prepare(self) -> dict[str, Any]:
        """Migrate and make the first account, in a process of its own."""
        command = [sys.executable, str(ROOT / "manage.py"), "prepare"]
        child = Child("prepare", lambda: command, once=True, output=subprocess.PIPE)
        self._start(child)
        process = child.process
        assert process and process.stdout
        self._watch(lambda: process.poll() is not None)
        self.children.remove(child)
        processes.end_group(process)
        processes.pid_file(self.data, child.name).unlink(missing_ok=True)
        if process.returncode:
            raise embedded.EngineError(f"The database could not be prepared:\n{self._tail('prepare')}")
        say("the database is up to date")
        with process.stdout as answer:
            return dict(json.loads(answer.read()))

    def _start_services(self) -> None:
        for child in services(self.data, host=self.options.host, port=self.options.port):
            self._start(child)
        say("web server, worker and clock are starting")
        end = time.monotonic() + 60
        self._watch(lambda: self._health()[0] == 200 or time.monotonic() > end)

    def _announce(self, facts: dict[str, Any]) -> None:
        status, report = self._health()
        if status != 200:
            say(f"not everything works yet; {self._address()}/healthz says:\n{report}")
        print(_block(self.data, self._address(), facts), flush=True)  # noqa: T201
        if self.options.demo:
            say("loading the demo plant ...")
            self._start(_demo())

    def _health(self) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self._address()}/healthz", timeout=5) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def _address(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.options.host, self.options.host)  # noqa: S104
        return f"http://{_bracketed(host)}:{self.options.port}"

    def _start(self, child: Child) -> None:
        child.prepare()
        child.process = processes.spawn(
            child.name,
            child.command(),
            data=self.data,
            env={**self.environment, **child.environment},
            cwd=ROOT,
            last_wish=child.stop_signal,
            output=child.output,
        )
        child.started = time.monotonic()
        if child not in self.children:
            self.children.append(child)

    def _watch(self, done: Callable[[], bool]) -> None:
        """Restart what dies until `done()`; raises Stopped on a signal."""
        while not done():
            if self._stopping:
                raise Stopped
            for child in list(self.children):
                self._look_after(child)
            time.sleep(0.1)

    def _look_after(self, child: Child) -> None:
        if child.process is None:
            if time.monotonic() >= child.due:
                self._restart(child)
        elif child.process.poll() is not None and child.name != "prepare":
            self._mourn(child, child.process)

    def _restart(self, child: Child) -> None:
        try:
            self._start(child)
            say(f"{child.name} is started again (process {child.process.pid if child.process else '?'})")
        except (embedded.EngineError, OSError) as error:
            self._postpone(child, str(error))

    def _mourn(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        """A child has ended: say so, end what it left, and plan its return."""
        processes.end_group(process)
        child.process = None
        if child.once and process.returncode == 0:
            self.children.remove(child)
            processes.pid_file(self.data, child.name).unlink(missing_ok=True)
            say(f"{child.name} is done")
            if child.then:
                self._start(child.then)
            return
        if time.monotonic() - child.started > _STEADY:
            child.failures = 0
        self._postpone(child, f"{child.name} {_how_it_ended(process.returncode)}")

    def _postpone(self, child: Child, reason: str) -> None:
        delay = min(30.0, 0.5 * 2**child.failures)
        child.failures += 1
        child.due = time.monotonic() + delay
        say(f"{reason}; starting it again in {delay:g} s (log: {processes.log_file(self.data, child.name)})")

    def _stop_all(self) -> None:
        """Services first, then the engines that they use; each group at once."""
        say("stopping ...")
        engines = [child for child in self.children if child.name in ("postgres", "valkey")]
        services = [child for child in self.children if child not in engines]
        for group in (services, engines):
            _stop_together(group)
        for name in [*(child.name for child in self.children), "up"]:
            processes.pid_file(self.data, name).unlink(missing_ok=True)
        say("stopped")

    def _tail(self, name: str) -> str:
        return processes.last_lines(self.data, name)


def _stop_together(children: Iterable[Child]) -> None:
    running = [(child, child.process) for child in children if child.process]
    for child, process in running:
        if process.poll() is None:
            process.send_signal(child.stop_signal)
    processes.wait_until(lambda: all(process.poll() is not None for _, process in running), seconds=_PATIENCE)
    for _, process in running:
        processes.end_group(process)
        process.wait()


def services(data: Path, *, host: str, port: int) -> list[Child]:
    """The web server, the worker and the clock of one data directory."""
    web = web_server(host=host, port=port)
    celery = [sys.executable, "-m", "celery", "-A", "config.celery"]
    # Two pieces of long work, such as merging days and learning, leave one process for what is wanted at once.
    worker = [*celery, "worker", "--concurrency=3", "--loglevel=INFO", "--without-gossip", "--without-mingle"]
    # Arrow's own allocator keeps memory for each thread there was, and a worker makes new ones all the time.
    allocator = {"ARROW_DEFAULT_MEMORY_POOL": "system"}
    # A clock of its own: inside the worker nobody would notice its death. Its file is for what runs once a day; Celery
    # makes it anew when a kill broke it.
    beat = [*celery, "beat", f"--schedule={data / 'beat'}", "--pidfile=", "--loglevel=WARNING"]
    return [
        Child("web", lambda: web),
        Child("worker", lambda: worker, environment=allocator),
        Child("beat", lambda: beat),
    ]


def web_server(*, host: str, port: int) -> list[str]:
    """The command of the web server."""
    web = [sys.executable, "-m", "uvicorn", "config.asgi:application", f"--host={host}", f"--port={port}"]
    web += ["--lifespan=off", "--no-access-log", "--no-server-header", "--timeout-graceful-shutdown=2"]
    web.append(f"--ws-max-size={2**20}")  # a message is read whole before anybody looks at it
    return [*web, f"--http={PROTOCOL}"]


def _demo() -> Child:
    manage = [sys.executable, str(ROOT / "manage.py")]
    player = Child("demo", lambda: [*manage, "play_demo"])
    return Child("load_demo", lambda: [*manage, "load_demo"], once=True, then=player, output=sys.stdout.fileno())


def _how_it_ended(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _names(host: str) -> list[str]:
    """What a browser may call this service when it listens on `host`."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104
        return [_bracketed(host)]
    entries = [entry for entries in psutil.net_if_addrs().values() for entry in entries]
    found = {entry.address.partition("%")[0] for entry in entries if entry.family in (socket.AF_INET, socket.AF_INET6)}
    return [socket.gethostname(), *map(_bracketed, sorted(found))]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                raise OSError(
                    f"{host} is no address of this machine ({error.strerror}): choose another with --host."
                ) from None
            raise OSError(
                f"Port {port} on {host} cannot be used ({error.strerror}): choose another with --port."
            ) from None


def _check_data(data: Path) -> None:
    folder = data / "run"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK | os.X_OK) else "it belongs to another user"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise OSError(f"{data} cannot keep the data ({reason}): choose another directory with --data.")


def _block(data: Path, address: str, facts: dict[str, Any]) -> str:
    """What a newcomer needs, once everything runs."""
    planner = facts["planner"]
    login = (
        f"user {planner}, password {facts['password']}   (shown this once)"
        if "password" in facts
        else f"user {planner}; forgotten the password? python3 manage.py changepassword {planner}"
    )
    token = facts.get("token")
    lines = {
        "Admin": f"{address}/admin/",
        "": login,
        "Queries": f"{address}/graphql/",
        "GraphQL": f"POST {address}/graphql/   WebSocket {address.replace('http', 'ws', 1)}/graphql/",
        "Ingest": f"POST {address}/ingest",
        "Token": f"{token}   (shown this once)" if token else "python3 manage.py create_token NAME --scope read",
        "Health": f"{address}/healthz",
        "Data": f"{data}   logs in log/, process ids in run/",
        "Stop": "Ctrl-C",
    }
    rule = "-" * 78
    rows = [f"  {name:<9} {text}" for name, text in lines.items()]
    notes = [f"  {note}" for note in facts.get("warnings", ())]
    return "\n".join([rule, *rows, *notes, rule])
