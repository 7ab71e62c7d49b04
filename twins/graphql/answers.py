"""What a client asks and what it is answered, the same over HTTP and WebSocket."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import orjson
from strawberry.types.execution import ExecutionResult

from twins.exceptions import MalformedBody
from twins.graphql.errors import ClientErrors

_IDENTIFIER = re.compile("sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Operation:
    """One operation to be executed; `extensions` is what else the client asked for.

    `document` is the digest of a persisted document, whose text `query` becomes once it is looked up; `source` is the
    request that says all this, where it is one text.
    """

    query: str
    variables: dict[str, Any]
    name: str | None = None
    extensions: dict[str, Any] = field(default_factory=dict)
    document: str | None = None
    source: bytes | None = None

    @classmethod
    def of(cls, document: Any, source: bytes | None = None) -> Operation:
        """From {"query" or "documentId", "variables", "operationName", "extensions"}; raises MalformedBody.

        Other keys are ignored, as the specification of GraphQL over HTTP wants it.
        """
        if not isinstance(document, dict):
            raise MalformedBody('Send one JSON object: {"query": "...", "variables": {...}}.')
        query, variables, name = document.get("query"), document.get("variables"), document.get("operationName")
        extensions = document.get("extensions")
        digest = _digest(document.get("documentId"))
        if digest is not None and query is not None:
            raise MalformedBody("Send either 'query' or 'documentId'.")
        if digest is None and (not isinstance(query, str) or not query.strip()):
            raise MalformedBody("The field 'query' must hold the text of a GraphQL operation.")
        if not isinstance(variables, dict | None):
            raise MalformedBody("The field 'variables' must be an object or null.")
        if not isinstance(name, str | None):
            raise MalformedBody("The field 'operationName' must be a text or null.")
        if not isinstance(extensions, dict | None):
            raise MalformedBody("The field 'extensions' must be an object or null.")
        return cls(query or "", variables or {}, name or None, extensions or {}, digest, source)


def _digest(identifier: Any) -> str | None:
    if identifier is None:
        return None
    if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
        raise MalformedBody("The field 'documentId' must be 'sha256:' and 64 digits in lower-case hexadecimal.")
    return identifier.removeprefix("sha256:")


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

    @classmethod
    def encoded(cls, result: ExecutionResult, body: bytes) -> Answer:
        """Of a result that was encoded already."""
        errors = orjson.dumps(_errors(result)).decode()
        return cls(body.decode(), errors, is_refused(result), failed=result.data is None)


def is_refused(result: ExecutionResult) -> bool:
    """Whether the request was wrong as a whole, so that nothing was executed: what fails at a field has a path."""
    return result.data is None and any(error.path is None for error in result.errors or ())


def encode(result: ExecutionResult) -> bytes:
    """The answer as JSON, without `data` when nothing was executed.

    NaN and infinity are null, and `orjson.Fragment` is taken as it is.
    """
    content: dict[str, Any] = {} if is_refused(result) else {"data": result.data}
    if result.errors:
        content["errors"] = _errors(result)
    if result.extensions:
        content["extensions"] = result.extensions
    return orjson.dumps(content)


def _errors(result: ExecutionResult) -> list[Any]:
    # Extensions do not see what broke the execution as a whole; what they masked already passes unchanged.
    mask = ClientErrors().anonymise_error
    return [mask(error).formatted for error in result.errors or ()]
