"""Where the bytes of the lake lie: a directory, or a prefix of an object store.

Both keep one promise: once `write` and `publish` have returned, the file is whole under its name and survives a power
cut. A directory keeps it by writing beside, syncing, renaming and syncing the directory; an object store has no rename,
but an object is there whole or not at all, so it is written under its name, of which nothing knows before the index
calls it live.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem, FileType

from twins.exceptions import ConfigurationError
from twins.lake.layout import MANIFEST, TOPS, temporary_path

Location = Path | str
"""A directory, or a URI of an object store: `s3://bucket/prefix?region=...`, as `pyarrow.fs` takes it."""

Step = Callable[[str], None]


class StoredFile(NamedTuple):
    """A file of the lake and when it was last written, in seconds since 1970."""

    path: str
    modified: float


class Store(Protocol):
    """Files by their paths relative to the lake."""

    def write(self, path: str, data: bytes | memoryview) -> None:
        """Keep a file durably; it need not have its name before `publish`."""

    def publish(self, paths: Iterable[str], step: Step) -> None:
        """Give written files their names, durably; `step` is told "renamed" after each."""

    def open(self, path: str) -> Any:
        """A file to read from anywhere in it; raises FileNotFoundError."""

    def remove(self, paths: Iterable[str]) -> int:
        """Remove files and their unfinished forms; how many were there."""

    def files(self) -> Iterator[StoredFile]:
        """All files of the lake, with unfinished and landing ones; nothing outside its own directories."""

    def is_writable(self) -> bool:
        """Whether files can be written, as far as that is known without writing one."""


class Directory:
    """A lake in a directory of a file system that this machine sees."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, data: bytes | memoryview) -> None:
        target = self.root / temporary_path(path)
        _make_directory(target.parent)
        with target.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def publish(self, paths: Iterable[str], step: Step) -> None:
        directories: set[PurePosixPath] = set()
        for path in paths:
            (self.root / temporary_path(path)).rename(self.root / path)
            step("renamed")
            directories.update(PurePosixPath(path).parents)
        # Leaves first: a directory is named by its parent only after it holds what it should.
        for directory in sorted(directories, key=lambda item: -len(item.parts)):
            _sync_directory(self.root / directory)

    def open(self, path: str) -> Any:
        return pa.memory_map(os.fspath(self.root / path))

    def remove(self, paths: Iterable[str]) -> int:
        removed = 0
        for path in paths:
            for name in (path, temporary_path(path)):
                try:
                    (self.root / name).unlink()
                    removed += 1
                except FileNotFoundError:
                    pass
        return removed

    def files(self) -> Iterator[StoredFile]:
        for top in TOPS:
            for directory, _, names in os.walk(self.root / top):
                for name in names:
                    file = Path(directory) / name
                    try:
                        modified = file.stat().st_mtime
                    except FileNotFoundError:
                        continue
                    yield StoredFile(file.relative_to(self.root).as_posix(), modified)

    def is_writable(self) -> bool:
        # The first file makes the directory, so before it the place for it counts.
        place = next(one for one in (self.root, *self.root.parents) if one.exists())
        return os.access(place, os.R_OK | os.W_OK | os.X_OK)


class Bucket:
    """A lake below a prefix of an object store."""

    def __init__(self, files: FileSystem, prefix: str) -> None:
        self.objects, self.prefix = files, prefix.rstrip("/")

    def write(self, path: str, data: bytes | memoryview) -> None:
        # Closing waits for the store's answer to the whole object.
        with self.objects.open_output_stream(self._key(path)) as stream:
            stream.write(data)

    def publish(self, paths: Iterable[str], step: Step) -> None:
        for _ in paths:
            step("renamed")

    def open(self, path: str) -> Any:
        return self.objects.open_input_file(self._key(path))

    def remove(self, paths: Iterable[str]) -> int:
        removed = 0
        for path in paths:
            try:
                self.objects.delete_file(self._key(path))
                removed += 1
            except FileNotFoundError:
                pass
        return removed

    def files(self) -> Iterator[StoredFile]:
        for top in TOPS:
            selector = FileSelector(self._key(top), allow_not_found=True, recursive=True)
            for info in self.objects.get_file_info(selector):
                if info.type == FileType.File:
                    path = info.path.removeprefix(f"{self.prefix}/")
                    yield StoredFile(path, info.mtime.timestamp() if info.mtime else 0.0)

    def is_writable(self) -> bool:
        bucket = self.prefix.partition("/")[0]
        return bool(self.objects.get_file_info(bucket).type != FileType.NotFound)

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{path}"


def public_name(location: Location) -> str:
    """A location for others to read: without the keys and options that a URI may carry."""
    scheme, separator, rest = str(location).partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}" if separator else scheme


def open_store(location: Location) -> Store:
    """The store at a location; raises ConfigurationError when it is no directory and no URI that is understood."""
    # A connection to an object store does not survive a fork.
    return _store(str(location), os.getpid())


@cache
def _store(location: str, process: int) -> Store:
    if "://" not in location:
        return Directory(Path(location))
    try:
        return Bucket(*FileSystem.from_uri(location))
    except (pa.ArrowInvalid, OSError) as error:
        raise ConfigurationError(
            f"TWINS['LAKE'] is {public_name(location)!r}, which cannot be opened: use a directory or s3://bucket/prefix."
        ) from error


def files_of_manifest(location: Location) -> set[str]:
    """Files that the manifest names and no index: which number is which sensor."""
    try:
        return {json.loads(read_whole(location, MANIFEST).to_pybytes())["sensors"]}
    except FileNotFoundError:
        return set()


def write_synced(location: Location, path: str, data: bytes) -> None:
    """Keep one file durably under its final name, of which nothing knows yet."""
    store = open_store(location)
    store.write(path, data)
    store.publish([path], lambda name: None)


def read_whole(location: Location, path: str) -> pa.Buffer:
    """The bytes of a file; raises FileNotFoundError."""
    with open_store(location).open(path) as source:
        return source.read_buffer()


def remove_files(location: Location, paths: Iterable[str]) -> int:
    """Remove files and their temporary forms; how many were there."""
    return open_store(location).remove(paths)


def list_files(location: Location) -> Iterator[str]:
    """Paths of all files of the lake, with temporary and landing ones; nothing outside its own directories."""
    return (file.path for file in open_store(location).files())


def old_files(location: Location, before: float) -> Iterator[str]:
    """Those last written before an instant, in seconds since 1970."""
    return (file.path for file in open_store(location).files() if file.modified < before)


def publish(location: Location, paths: Iterable[str], *, step: Step = lambda name: None) -> None:
    """Give written files their names, durably."""
    open_store(location).publish(paths, step)


def _make_directory(directory: Path) -> None:
    if not directory.is_dir():
        _make_directory(directory.parent)
        directory.mkdir(exist_ok=True)
        _sync_directory(directory.parent)


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
