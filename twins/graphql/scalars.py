"""Times, spans and free values on the wire: one format each, so that every path writes what the others write."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import strawberry
from graphql import GraphQLError
from strawberry.scalars import JSON
from strawberry.types.scalar import ScalarDefinition

from twins.graphql.texts import texts_of_equal_length

_DURATION = re.compile(
    r"P(?=.)(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?=.)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9}(?:\.\d{1,6})?)S)?)?"
)
_TIME = b'"0000-00-00T00:00:00.000000Z"'
_SECONDS = (7 * 86400, 86400, 3600, 60, 1)


def write_time(value: datetime) -> str:
    """RFC 3339 in UTC, always with six decimals."""
    # Not strftime, which writes the year 472 in three digits.
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def written_times(microseconds: np.ndarray) -> pa.BinaryArray:
    """The JSON of many times, in microseconds since 1970: digit by digit for all of them at once, which takes a third
    of what numpy's own writer does."""
    whole = microseconds // 1_000_000
    day = whole // 86_400
    # In 32 bits, where division is cheap.
    second, fraction = ((a - b).astype(np.int32) for a, b in ((whole, day * 86_400), (microseconds, whole * 1_000_000)))
    text = np.empty((len(microseconds), len(_TIME)), np.uint8)
    text[:] = np.frombuffer(_TIME, np.uint8)
    # Times of one sensor follow one another, so that few of them begin a day.
    begins = np.flatnonzero(np.append(True, day[1:] != day[:-1])[: len(day)])
    dates = np.datetime_as_string(day[begins].view("datetime64[D]")).astype("S10")
    text[:, 1:11] = np.repeat(dates, np.diff(begins, append=len(day))).view(np.uint8).reshape(-1, 10)
    parts = (second // 3600, second // 60 % 60, second % 60, fraction // 10_000, fraction // 100 % 100, fraction % 100)
    for place, part in zip((12, 15, 18, 21, 23, 25), parts, strict=True):
        text[:, place] += (ten := part // 10).astype(np.uint8)
        text[:, place + 1] += (part - 10 * ten).astype(np.uint8)
    return texts_of_equal_length(text)


def parse_time(value: Any) -> datetime:
    """An RFC 3339 time; raises GraphQLError when it cannot be read or says no zone."""
    try:
        time = datetime.fromisoformat(value)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise GraphQLError(f"{str(value)[:40]!r} is not a time with a zone, such as 2026-01-31T12:00:00Z.")


def write_duration(value: timedelta) -> str:
    """ISO 8601, in seconds."""
    return f"PT{value.total_seconds():g}S"


def parse_duration(value: Any) -> timedelta:
    """An ISO 8601 duration of weeks, days, hours, minutes and seconds; raises GraphQLError for anything else."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise GraphQLError(f"{str(value)[:40]!r} is not a duration such as PT12H, P7D or P1DT30M.")
    parts = (float(number or 0) * unit for number, unit in zip(match.groups(), _SECONDS, strict=True))
    return timedelta(seconds=sum(parts))


def finite(value: float | None) -> float | None:
    """NaN and infinity are not numbers of JSON: they are null."""
    return value if value is not None and math.isfinite(value) else None


def write_json(value: Any) -> Any:
    """The value with numbers that every reader can read: beyond 64 bits as doubles, beyond doubles null."""
    if isinstance(value, dict):
        return {name: write_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [write_json(each) for each in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        try:
            return float(value)
        except OverflowError:
            return None
    return value


_JSON = "https://ecma-international.org/wp-content/uploads/ECMA-404_2nd_edition_december_2017.pdf"
SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="A time in UTC, RFC 3339 with six decimals: 2026-01-31T12:00:00.000000Z. Input may be of any zone.",
        serialize=write_time,
        parse_value=parse_time,
    ),
    timedelta: strawberry.scalar(
        name="Duration",
        description="A span of time, ISO 8601 without years and months: PT12H, P7D.",
        serialize=write_duration,
        parse_value=parse_duration,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description=f"The `JSON` scalar type represents JSON values as specified by [ECMA-404]({_JSON}).",
        specified_by_url=_JSON,
        serialize=write_json,
        parse_value=lambda value: value,
    ),
}
