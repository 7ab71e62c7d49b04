"""Parts: readings on their way into files, each with the roll-up that is worth a file beside it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa

from twins import lake
from twins.conf import settings
from twins.lake import SETTLED
from twins.models import LakeFile
from twins.models.ingestion import Dataset
from twins.services.swap import Step, Written, swap

_WRITERS = 4


@dataclass(frozen=True, slots=True)
class Part:
    """Merged readings of one day that will become a file, or two of a settled day; loaded when their turn comes, so
    that memory holds few of them."""

    day: date
    level: int
    load: Callable[[], pa.Table]


def swap_parts(parts: Sequence[Part], *, lock: int, step: Step, replace: Callable[[], list[str]]) -> list[str] | None:
    """Bring parts into the lake as files, with their roll-ups; see `swap`."""
    plans = [(part, intents_of(part)) for part in parts]

    def write() -> list[Written]:
        # Syncs of several small files at once share the file system's journal commits; merged ones need the memory.
        workers = 1 if any(part.level for part in parts) else _WRITERS
        with ThreadPoolExecutor(workers) as pool:
            return [
                file for files in pool.map(lambda plan: write_part(plan[0], plan[1], step), plans) for file in files
            ]

    intents = [intent for _, planned in plans for intent in planned]
    return swap(intents=intents, write=write, replace=replace, lock=lock, step=step)


def intents_of(part: Part) -> list[LakeFile]:
    """The files a part may become: of readings, and of the roll-ups of those, in turns."""
    names = [uuid.uuid4().hex for _ in range(2 if part.level == SETTLED else 1)]
    common: dict[str, Any] = {"day": part.day, "level": part.level}
    raw = [LakeFile(path=lake.raw_path(part.day, name), dataset=Dataset.RAW, **common) for name in names]
    if not part.level:
        return raw
    return raw + [LakeFile(path=lake.minute_path(part.day, name), dataset=Dataset.MINUTE, **common) for name in names]


def write_part(part: Part, intents: Sequence[LakeFile], step: Step) -> list[Written]:
    """Write a part's files, none when it is empty."""
    readings = part.load()
    if not readings.num_rows:
        return []
    tables = lake.split_by_content(readings) if part.level == SETTLED else [readings]
    return [file for table, intent in zip(tables, intents, strict=False) for file in _write_pair(table, intent, step)]


def _write_pair(readings: pa.Table, intent: LakeFile, step: Step) -> list[Written]:
    root, level = settings().LAKE, intent.level
    facts = lake.write_file(root, intent.path, readings, level=level)
    step("written")
    if not level:
        return [Written(intent.path, facts)]
    minutes = lake.roll_up(readings)
    files = [Written(intent.path, facts, minutes=minutes.num_rows)]
    if lake.worth_a_file(readings.num_rows, minutes.num_rows):
        path = lake.minute_path(intent.day, _name(intent.path))
        batches = (facts.batch_min, facts.batch_max)
        files.append(
            Written(path, lake.write_minutes(root, path, minutes, level=level, batches=batches), of=intent.path)
        )
        step("rolled")
    return files


def _name(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".parquet")
