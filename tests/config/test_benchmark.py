"""`benchmark`: one line a figure, on engines and a database of its own that leave nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from config.benchmarks import Figure

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
