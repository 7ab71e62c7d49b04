"""Where files lie below the lake's directory. All paths are relative and use forward slashes, so they also name S3
keys.

`raw/v1/day=YYYY-MM-DD/NAME.parquet` holds readings of one UTC day, `minute/v1/day=YYYY-MM-DD/NAME.parquet` a roll-up
of them by the minute, `landing/v1/NAME.arrows` a body too big for a row; `manifest.json` names what is live, and
`sensors/v1/NAME.parquet` which number is which sensor.
A file being written starts with a dot and does not end in `.parquet`, so no engine's pattern takes it for a part of
the lake.
"""

from __future__ import annotations

from datetime import date
from pathlib import PurePosixPath

RAW = "raw/v1"
MINUTE = "minute/v1"
LANDING = "landing/v1"
SENSORS = "sensors/v1"
MANIFEST = "manifest.json"
TOPS = (RAW, MINUTE, LANDING, SENSORS)


def raw_path(day: date, name: str) -> str:
    """Path of a file with readings of `day`."""
    return f"{RAW}/day={day.isoformat()}/{name}.parquet"


def minute_path(day: date, name: str) -> str:
    """Path of a file with the roll-up of readings of `day`."""
    return f"{MINUTE}/day={day.isoformat()}/{name}.parquet"


def landing_path(name: str) -> str:
    """Path of a landing object."""
    return f"{LANDING}/{name}.arrows"


def sensors_path(name: str) -> str:
    """Path of a file that says which number is which sensor."""
    return f"{SENSORS}/{name}.parquet"


def temporary_path(path: str) -> str:
    """Path under which a file is written before it is renamed to `path`."""
    whole = PurePosixPath(path)
    return str(whole.with_name(f".{whole.name}.tmp"))


def published_path(path: str) -> str:
    """The path a temporary one will be renamed to; any other path is returned as it is."""
    whole = PurePosixPath(path)
    if whole.name.startswith(".") and whole.name.endswith(".tmp"):
        return str(whole.with_name(whole.name[1:-4]))
    return path


def day_of_path(path: str) -> date:
    """The UTC day of a file with readings."""
    return date.fromisoformat(path.rsplit("/", 2)[-2].removeprefix("day="))
