"""Every test run has a PostgreSQL and a Valkey of its own, every test a lake of its own, and every skip is named.

The engines start before Django reads its settings, below a temporary directory, unless DATABASE_URL and REDIS_URL
point elsewhere. Tests marked `full` (browsers, npm, long kill runs) run with --full only, and there a skip that
tests/skips does not list with its reason fails the run.
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import emptying, sharing  # noqa: E402 - needs the path
from tests.waiting import PATIENCE  # noqa: E402

_ENGINES = pytest.StashKey[contextlib.ExitStack]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run what needs browsers, npm or long kill runs as well")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: needs a browser, npm or minutes; runs with --full only")
    # How long it takes to draw an example is told by the machine, too.
    unhurried = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("twins", deadline=None, max_examples=30, suppress_health_check=unhurried)
    hypothesis.settings.load_profile("twins")
    stack = config.stash[_ENGINES] = contextlib.ExitStack()
    if os.environ.get("DJANGO_SETTINGS_MODULE") and not set(os.environ) >= {"DATABASE_URL", "REDIS_URL"}:
        pytest.exit("Unset DJANGO_SETTINGS_MODULE: the settings must be read after the engines have started.", 4)
    if config.option.help or config.option.collectonly or _only_hands_out(config):
        with contextlib.ExitStack() as nowhere:
            _point_nowhere(nowhere)
            _read_settings(nowhere)
    else:
        _start_engines(stack)
        _read_settings(stack)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    # It is set by who imports config.celery; the processes that run the tests must start their engines first.
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_ENGINES].close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = [item for item in items if item.get_closest_marker("full")]
    if long and not config.option.full:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("full")]
    sharing.order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return sharing.Sharing(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.option.full and session.exitstatus == 0 and _unlisted(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    skips = _skips(config)
    terminalreporter.section("skips")
    for where, reason in skips:
        terminalreporter.line(f"{where}: {reason}")
    terminalreporter.line(f"{len(skips)} skipped")
    for where, _ in _unlisted(config) if config.option.full else ():
        terminalreporter.line(f"FAILED {where} was skipped and tests/skips does not list it", red=True)


@pytest.fixture(autouse=True)
def _lake(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """A lake of its own for each test."""
    settings = request.getfixturevalue("settings")
    settings.TWINS = {**settings.TWINS, "LAKE": tmp_path / "lake"}


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """pytest-django's, and tests clean up after themselves faster than Django would."""
    with django_db_blocker.unblock():
        emptying.take_over()


@pytest.fixture(scope="session")
def _asgi_server(django_db_setup: None) -> Iterator[str]:
    """The stand-alone project's ASGI application behind uvicorn, in a thread that sees the test's settings."""
    from tests.twins.http.servers import a_thread, port_of

    with a_thread() as server:
        yield f"http://127.0.0.1:{port_of(server)}"
    from asgiref.sync import SyncToAsync
    from django.db import connections

    from twins.http import alone

    alone.rest()
    # Sockets share one thread of the process, which keeps its connection; the database could not be dropped.
    SyncToAsync.single_thread_executor.submit(connections.close_all).result(PATIENCE)


@pytest.fixture
def live_server_asgi(_asgi_server: str, transactional_db: None) -> str:
    """Base address of a real server on the test database; what a test writes is committed, then truncated."""
    return _asgi_server


def _start_engines(stack: contextlib.ExitStack) -> None:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="twins-test-", ignore_cleanup_errors=True)))
    os.environ["TWINS_DATA"] = str(folder)
    if {"DATABASE_URL", "REDIS_URL"} <= set(os.environ):
        return
    from config import embedded

    try:
        addresses = stack.enter_context(embedded.running(folder))
    except embedded.EngineError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    emptying.allow(embedded.Postgres(folder).superuser_url)
    _export(stack, {name: value for name, value in addresses.items() if name not in os.environ})


def _export(stack: contextlib.ExitStack, values: dict[str, str]) -> None:
    os.environ.update(values)
    for name in values:
        stack.callback(os.environ.pop, name, None)


def _only_hands_out(config: pytest.Config) -> bool:
    """Whether the tests run in other processes (pytest-xdist's workers)."""
    return config.option.dist != "no" and not hasattr(config, "workerinput")


def _point_nowhere(stack: contextlib.ExitStack) -> None:
    values = {"DATABASE_URL": "postgresql:///nowhere", "REDIS_URL": "redis://127.0.0.1:1/0"}
    _export(stack, {name: value for name, value in values.items() if name not in os.environ})


def _read_settings(stack: contextlib.ExitStack) -> None:
    """pytest-django sets Django up after pytest_configure, provided the settings have been read by then."""
    _export(stack, {"DJANGO_SETTINGS_MODULE": "config.settings"})
    from django.conf import settings

    assert settings.INSTALLED_APPS


def _skips(config: pytest.Config) -> list[tuple[str, str]]:
    """Where and why tests were skipped in this run."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return [(report.nodeid, str(report.longrepr[2]).removeprefix("Skipped: ")) for report in reports]


def _unlisted(config: pytest.Config) -> list[tuple[str, str]]:
    """Skips that tests/skips does not allow."""
    lines = (ROOT / "tests" / "skips").read_text().splitlines()
    allowed = [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    return [skip for skip in _skips(config) if not any(fnmatch.fnmatch(skip[0], pattern) for pattern in allowed)]
