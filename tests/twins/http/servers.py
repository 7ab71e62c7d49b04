"""A web server in a process of its own, on the database of the tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
from django.db import connection

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def a_server(folder: Path, token: str) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """A client with a token, and the process; what it keeps and says is below a folder."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    parts = connection.settings_dict
    address = f"host='{parts['HOST']}' dbname='{parts['NAME']}' user='{parts['USER']}' password='{parts['PASSWORD']}'"
    environment = {**os.environ, "DATABASE_URL": address, "TWINS_DATA": str(folder / "data")}
    command = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--lifespan=off", f"--port={port}"]
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
