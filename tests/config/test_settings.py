"""The settings: hardened when reached over TLS, usable on plain http, and made of nothing on import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_SHOW = (
    "from django.conf import settings as s; d = s.DATABASES['default'];"
    "print(d['NAME'], d['USER'], d['PASSWORD'], d['HOST'], d['PORT'], d['OPTIONS'].get('sslmode'), s.REDIS_URL)"
)


def _python(*arguments: str, root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    hidden = ("DATABASE_URL", "REDIS_URL", "TWINS_DATA")
    known = {key: value for key, value in os.environ.items() if key not in hidden}
    env = {**known, "TWINS_NO_VENV": "1", "DJANGO_SETTINGS_MODULE": "config.settings", **environment}
    return subprocess.run(
        [sys.executable, *arguments], cwd=root, env=env, capture_output=True, text=True, check=False
    )  # fmt: skip


def test_behind_tls_the_deployment_check_finds_nothing(root: Path) -> None:
    done = _python(
        "manage.py", "check", "--deploy", "--fail-level=WARNING", root=root,
        TWINS_HTTPS="1", TWINS_HOSTS="twins.example.org", DATABASE_URL=os.environ["DATABASE_URL"],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_the_addresses_of_the_environment_come_first(root: Path) -> None:
    done = _python(
        "-c", _SHOW, root=root, REDIS_URL="redis://queue:6380/2",
        DATABASE_URL="postgresql://me:p%40ss@db.example.org:5433/plant?sslmode=require",
    )  # fmt: skip
    assert done.stdout.split() == ["plant", "me", "p@ss", "db.example.org", "5433", "require", "redis://queue:6380/2"]


def test_reading_the_settings_makes_nothing(root: Path, tmp_path: Path) -> None:
    done = _python("-c", "from django.conf import settings; settings.DEBUG", root=root, TWINS_DATA=str(tmp_path / "d"))
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("settings.INSTALLED_APPS.remove('assets')", "The register is missing: add 'assets' to INSTALLED_APPS"),
        ("settings.TWINS['LAKES'] = '/tmp'", "TWINS has the unknown key 'LAKES': remove it"),
        ("del settings.TWINS['REDIS_URL']", "TWINS['REDIS_URL'] is missing: set it to the address of Redis"),
        ("settings.DATABASES['default']['ENGINE'] = 'django.db.backends.sqlite3'", "is not PostgreSQL: set its ENGINE"),
    ],
)
def test_what_cannot_work_is_refused_at_start_by_a_sentence(root: Path, statement: str, sentence: str) -> None:
    script = f"import config.settings as settings; {statement}\nfrom django.core.management import *\n"
    script += "execute_from_command_line(['manage.py', 'check'])"
    done = _python("-c", script, root=root)
    assert done.returncode != 0
    assert sentence in done.stderr
