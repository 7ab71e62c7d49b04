"""What PostgreSQL answers by itself is answered before anything is executed, and spliced into the answer as it is.

The way is always the same: text, document, limits, variables, plan, statement, bytes. Whatever leaves it, a mistake or
a field without a plan, is told by ordinary execution, which takes what was spliced before.
"""

from __future__ import annotations

import orjson
from graphql import GraphQLError, OperationDefinitionNode, OperationType, get_operation_ast
from graphql.execution.values import VariableValues, get_variable_values
from strawberry.types.execution import ExecutionResult

from twins.exceptions import QueryTooSlow, TokenChanged, TwinsError
from twins.graphql.answers import Operation
from twins.graphql.context import Context
from twins.graphql.database import bounded
from twins.graphql.documents import Document, parsed
from twins.graphql.limits import COST, checked
from twins.graphql.planner.plans import Irregular, Plan, plans_of
from twins.graphql.planner.text import Seen
from twins.graphql.schema import KINDS, schema
from twins.models.access import Scope

_IRREGULAR = (GraphQLError, TwinsError, Irregular)


def spliced(operation: Operation, context: Context, *, wholly: bool = False) -> ExecutionResult | None:
    """The result where all of the operation is answered; else `context.spliced` has the root fields that are.

    `wholly`: nothing is asked of the database where a field has no plan. Raises TokenChanged.
    """
    asked = _asked(operation, context)
    if asked is None:
        return None
    document, node, variables = asked
    plans = plans_of(schema._schema, KINDS, document, node, variables)
    if not plans or (wholly and None in plans.values()):
        return None
    for name, plan in plans.items():
        if plan is not None and name not in context.spliced:
            _run(name, plan, variables, context)
    found = {name: context.spliced[name] for name in plans if name in context.spliced}
    whole = len(found) == len(plans) and not any(isinstance(each, Exception) for each in found.values())
    return ExecutionResult(data=found, errors=None) if whole else None


def _asked(operation: Operation, context: Context) -> tuple[Document, OperationDefinitionNode, VariableValues] | None:
    """The query with its variables as they are executed; None when anything speaks against executing it."""
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
    context.cost = {"requested": cost, "maximum": COST}
    variables = get_variable_values(schema._schema, node.variable_definitions or (), operation.variables)
    return (document, node, variables) if isinstance(variables, VariableValues) else None


def _run(name: str, plan: Plan, variables: VariableValues, context: Context) -> None:
    try:
        seen = Seen(context.visible(), context.places())
        answer = bounded(plan.run)(variables, seen, context.principal.proof, now=context.now)
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
