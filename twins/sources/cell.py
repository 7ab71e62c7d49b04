"""A process of its own for bytes whose reader allocates whatever they claim: little memory, few seconds, no files.

A Parquet page or a compressed Arrow buffer of some kilobytes can stand for gigabytes in a dozen ways, and what a
library's reader makes of hostile ones ends, at worst, with this process. Out comes a plain Arrow stream of few rows.
Run as a script, so that nothing but pyarrow is imported.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import Any

COLUMNS = frozenset({"sensor", "time", "value", "quality"})
ROWS = 200_000
"""As in `decoded`, which this script cannot import without everything else."""
MEMORY = 128 << 20
"""Bytes beyond what an idle cell has."""
SECONDS = 3
"""Seconds of processor time."""
_PATIENCE = 30
_ALONE = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "ARROW_IO_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",  # a second one would reserve most of the memory that it may have
    "OMP_NUM_THREADS": "1",
}
_REFUSED = 3


def opened(body: bytes, form: str) -> bytes:
    """The readings of a `parquet` or `arrow` body as a plain Arrow stream; raises MalformedBody."""
    from twins.exceptions import MalformedBody

    environment = {**os.environ, **_ALONE}
    command = [sys.executable, "-P", __file__, form]
    try:
        done = subprocess.run(command, input=body, capture_output=True, env=environment, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise MalformedBody("The body takes too long to open: send it in smaller parts.") from None
    if done.returncode == _REFUSED:
        raise MalformedBody(done.stderr.decode(errors="replace").strip())
    if done.returncode:
        raise MalformedBody("The body takes more memory or time to open than one body may: send it in smaller parts.")
    return done.stdout


def _main(form: str) -> int:
    body = sys.stdin.buffer.read()
    import pyarrow as pa
    import pyarrow.parquet as pq

    _confine()
    try:
        table = _parquet(pq, body) if form == "parquet" else pa.ipc.open_stream(body).read_all()
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    except MemoryError:
        return 1
    except (pa.ArrowException, OSError, ValueError) as error:
        sys.stderr.write(f"The body is no valid {form} of readings ({str(error)[:200]}).")
        return _REFUSED
    sys.stdout.buffer.write(sink.getvalue())
    return 0


def _parquet(pq: Any, body: bytes) -> Any:
    """The table; an empty one when there is no need to read what will be refused by its columns."""
    with pq.ParquetFile(io.BytesIO(body)) as file:
        schema = file.schema_arrow
        if not set(schema.names) <= COLUMNS or len(schema) > len(COLUMNS):
            return schema.empty_table()
        if file.metadata.num_rows > ROWS:
            raise ValueError(f"it has {file.metadata.num_rows} rows, more than {ROWS}: send several bodies")
    # Names repeat, and read as what they are not they would be kept once for each row.
    with pq.ParquetFile(io.BytesIO(body), read_dictionary=["sensor"]) as file:
        return file.read(use_threads=False)


def _confine() -> None:
    import resource

    with open("/proc/self/statm") as file:  # noqa: PTH123
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    status = _main(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Arrow sometimes aborts when its threads are taken down
