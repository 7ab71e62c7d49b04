"""Writes requirements.lock: every package of every platform with its hashes, what only the tests need behind a line."""

from __future__ import annotations

import re
import subprocess
import tempfile
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config.bootstrap import LOCK, ROOT, TEST_SECTION

_HEADER = """\
# Every package the project runs on, pinned and hashed, for Linux and macOS and Python 3.11 to 3.13.
# Made by `python3 manage.py lock` (needs uv); names no host, so pip takes the packages from wherever it is told to.
"""


class Command(BaseCommand):
    help = "Resolve pyproject.toml anew and write requirements.lock (needs uv on the PATH)"
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--uv", default="uv", help="the uv to use")

    def handle(self, *args: Any, uv: str, **options: Any) -> None:
        everything = _resolve(uv, "--all-extras", "pyproject.toml")
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as pins:
            pins.write(everything)
            pins.flush()
            runtime = _resolve(uv, "--extra=embedded", "--extra=demo", f"--constraint={pins.name}", "pyproject.toml")
        LOCK.write_text(
            _HEADER + _resolve(uv, "-", asked="pip") + runtime + TEST_SECTION + "\n" + _without(everything, runtime)
        )


def _resolve(uv: str, *options: str, asked: str = "") -> str:
    """What pyproject.toml, or what is asked for, comes to, in the format of pip's requirement files."""
    command = [uv, "pip", "compile", "--universal", "--generate-hashes", "--no-header", "--no-annotate", "--quiet"]
    try:
        done = subprocess.run([*command, *options], cwd=ROOT, input=asked.encode(), capture_output=True, check=False)
    except FileNotFoundError as error:
        raise CommandError(f"{uv} is missing: install it with `pip install uv`, or name it with --uv.") from error
    if done.returncode:
        raise CommandError(done.stderr.decode())
    return done.stdout.decode()


def _without(everything: str, part: str) -> str:
    """The requirements of `everything` that `part` has not; each is a line and its hashes behind backslashes."""
    known = set(_requirements(part))
    return "".join(one for one in _requirements(everything) if one not in known)


def _requirements(text: str) -> list[str]:
    return re.findall(r"^\S(?:.*\\\n)*.*\n", text, re.MULTILINE)
