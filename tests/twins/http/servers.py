"""Web servers on the database of the tests: in this process, or in one of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import uvicorn
from django.db import connection

from config import supervisor
from tests.waiting import PATIENCE
from twins.selectors.lines import hang_up

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def a_thread(http: str = supervisor.PROTOCOL, **options: Any) -> Iterator[uvicorn.Server]:
    """The stand-alone project's ASGI application behind uvicorn, in a thread that sees the test's settings."""
    options |= {"access_log": False, "lifespan": "off", "log_level": "warning", "timeout_graceful_shutdown": 2}
    server = uvicorn.Server(uvicorn.Config("config.asgi:application", port=0, http=http, **options))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "uvicorn did not start"
        time.sleep(0.01)
    yield server
    server.should_exit = True
    thread.join(PATIENCE)
    hang_up()  # what its event loop had of the database


def port_of(server: uvicorn.Server) -> int:
    """Where it listens."""
    return int(server.servers[0].sockets[0].getsockname()[1])


@contextmanager
def a_server(folder: Path, token: str) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """A client with a token, and the process; what it keeps and says is below a folder."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    parts = connection.settings_dict
    address = f"host='{parts['HOST']}' dbname='{parts['NAME']}' user='{parts['USER']}' password='{parts['PASSWORD']}'"
    environment = {**os.environ, "DATABASE_URL": address, "TWINS_DATA": str(folder / "data")}
    command = supervisor.web_server(host="127.0.0.1", port=port)
    with (
        (folder / "log").open("a") as log,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log) as child,
    ):
        try:
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(verify=False, base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
                for _ in range(600):
                    with suppress(httpx.HTTPError):
                        client.get("/ping")
                        break
                    time.sleep(0.1)
                yield client, psutil.Process(child.pid)
        finally:
            child.terminate()
