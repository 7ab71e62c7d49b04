"""What a client asks and what it is answered, the same over HTTP and WebSocket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from strawberry.types.execution import ExecutionResult

from twins.exceptions import MalformedBody
from twins.graphql.errors import ClientErrors


@dataclass(frozen=True)
class Operation:
    """One operation to be executed."""

    query: str
    variables: dict[str, Any]
    name: str | None = None

    @classmethod
    def of(cls, document: Any) -> Operation:
        """From {"query", "variables", "operationName"}; raises MalformedBody, which says what is wrong."""
        if not isinstance(document, dict):
            raise MalformedBody('Send one JSON object: {"query": "...", "variables": {...}}.')
        query, variables, name = document.get("query"), document.get("variables"), document.get("operationName")
        if not isinstance(query, str) or not query.strip():
            raise MalformedBody("The field 'query' must hold the text of a GraphQL operation.")
        if not isinstance(variables, dict | None):
            raise MalformedBody("The field 'variables' must be an object or null.")
        if not isinstance(name, str | None):
            raise MalformedBody("The field 'operationName' must be a text or null.")
        return cls(query, variables or {}, name or None)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of an execution over WebSocket: the whole, and its errors alone, which a refusal sends instead.

    `refused`: the operation was never started; `failed`: it has errors and no data.
    """

    payload: str
    errors: str = "[]"
    refused: bool = False
    failed: bool = False

    @classmethod
    def of(cls, result: ExecutionResult, *, refused: bool = False) -> Answer:
        return cls(encode(result).decode(), orjson.dumps(_errors(result)).decode(), refused, failed=result.data is None)


def encode(result: ExecutionResult) -> bytes:
    """The answer as JSON; NaN and infinity are null, and `orjson.Fragment` is taken as it is."""
    content: dict[str, Any] = {"data": result.data}
    if result.errors:
        content["errors"] = _errors(result)
    if result.extensions:
        content["extensions"] = result.extensions
    return orjson.dumps(content)


def _errors(result: ExecutionResult) -> list[Any]:
    # Extensions do not see what broke the execution as a whole; what they masked already passes unchanged.
    mask = ClientErrors().anonymise_error
    return [mask(error).formatted for error in result.errors or ()]
