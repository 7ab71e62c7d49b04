"""`up`: it says where everything is, heals what dies, refuses what would collide, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
import pytest

from config.embedded import known_addresses
from tests.waiting import PATIENCE

CHILDREN = ("web", "worker", "beat", "postgres", "valkey")


def test_the_first_line_comes_before_anything_slow(up: Any) -> None:
    assert f"starting; data in {up.data}" in up.said().splitlines()[0]


def test_health_names_every_part_and_answers_200_when_all_work(up: Any) -> None:
    answer = httpx.get(f"{up.url}/healthz", timeout=PATIENCE)
    assert answer.status_code == 200
    assert answer.text == "database: ok\nredis: ok\nworker: ok\nlake: ok\n"


def test_the_block_names_every_address(up: Any) -> None:
    for address in ("/admin/", "/graphql/", "/ingest", "/healthz"):
        assert f"{up.url}{address}" in up.said()
    assert str(up.data) in up.said()


def test_the_password_that_is_shown_opens_the_admin(up: Any) -> None:
    with httpx.Client(verify=False, base_url=up.url, follow_redirects=True, timeout=PATIENCE) as browser:
        browser.get("/admin/login/")
        form = {"username": "planner", "password": up.password(), "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        answer = browser.post("/admin/login/", data=form, headers={"Referer": f"{up.url}/admin/login/"})
        assert answer.status_code == 200
        assert answer.url.path == "/admin/"


def test_the_token_that_is_shown_may_query(up: Any) -> None:
    token = next(word for word in up.said().split() if word.startswith("twins_"))
    query = {"query": "{ __typename }"}
    with httpx.Client(verify=False, base_url=up.url, timeout=PATIENCE) as client:
        answer = client.post("/graphql/", json=query, headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()) == (200, {"data": {"__typename": "Query"}})
        assert client.post("/graphql/", json=query).status_code == 401


def test_the_admin_has_its_static_files(up: Any) -> None:
    answer = httpx.get(f"{up.url}/static/admin/css/base.css", timeout=PATIENCE)
    assert answer.headers["content-type"].startswith("text/css")


def test_secrets_are_readable_by_their_owner_only(up: Any) -> None:
    for name in ("secrets.json", "valkey/valkey.conf"):
        assert stat.S_IMODE((up.data / name).stat().st_mode) == 0o600
    assert not any(value in line for line in up.processes() for value in _secrets(up))


def test_the_process_ids_on_file_are_of_what_runs(up: Any) -> None:
    names = {*CHILDREN, "up"}
    assert {path.stem for path in (up.data / "run").glob("*.pid")} == names
    for name in names:
        os.kill(up.pid(name), 0)


def test_a_second_start_on_the_same_data_is_refused(up: Any, start_up: Callable[..., Any]) -> None:
    second = start_up(up.data)
    assert second.process.wait(PATIENCE) == 1
    assert f"is in use by process {up.process.pid}: stop that one first" in second.said()
    assert up.is_well()


def test_a_port_in_use_is_refused_before_anything_starts(up: Any, start_up: Callable[..., Any]) -> None:
    second = start_up(port=up.port)
    assert second.process.wait(PATIENCE) == 1
    assert f"Port {up.port} on 127.0.0.1 cannot be used" in second.said()
    assert not second.data.exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "70000"], "'70000' is not a port: choose one from 1 to 65535"),
        (["--port=-1"], "'-1' is not a port: choose one from 1 to 65535"),
        (["--host", "192.0.2.1"], "192.0.2.1 is no address of this machine"),
        (["--host", "nowhere.invalid"], "nowhere.invalid is no address of this machine"),
        (["--data", "/dev/null"], "/dev/null cannot keep the data (Not a directory): choose another directory"),
        (["--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_arguments_that_cannot_work_are_refused_by_a_sentence(
    start_up: Callable[..., Any], arguments: list[str], sentence: str
) -> None:
    refused = start_up(arguments=arguments)
    assert refused.process.wait(PATIENCE) in (1, 2)
    assert sentence in refused.said()
    assert "Traceback" not in refused.said()
    assert not refused.data.exists()


def test_the_worker_keeps_its_connections_from_task_to_task(up: Any) -> None:
    # By the question that only it asks, again and again.
    kept = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT min(accepted_at) < now()%' "
        "AND query_start - backend_start > interval '3 seconds'"
    )
    with psycopg.connect(known_addresses(up.data)["DATABASE_URL"], autocommit=True) as database:
        up.until(lambda: database.execute(kept).fetchone() > (0,))


@pytest.mark.full
def test_every_child_that_is_killed_comes_back_and_that_is_said(up: Any) -> None:
    before = {name: up.pid(name) for name in CHILDREN}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    up.until(lambda: not any(up.pid(name) == pid for name, pid in before.items()))
    up.until(up.is_well)
    for name in CHILDREN:
        assert f"{name} was killed by signal 9; starting it again in 0.5 s" in up.said()
        # Said just after it is on file, and again of whatever found its engine away.
        up.until(lambda name=name: f"{name} is started again (process {up.pid(name)})" in up.said())


@pytest.mark.full
def test_sigterm_ends_everything_within_ten_seconds_and_a_later_start_shows_no_password(
    up: Any, start_up: Callable[..., Any]
) -> None:
    assert up.stop(signal.SIGTERM) < 10
    assert up.process.returncode == 0
    up.until_nothing_is_left()
    assert list((up.data / "run").glob("*.pid")) == []
    again = start_up(up.data)
    again.until_it_serves()
    assert "shown this once" not in again.said()
    assert "changepassword planner" in again.said()
    assert again.stop(signal.SIGINT) < 10
    again.until_nothing_is_left()


@pytest.mark.full
def test_a_signal_while_starting_leaves_nothing(start_up: Callable[..., Any]) -> None:
    early = start_up()
    early.until((early.data / "run" / "postgres.pid").exists)
    assert early.stop() < 10
    early.until_nothing_is_left()


@pytest.mark.full
def test_after_a_kill_of_up_itself_the_next_start_works(up: Any, start_up: Callable[..., Any]) -> None:
    if up.process.poll() is None:
        up.stop()
    first = start_up(up.data)
    first.until_it_serves()
    first.stop(signal.SIGKILL)
    second = start_up(first.data)
    second.until_it_serves()
    assert second.is_well()
    assert second.stop() < 10
    second.until_nothing_is_left()


def _secrets(up: Any) -> list[str]:
    return list(json.loads((up.data / "secrets.json").read_text()).values())
