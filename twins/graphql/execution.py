"""One operation from its text to the bytes of its answer, the same over HTTP and WebSocket."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from graphql import GraphQLError, get_operation_ast
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.graphql import OperationType

from twins.conf import settings
from twins.exceptions import AccessDenied, MalformedBody, UnknownDocument
from twins.graphql.answers import Operation, encode, is_refused
from twins.graphql.context import Context
from twins.graphql.database import bounded
from twins.graphql.documents import parsed
from twins.graphql.schema import schema
from twins.graphql.splicing import spliced
from twins.models.access import Scope
from twins.selectors.documents import persisted_documents
from twins.selectors.spent import Spent, counted
from twins.services.principals import Principal


def resolved(operation: Operation, principal: Principal) -> Operation:
    """The operation with its text; raises UnknownDocument, or AccessDenied where only persisted ones are executed."""
    if operation.document is None:
        if settings().DOCUMENTS == "persisted" and not principal.may(Scope.INTROSPECT):
            raise AccessDenied("Only persisted documents are executed here: send 'documentId' in place of 'query'.")
        return operation
    found = bounded(persisted_documents)([operation.document])
    if operation.document not in found:
        raise UnknownDocument(f"There is no document sha256:{operation.document}: persist it, or send its text.")
    return replace(operation, query=found[operation.document])


class Execution:
    """An operation on its way: answered at once where plans tell all of it, else by ordinary execution."""

    def __init__(self, operation: Operation, context: Context) -> None:
        self._operation, self._context = operation, context
        self._begun, self._spent = time.perf_counter(), Spent()
        self.result: ExecutionResult | None = None

    def at_once(self) -> bool:
        """Whether plans tell all of it, each in a statement that proves who asks; raises TokenChanged."""
        with self._counted():
            self.result = spliced(self._operation, self._context, wholly=True)
        return self.result is not None

    def asked_by(self, principal: Principal) -> None:
        """Begin again for somebody who was looked up again."""
        self._context = self._context.asked_by(principal)

    async def run(self, allowed: Iterable[OperationType] | None = None) -> None:
        """Plans tell what they can, ordinary execution the rest.

        Raises MalformedBody when the document holds no such operation, InvalidOperationTypeError for one not allowed.
        """
        with self._counted():
            self.result = await sync_to_async(spliced)(self._operation, self._context)
            if self.result is None:
                self.result = _judged(await self._executed(allowed), self._operation)

    async def _executed(self, allowed: Iterable[OperationType] | None) -> ExecutionResult:
        try:
            return await schema.execute(
                self._operation.query,
                variable_values=self._operation.variables,
                operation_name=self._operation.name,
                context_value=self._context,
                allowed_operation_types=allowed,
            )
        except CannotGetOperationTypeError:
            raise MalformedBody("The document holds no such operation, or several and no 'operationName'.") from None

    def told(self) -> tuple[ExecutionResult, bytes]:
        """The result and its bytes, which hold `extensions.cost` when the operation asks for it: fields, statements of
        the database, scans of the lake and milliseconds."""
        assert self.result is not None
        if self._asks_cost and self._context.cost is not None:
            actual = _fields(orjson.loads(orjson.dumps(self.result.data)))
            took = round((time.perf_counter() - self._begun) * 1000, 1)
            cost = {**self._context.cost, "actual": actual, **asdict(self._spent), "milliseconds": took}
            self.result.extensions = {**(self.result.extensions or {}), "cost": cost}
        return _bounded(self.result)

    @property
    def _asks_cost(self) -> bool:
        return self._operation.extensions.get("cost") is True

    def _counted(self) -> AbstractContextManager[Any]:
        return counted(self._spent) if self._asks_cost else nullcontext()


def _judged(result: ExecutionResult, operation: Operation) -> ExecutionResult:
    """The result, as a refusal where a query found nothing because its arguments name nothing that can be.

    An id of another kind or a cursor of another list is known only once the field looks at it, but the mistake is the
    request's as a whole when there is nothing else to tell.
    """
    errors = result.errors or []
    if is_refused(result) or not errors or any(value is not None for value in (result.data or {}).values()):
        return result
    asked = get_operation_ast(parsed(operation.query).root, operation.name)
    reads = asked is not None and asked.operation.value == OperationType.QUERY.value
    if not reads or not all(isinstance(error.original_error, GraphQLError) for error in errors):
        return result
    told = [
        GraphQLError(error.message, error.nodes, extensions={"code": "BAD_INPUT", **(error.extensions or {})})
        for error in errors
    ]
    return PreExecutionError(data=None, errors=told)


def _bounded(result: ExecutionResult) -> tuple[ExecutionResult, bytes]:
    body, limit = encode(result), settings().ANSWER_MAX_BYTES
    if len(body) <= limit:
        return result, body
    reason = f"The answer has {len(body)} bytes, at most {limit} are sent: ask for fewer fields or smaller pages."
    refused = PreExecutionError(data=None, errors=[GraphQLError(reason, extensions={"code": "LIMIT_EXCEEDED"})])
    return refused, encode(refused)


def _fields(answer: Any) -> int:
    """How many fields the answer has: the unit of cost."""
    waiting, count = [answer], 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            count += len(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return count
