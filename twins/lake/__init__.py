"""The lake: readings in sorted Parquet files that any engine reads without a server.

Promise: the same readings always give the same rows, of two readings of one (sensor, time) that of the newest batch,
sorted by (sensor, time); a published file is on the disk, whole. Reason: writing, merging and reading are functions
from Arrow to Arrow, so that they run alike in a worker, on a cluster, at the edge and in a notebook. Which files are
live is not known here: PostgreSQL says it and it is passed in. Nothing here may import Django, the settings or a
clock.
"""

from twins.lake.body import decode_body, encode_body, read_landing, write_landing
from twins.lake.footers import footer_of
from twins.lake.intake import (
    MAX_REJECTS,
    Limits,
    Reject,
    conform,
    content_hash,
    find_rejects,
    limits_of,
    ranges,
    sort_and_drop_repeats,
)
from twins.lake.layout import (
    MANIFEST,
    RAW,
    day_of_path,
    landing_path,
    minute_path,
    published_path,
    raw_path,
    sensors_path,
    temporary_path,
)
from twins.lake.memory import give_back
from twins.lake.merge import merge, newest, split_by_day, split_by_rows
from twins.lake.rollup import (
    CHART_SCHEMA,
    MINUTE,
    MINUTE_SCHEMA,
    WINDOW_SCHEMA,
    WINDOWED_SCHEMA,
    keys_of_readings,
    minute_keys,
    roll_up,
    sort_minutes,
    windows_of_minutes,
    windows_of_readings,
    worth_a_file,
    write_minutes,
)
from twins.lake.scan import read_files, select
from twins.lake.schema import BODY_SCHEMA, EPOCH, READING_SCHEMA, column, from_microseconds, microseconds, stamp_batch
from twins.lake.store import (
    Location,
    files_of_manifest,
    list_files,
    old_files,
    open_store,
    public_name,
    publish,
    read_whole,
    remove_files,
    write_synced,
)
from twins.lake.writer import SETTLED, FileFacts, split_by_content, write_file

__all__ = [
    "BODY_SCHEMA",
    "CHART_SCHEMA",
    "EPOCH",
    "MANIFEST",
    "MAX_REJECTS",
    "MINUTE",
    "MINUTE_SCHEMA",
    "RAW",
    "READING_SCHEMA",
    "SETTLED",
    "WINDOWED_SCHEMA",
    "WINDOW_SCHEMA",
    "FileFacts",
    "Limits",
    "Location",
    "Reject",
    "column",
    "conform",
    "content_hash",
    "day_of_path",
    "decode_body",
    "encode_body",
    "files_of_manifest",
    "find_rejects",
    "footer_of",
    "from_microseconds",
    "give_back",
    "keys_of_readings",
    "landing_path",
    "limits_of",
    "list_files",
    "merge",
    "microseconds",
    "minute_keys",
    "minute_path",
    "newest",
    "old_files",
    "open_store",
    "public_name",
    "publish",
    "published_path",
    "ranges",
    "raw_path",
    "read_files",
    "read_landing",
    "read_whole",
    "remove_files",
    "roll_up",
    "select",
    "sensors_path",
    "sort_and_drop_repeats",
    "sort_minutes",
    "split_by_content",
    "split_by_day",
    "split_by_rows",
    "stamp_batch",
    "temporary_path",
    "windows_of_minutes",
    "windows_of_readings",
    "worth_a_file",
    "write_file",
    "write_landing",
    "write_minutes",
    "write_synced",
]
