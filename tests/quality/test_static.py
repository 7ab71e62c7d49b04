"""The house rules that a tool can check: style, types, import direction, migrations, what is committed."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {
    "manage.py", "pyproject.toml", "README.md", "requirements.lock", "LICENSE", "twins", "assets", "tests", "config",
}  # fmt: skip


def _tracked() -> list[str]:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout: the list of committed files is unknown")
    return listing.stdout.splitlines()


def _run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    _run("ruff", "check", ".")


def test_every_file_is_formatted() -> None:
    _run("ruff", "format", "--check", ".")


@pytest.mark.full
def test_types_hold() -> None:
    # Half a minute where mypy has not yet looked at the packages.
    _run("mypy")


@pytest.mark.full
def test_every_process_finds_the_same_tests(request: pytest.FixtureRequest) -> None:
    """Names that hang on the clock or on the order of a set would end a run of several processes before it begins."""
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--full", "--collect-only", "-q"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert {item.nodeid for item in request.session.items} - set(done.stdout.splitlines()) == set()


def test_imports_run_one_way() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "--check", "--dry-run", "--verbosity=0")


def test_only_the_agreed_names_stand_at_the_top() -> None:
    tops = {path.split("/")[0] for path in _tracked()}
    assert {top for top in tops if not top.startswith(".")} <= TOP_LEVEL


def test_lock_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", lock)
    assert "--hash=sha256:" in lock


def test_every_module_opens_with_its_idea() -> None:
    modules = [ROOT / path for path in _tracked() if path.endswith(".py") and "/migrations/" not in path]
    texts = {module: module.read_text() for module in modules if module.exists()}
    assert [
        str(module) for module, text in texts.items() if text.strip() and not ast.get_docstring(ast.parse(text))
    ] == []
