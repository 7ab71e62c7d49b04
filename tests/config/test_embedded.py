"""The embedded engines: durable, private, back after a kill, and as root under another user."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import embedded, processes
from config.accounts import socket_folder
from config.embedded import EngineError, Postgres, Valkey, running

_ONCE = Retry(NoBackoff(), 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose cluster is made; no engine runs."""
    folder = tmp_path_factory.mktemp("engines")
    with running(folder):
        pass
    return folder


def test_the_database_is_unicode_and_durable(data: Path) -> None:
    names = ["server_encoding", "fsync", "synchronous_commit", "full_page_writes"]
    with running(data) as addresses, psycopg.connect(addresses["DATABASE_URL"]) as connection:
        rows = connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [names]).fetchall()
        assert dict(rows) == {
            "server_encoding": "UTF8", "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
        }  # fmt: skip
        assert connection.execute("SELECT lower('ÄÖÜ'), 'Übersetzung' ILIKE 'ü%'").fetchone() == ("äöü", True)
        for extension in ("btree_gist", "ltree", "pg_trgm"):
            connection.execute(f"CREATE EXTENSION {extension}")


def test_the_database_listens_on_no_port_and_asks_for_the_password(data: Path) -> None:
    with running(data) as addresses:
        with psycopg.connect(addresses["DATABASE_URL"]) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
            assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'twins'").fetchone() == (False,)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(addresses["DATABASE_URL"], password="wrong")


def test_valkey_keeps_its_writes_and_asks_for_the_password(data: Path) -> None:
    with running(data, [Valkey(data)]) as addresses, redis.Redis.from_url(addresses["REDIS_URL"]) as client:
        assert client.config_get("append*")["appendonly"] == "yes"
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
        client.set("kept", "1")
        with pytest.raises(redis.AuthenticationError), redis.Redis(port=Valkey(data).port, retry=_ONCE) as stranger:
            stranger.ping()
    with running(data, [Valkey(data)]) as addresses, redis.Redis.from_url(addresses["REDIS_URL"]) as client:
        assert client.get("kept") == b"1"


def test_a_killed_database_starts_again_and_has_what_was_committed(data: Path) -> None:
    engine = Postgres(data)
    with running(data, [engine]) as addresses:
        with psycopg.connect(addresses["DATABASE_URL"]) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
        os.kill(int((data / "run" / "postgres.pid").read_text()), signal.SIGKILL)
    assert engine.lock_file.exists()
    with running(data) as addresses, psycopg.connect(addresses["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (1,)


def test_a_lock_with_the_number_of_a_stranger_is_no_obstacle(data: Path) -> None:
    Postgres(data).lock_file.write_text(f"{os.getppid()}\n{data}\n0\n5432\n\n\n")
    with running(data) as addresses, psycopg.connect(addresses["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_cluster_that_was_half_made_is_made_again(tmp_path: Path) -> None:
    unfinished = tmp_path / "postgres.part"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18")
    with running(tmp_path) as addresses, psycopg.connect(addresses["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not unfinished.exists()


def test_two_at_once_on_one_data_directory_are_refused(data: Path) -> None:
    with running(data), pytest.raises(processes.BusyError, match=f"is in use by process {os.getpid()}"), running(data):
        pass


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    first = embedded.ensure_secrets(tmp_path)
    assert embedded.ensure_secrets(tmp_path) == first
    assert len({first.django, first.superuser, first.database, first.valkey}) == 4
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_asking_for_addresses_makes_nothing(tmp_path: Path) -> None:
    assert embedded.known_addresses(tmp_path / "nowhere") == {}
    assert list(tmp_path.iterdir()) == []


def test_addresses_are_known_to_later_commands(data: Path) -> None:
    with running(data) as addresses:
        assert embedded.known_addresses(data) == addresses


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60) / ("y" * 60)
    with running(deep) as addresses, psycopg.connect(addresses["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        folder = Postgres(deep).socket_folder
    assert len(bytes(folder / ".s.PGSQL.5432")) < 107
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.rmdir()


def test_a_socket_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    deep = (tmp_path / ("x" * 100)).resolve()
    account = embedded.Account("direct", os.geteuid(), str(deep))
    folder = socket_folder(deep, account)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(EngineError, match="belongs to somebody else"):
        socket_folder(deep, account)
    folder.unlink()


def test_a_cluster_of_a_version_that_is_not_here_is_refused_by_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("14\n")
    with pytest.raises(EngineError, match="No PostgreSQL 14 runs here: install it"):
        assert Postgres(tmp_path).binaries
    assert (tmp_path / "postgres" / "PG_VERSION").read_text() == "14\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another user")
def test_root_without_user_namespaces_uses_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = tmp_path / "bin"
    refusing.mkdir()
    (refusing / "unshare").write_text("#!/bin/sh\nexit 1\n")
    (refusing / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{refusing}:{os.environ['PATH']}")
    folder = tmp_path / "data"
    for _ in range(2):
        with running(folder) as addresses, psycopg.connect(addresses["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            server = int((folder / "run" / "postgres.pid").read_text())
            assert Path(f"/proc/{server}").stat().st_uid != 0
    note = json.loads((folder / "postgres.json").read_text())
    assert note["mode"] == "setpriv"
    home = Path(note["home"])
    assert (home / "postgres" / "PG_VERSION").exists()
    Postgres(folder).socket_folder.rmdir()
    if not home.is_relative_to(tmp_path):
        subprocess.run(["rm", "-r", home], check=True)


def test_data_of_somebody_else_are_refused_by_a_sentence(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = (data / "postgres").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(EngineError, match=r"belongs to .*: start this as .*, or choose another directory with --data"):
        assert Postgres(data).account
