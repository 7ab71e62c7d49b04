"""What PostgreSQL answers by itself is answered before anything is executed, and spliced into the answer as it is.

The way is always the same: text, document, limits, variables, plan, statement, bytes. Whatever leaves it, a mistake or
a field without a plan, is told by ordinary execution, which takes what was spliced before.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import orjson
from graphql import GraphQLError, OperationType, get_operation_ast
from graphql.execution.values import VariableValues, get_variable_values
from strawberry.types.execution import ExecutionResult

from assets.compiling import Compiled
from twins.exceptions import QueryTooSlow, TokenChanged, TwinsError
from twins.graphql.answers import Operation
from twins.graphql.context import Context
from twins.graphql.database import bounded
from twins.graphql.documents import Kept, parsed
from twins.graphql.limits import COST, checked
from twins.graphql.planner.plans import Irregular, Question, plans_of
from twins.graphql.planner.text import Seen
from twins.graphql.schema import KINDS, schema
from twins.models.access import Scope

_IRREGULAR = (GraphQLError, TwinsError, Irregular)


class _Asked(NamedTuple):
    """A query that nothing speaks against: what it costs, and each root field as it is asked, None without a plan."""

    cost: int
    questions: Mapping[str, Question | None]


_repeated: Kept[tuple[bytes, Compiled], _Asked] = Kept(32 * 1024 * 1024)
"""What somebody asked before, by the request as it came and the proof of who asked: a screen asks the same all day."""
_OBJECTS, _LONGEST = 20, 16 * 1024  # bytes of objects that a byte of JSON becomes; of a request worth keeping


def spliced(operation: Operation, context: Context, *, wholly: bool = False) -> ExecutionResult | None:
    """The result where all of the operation is answered; else `context.spliced` has the root fields that are.

    `wholly`: nothing is asked of the database where a field has no plan. Raises TokenChanged.
    """
    asked = _asked(operation, context)
    if asked is None:
        return None
    context.cost = {"requested": asked.cost, "maximum": COST}
    questions = asked.questions
    if not questions or (wholly and None in questions.values()):
        return None
    for name, question in questions.items():
        if question is not None and name not in context.spliced:
            _answer(name, question, context)
    found = {name: context.spliced[name] for name in questions if name in context.spliced}
    whole = len(found) == len(questions) and not any(isinstance(each, Exception) for each in found.values())
    return ExecutionResult(data=found, errors=None) if whole else None


def _asked(operation: Operation, context: Context) -> _Asked | None:
    """The query as it is asked, None when anything speaks against executing it; kept where a proof says for whom."""
    source, proof = operation.source, context.principal.proof
    if source is None or proof is None or len(source) > _LONGEST:
        made = _made(operation, context)
        return made and made[0]
    known = _repeated.get((source, proof))
    if known is None and (made := _made(operation, context)):
        known, size = made
        _repeated.put((source, proof), known, size + _OBJECTS * len(source))
    return known


def _made(operation: Operation, context: Context) -> tuple[_Asked, int] | None:
    """The query as it is asked, and the bytes of what that keeps alive."""
    try:
        document = parsed(operation.query)
    except (GraphQLError, RecursionError):
        return None
    node = get_operation_ast(document.root, operation.name)
    if node is None or node.operation is not OperationType.QUERY:
        return None
    introspects = context.principal.may(Scope.INTROSPECT)
    errors, cost = checked(schema._schema, document, operation.variables, introspects=introspects)
    if errors:
        return None
    variables = get_variable_values(schema._schema, node.variable_definitions or (), operation.variables)
    seen = _seen(context)
    if seen is None or not isinstance(variables, VariableValues):
        return None
    plans = plans_of(schema._schema, KINDS, document, node, variables)
    asks = partial(Question, variables=variables, seen=seen, proof=context.principal.proof)
    questions = {name: asks(plan) if plan else None for name, plan in plans.items()}
    return _Asked(cost, questions), document.bytes + 2 * sum(plan.bytes for plan in plans.values() if plan)


def _seen(context: Context) -> Seen | None:
    try:
        return Seen(context.visible(), context.places())
    except Exception:  # whatever it is, ordinary execution meets it too, and tells it where it belongs
        return None


def _answer(name: str, question: Question, context: Context) -> None:
    try:
        answer = bounded(question.answer)(now=context.now)
    except TokenChanged:
        raise
    except QueryTooSlow as error:  # ordinary execution would not be faster
        context.spliced[name] = error
    except _IRREGULAR:
        return
    except Exception as error:
        context.spliced[name] = error
    else:
        context.spliced[name] = None if answer is None else orjson.Fragment(answer)
