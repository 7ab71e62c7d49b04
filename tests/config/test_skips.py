"""Skips: every run ends with them and their reasons; a full run fails on one that is not listed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_TESTS = """
import pytest

def test_passes(): pass

def test_skips(): pytest.skip("no such machine")

@pytest.mark.full
def test_long(): pass
"""


@pytest.fixture
def project(tmp_path: Path, root: Path) -> Path:
    """A project with our conftest.py and settings, and three tests of its own."""
    (tmp_path / "tests").mkdir()
    shutil.copy(root / "tests" / "conftest.py", tmp_path / "tests")
    shutil.copy(root / "pyproject.toml", tmp_path)
    (tmp_path / "tests" / "skips").write_text("# none\n")
    (tmp_path / "tests" / "test_some.py").write_text(_TESTS)
    return tmp_path


def _run(project: Path, root: Path, *arguments: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=project, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_run_ends_with_its_skips_and_reasons(project: Path, root: Path) -> None:
    status, said = _run(project, root)
    assert status == 0, said
    assert "tests/test_some.py::test_skips: no such machine\n1 skipped\n" in said
    assert "1 passed, 1 skipped, 1 deselected" in said


def test_a_full_run_fails_on_a_skip_that_is_not_listed(project: Path, root: Path) -> None:
    status, said = _run(project, root, "--full")
    assert status == 1, said
    assert "FAILED tests/test_some.py::test_skips was skipped and tests/skips does not list it" in said
    assert "2 passed, 1 skipped" in said


@pytest.mark.full
def test_a_full_run_passes_with_a_listed_skip(project: Path, root: Path) -> None:
    (project / "tests" / "skips").write_text("tests/test_some.py::test_skips  # the machine is rare\n")
    status, said = _run(project, root, "--full")
    assert status == 0, said


@pytest.mark.full
def test_settings_that_would_be_read_before_the_engines_run_are_refused(project: Path, root: Path) -> None:
    hidden = ("DATABASE_URL", "REDIS_URL")
    environment = {key: value for key, value in os.environ.items() if key not in hidden} | {"PYTHONPATH": str(root)}
    environment["DJANGO_SETTINGS_MODULE"] = "config.settings"
    done = subprocess.run(
        [sys.executable, "-m", "pytest"], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "Unset DJANGO_SETTINGS_MODULE" in done.stdout + done.stderr
