"""Global ids and cursors: opaque texts that name one row, or one place in one order; both refuse what is foreign."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from graphql import GraphQLError

from twins.selectors.pages import Key

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """What a global id names."""

    TWIN = "Twin"
    SENSOR = "Sensor"
    ITEM = "Item"
    EVENT = "MaintenanceEvent"
    RELATION = "Relation"


class Order(StrEnum):
    """The order a cursor belongs to; the value says how its key is written."""

    TAG = "tag"
    NAME = "name"
    STARTED = "started"
    HEALTH = "health"
    CRITICALITY = "criticality"
    STATUS = "status"
    TYPE = "type"
    LATEST = "latest"
    MADE = "made"


TIMES, NUMBERS, INTEGERS = {Order.STARTED}, {Order.HEALTH, Order.LATEST}, {Order.CRITICALITY, Order.MADE}
"""Orders whose keys are times, doubles and whole numbers; all others are texts."""


def global_id(kind: Kind, key: object) -> str:
    """The opaque id of a row: its kind and its key."""
    return base64.b64encode(f"{kind}:{key}".encode()).decode()


def parse_global_id(text: str) -> tuple[Kind, str]:
    """Kind and key of an id; raises GraphQLError when it is not one of ours."""
    try:
        kind, _, key = _decode(text).partition(":")
        return Kind(kind), key
    except ValueError:
        raise GraphQLError(f"{text[:80]!r} is not an id: take it from the field id of an earlier answer.") from None


def row_number(text: str, *kinds: Kind) -> int:
    """The integer key of an id of one of these kinds; raises GraphQLError for any other."""
    kind, key = parse_global_id(text)
    # Ids are 64 bits wide; anything longer would be refused by the database with an error of its own.
    if kind not in kinds or not (key.isascii() and key.isdigit() and len(key) < 19):
        raise GraphQLError(f"{text[:80]!r} is not the id of a {' or '.join(kinds)}.")
    return int(key)


def cursor(order: Order, value: str | float | int | datetime, pk: int) -> str:
    """The place of a row in an order: id and ordering value, so that it holds when the row has gone."""
    return base64.b64encode(f"{order}:{pk}:{_write(value)}".encode()).decode()


def parse_cursor(order: Order, text: str) -> Key:
    """The key behind a cursor; raises GraphQLError for a foreign one."""
    try:
        name, pk, value = _decode(text).split(":", 2)
        if name != order or len(pk) > 18:
            raise ValueError
        return _read(order, value), int(pk)
    except (ValueError, OverflowError, struct.error):
        raise GraphQLError(
            f"{text[:80]!r} is not a cursor of this list: take pageInfo.endCursor of the same field."
        ) from None


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text.encode(), validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise ValueError from None


def _write(value: str | float | int | datetime) -> str:
    # Microseconds and bits rather than decimal text: PostgreSQL and Python write those alike.
    if isinstance(value, datetime):
        return str((value - _EPOCH) // timedelta(microseconds=1))
    if isinstance(value, float):
        return struct.pack(">d", value).hex()
    return str(value)


def _read(order: Order, value: str) -> str | float | int | datetime:
    if order in TIMES:
        return _EPOCH + timedelta(microseconds=int(value))
    if order in NUMBERS:
        number: float = struct.unpack(">d", bytes.fromhex(value))[0]
        if math.isnan(number):
            raise ValueError
        return number
    if order in INTEGERS:
        if len(value) > 18:
            raise ValueError
        return int(value)
    if "\x00" in value:
        raise ValueError
    return value
