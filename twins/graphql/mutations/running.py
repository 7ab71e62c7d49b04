"""How a mutation is carried out: who may, once for a key, refusals as values, and what was written read afresh."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import strawberry
from django.db.models import Model, Q, QuerySet
from graphql import GraphQLError

from assets.exceptions import (
    AlreadyExists,
    AlreadyOccupied,
    AssetsError,
    ChangedMeanwhile,
    InvalidHierarchy,
    InvalidValue,
    NotAllowed,
    NotInstalled,
    UnreadableFile,
)
from assets.history.origin import origin
from assets.permissions import Action
from twins.exceptions import AccessDenied, ConflictingKey, ReadingsError, TooBusy
from twins.graphql.context import Info
from twins.graphql.database import from_database, in_transaction
from twins.graphql.loaders import Loaders
from twins.models.access import Scope
from twins.services.principals import Principal
from twins.services.repeats import once

MAX_ROWS = 1000
_ROW = re.compile(r"Row (\d+)(?:, ([^:]+))?: ")
EXPECTED = (AssetsError, ReadingsError, TooBusy)
"""What a mutation answers with a refusal."""


class RefusalCode(StrEnum):
    """Why nothing was changed."""

    INVALID_VALUE = "invalid_value"
    INVALID_HIERARCHY = "invalid_hierarchy"
    ALREADY_EXISTS = "already_exists"
    ALREADY_OCCUPIED = "already_occupied"
    NOT_INSTALLED = "not_installed"
    CHANGED_MEANWHILE = "changed_meanwhile"
    NOT_ALLOWED = "not_allowed"
    CONFLICTING_KEY = "conflicting_key"
    TOO_BUSY = "too_busy"


strawberry.enum(RefusalCode, name="RefusalCode", description="Why nothing was changed.")
_CODES: dict[type[Exception], RefusalCode] = {
    InvalidHierarchy: RefusalCode.INVALID_HIERARCHY,
    AlreadyExists: RefusalCode.ALREADY_EXISTS,
    AlreadyOccupied: RefusalCode.ALREADY_OCCUPIED,
    NotInstalled: RefusalCode.NOT_INSTALLED,
    ChangedMeanwhile: RefusalCode.CHANGED_MEANWHILE,
    NotAllowed: RefusalCode.NOT_ALLOWED,
    InvalidValue: RefusalCode.INVALID_VALUE,
    UnreadableFile: RefusalCode.INVALID_VALUE,
    ConflictingKey: RefusalCode.CONFLICTING_KEY,
    TooBusy: RefusalCode.TOO_BUSY,
}


@strawberry.type(description="Nothing was changed, and why.")
class Refusal:
    code: RefusalCode = strawberry.field(description="Why, for programs.")
    message: str = strawberry.field(description="What is wrong, where, and what to do.")
    row: int | None = strawberry.field(description="Number of the row that it is about, from 0; null: none alone.")
    field: str | None = strawberry.field(description="The field of the row; null when it is about none alone.")

    @classmethod
    def of(cls, error: Exception) -> Refusal:
        """The refusal that an expected error of a service is."""
        code = next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), RefusalCode.INVALID_VALUE)
        said = _ROW.match(str(error))
        row, field = (int(said[1]), said[2]) if said else (None, None)
        return cls(code=code, message=str(error), row=row, field=field)


def actor_of(principal: Principal, scope: Scope = Scope.WRITE) -> Any:
    """The user on whose behalf something is done, None for a token of nobody; raises AccessDenied."""
    if not principal.may(scope):
        raise AccessDenied(f"This needs the scope {scope.value!r}: use a token that was created with it.")
    return principal.user


def sender_of(principal: Principal) -> str:
    """Who sends, as keys are unique within."""
    return f"token {principal.token.name}" if principal.token else f"user {principal.user.pk}"


async def carried_out(
    info: Info,
    asked: tuple[str, list[Any]],
    key: str | None,
    act: Callable[[Any], Sequence[Model]],
    done: Callable[..., Any],
) -> Any:
    """What `done` makes of the rows that `act` (of an actor) wrote, read afresh, or a Refusal.

    `asked` is the name of the mutation with its arguments, which a repeat must have in common.
    """
    principal: Principal = info.context.principal
    actor = actor_of(principal)
    check_rows(asked[1][0])

    def act_once() -> tuple[Any, bool]:
        def write() -> list[int]:
            return [row.pk for row in act(actor)]

        with origin(source="api"):
            return once(sender=sender_of(principal), key=key, asked=[asked[0], plain(asked[1])], act=write)

    try:
        keys, repeated = await in_transaction(act_once)()
    except EXPECTED as error:
        return Refusal.of(error)
    # What was loaded before may have changed.
    info.context.loaders = Loaders(principal)
    return await from_database(done)(keys, repeated)


def check_rows(rows: Any) -> None:
    """Raises GraphQLError for more rows than one mutation takes."""
    if isinstance(rows, list) and len(rows) > MAX_ROWS:
        raise GraphQLError(
            f"{len(rows)} rows are more than the {MAX_ROWS} of one mutation: send them in several.",
            extensions={"code": "LIMIT_EXCEEDED"},
        )


def seen(info: Info, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Those of the rows of a table of the register that may be looked at."""
    return rows.filter(visible(info, rows.model))


def visible(info: Info, model: type[Model]) -> Q:
    """The predicate on the rows of a table that may be looked at."""
    return info.context.principal.rights.reach(Action.VIEW).of(model)


def in_order(rows: QuerySet[Any], keys: Sequence[int]) -> list[Any]:
    """The rows of these keys in their order, without those that are not there."""
    found = rows.in_bulk(keys)
    return [found[key] for key in keys if key in found]


def plain(value: Any) -> Any:
    """Arguments as JSON says them, to be compared with those of a repeat."""
    if isinstance(value, str | int | float | bool | dict | None):
        return value
    if isinstance(value, list):
        return [plain(each) for each in value]
    if hasattr(value, "__strawberry_definition__"):
        return {name: plain(each) for name, each in vars(value).items() if each is not strawberry.UNSET}
    return str(value)
