"""NDJSON readings: one JSON row a line. A line that is not JSON is a rejected row, and stops no other."""

from __future__ import annotations

from typing import Any

import orjson

from twins.sources.decoded import DecodedReadings, check_rows
from twins.sources.json_readings import bound, from_rows, no_object


def decode_ndjson(body: bytes) -> DecodedReadings:
    """The readings of a body of JSON rows, one a line; empty lines count for nothing. Raises MalformedBody."""
    bound(body)
    lines = [line for line in body.split(b"\n") if line.strip()]
    check_rows(len(lines))
    rows = [_row(line) for line in lines]
    return from_rows(rows, otherwise=_reason, content=lambda index: lines[index].decode(errors="replace"))


class _NotJson(str):
    """Why a line is no row; stands in its place."""

    __slots__ = ()


def _row(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return _NotJson(f"is not JSON ({error.msg.split(': line ', maxsplit=1)[0]})")


def _reason(row: Any) -> str:
    return str(row) if isinstance(row, _NotJson) else no_object(row)
