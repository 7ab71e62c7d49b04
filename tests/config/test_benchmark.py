"""`benchmark`: one line a figure, on engines and a database of its own that leave nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest

from config.benchmarks import Figure
from tests.benchmarks._client import Client

_MODULE = '''"""Counts assets."""

from config.benchmarks import Figure


def add_arguments(parser):
    parser.add_argument("--plus", type=int, default=0)


def run(options):
    from assets.models import Asset
    from twins.conf import settings

    assert not settings().LAKE.joinpath("raw").exists()
    yield Figure(name="assets", value=Asset.objects.count() + options.plus, unit="rows", goal=("<=", 3.0), digits=0)
    yield Figure(name="peer", value=None, unit="s")
'''


@pytest.mark.parametrize(
    ("figure", "line"),
    [
        (Figure(name="rmse", value=12.1, unit="cycles", goal=("<=", 17.0)), "rmse 12.10 cycles goal <= 17.0"),
        (Figure(name="raw", value=20.256, unit="cycles", digits=1), "raw 20.3 cycles goal none"),
        (Figure(name="peer", value=None, unit="ms", goal=("<", 5)), "peer absent ms goal < 5"),
        (
            Figure(name="held", value=0.8, unit="share", goal=("within", (0.77, 0.83))),
            "held 0.80 share goal within 0.77..0.83",
        ),
    ],
)
def test_a_figure_is_one_line(figure: Figure, line: str) -> None:
    assert str(figure) == line


class _Told(BaseHTTPRequestHandler):
    """Answers by which connection, and on which of its requests, something came; ends it after "/last"."""

    protocol_version = "HTTP/1.1"
    lines = 0

    def setup(self) -> None:
        super().setup()
        type(self).lines += 1
        self.line, self.asked = self.lines, 0

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        self.asked += 1
        said = b"%d %d %s" % (self.line, self.asked, self.rfile.read(size))
        self.send_response(201)
        self.send_header("Content-Length", str(len(said)))
        if self.path == "/last":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


def test_the_client_of_the_benchmarks_keeps_its_connection() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Told) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = Client(f"http://127.0.0.1:{server.server_port}", {"X-Own": "1"})
        paths = ["/", "/", "/last", "/"]
        answers = [client.ask(client.request("POST", path, b"body", "text/plain")) for path in paths]
        client.close()
        server.shutdown()

    assert answers == [(201, b"1 1 body"), (201, b"1 2 body"), (201, b"1 3 body"), (201, b"2 1 body")]


@pytest.mark.full
def test_a_benchmark_runs_on_an_empty_database_and_removes_it(tmp_path: Path, root: Path) -> None:
    """A copy of the project with one benchmark; its database is made beside the one of the tests."""
    project = tmp_path / "project"
    (project / "tests" / "benchmarks").mkdir(parents=True)
    for name in ("manage.py", "requirements.lock"):
        shutil.copy(root / name, project)
    for name in ("config", "assets", "twins"):
        shutil.copytree(root / name, project / name)
    (project / "tests" / "benchmarks" / "count.py").write_text(_MODULE)
    environment = {**os.environ, "TWINS_NO_VENV": "1", "TWINS_DATA": str(tmp_path / "data")}
    done = subprocess.run(
        [sys.executable, "manage.py", "benchmark", "count", "--plus", "4"],
        cwd=project, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "assets 4 rows goal <= 3.0\npeer absent s goal none\n"), done.stderr
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'twins_benchmark%'").fetchall()
    assert left == []
