"""The execution context that answers a planned root field with what PostgreSQL wrote, and any other one as ever."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import orjson
from django.db import connection
from django.db.models import Q
from graphql import DirectiveNode, GraphQLError, OperationDefinitionNode, VariableNode, Visitor, visit
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from assets.models import Asset
from twins.exceptions import QueryTooSlow, TwinsError
from twins.graphql.database import from_database
from twins.graphql.documents import known
from twins.graphql.planner.compiler import Compiler, Unplannable
from twins.graphql.planner.mapping import Kinds
from twins.graphql.planner.text import Binding, Sql
from twins.selectors.hot import hot_readings

_PLANS_OF_ONE = 16


class Irregular(Exception):
    """The statement was run, but what it found is for ordinary execution to judge."""


_IRREGULAR = (GraphQLError, TwinsError, Irregular)


class _Plans:
    """The plans of one operation, by root field and by the variables that decide what is selected."""

    def __init__(self, operation: OperationDefinitionNode, fragments: Mapping[str, Any]) -> None:
        self.operation = operation
        self.plans: dict[Any, Plan | None] = {}
        found = _Directives()
        visit(operation, found)
        for fragment in fragments.values():
            visit(fragment.definition, found)
        self.deciding = sorted(found.variables)
        self.plain = not found.others


class _Directives(Visitor):
    """Which variables decide what is selected, and whether there are directives that mean something else."""

    def __init__(self) -> None:
        super().__init__()
        self.variables: set[str] = set()
        self.others = False

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        if node.name.value not in ("skip", "include"):
            self.others = True
        for argument in node.arguments or ():
            if isinstance(argument.value, VariableNode):
                self.variables.add(argument.value.name.value)


class Plan:
    """A statement that waits for arguments."""

    def __init__(self, pieces: Sql, *, reads_latest: bool) -> None:
        self._pieces = _merged(pieces)
        self._reads_latest = reads_latest

    def run(self, variables: Any, visible: Q) -> str | None:
        """The JSON of the answer, None where nothing was found; raises GraphQLError, Irregular."""
        # Read first: what is compacted meanwhile is in the table by the time the statement runs.
        hot = hot_readings() if self._reads_latest else {}
        binding = Binding(variables, visible=visible, hot=bool(hot))
        tables = _tables(binding, hot)
        text = "".join(piece if isinstance(piece, str) else piece(binding) for piece in self._pieces)
        with connection.cursor() as cursor:
            cursor.execute(tables + text, binding.parameters)
            rows = cursor.fetchall()
        if len(rows) > 1:
            raise Irregular
        return rows[0][0] if rows else None


class PlannedExecutor(StrawberryGraphQLCoreExecutionContext):
    """Ordinary execution, but for root fields whose whole selection is said in SQL."""

    kinds: ClassVar[Mapping[str, Kinds]] = {}

    def execute_field(
        self, parent_type: Any, source: Any, field_details_list: Any, path: Any, position_context: Any
    ) -> Any:
        """As in graphql-core; `path` without a previous one is a root field."""

        def ordinarily() -> Any:
            execute = super(PlannedExecutor, self).execute_field
            return execute(parent_type, source, field_details_list, path, position_context)

        if path.prev is None and parent_type is self.schema.query_type and getattr(self.context_value, "splice", False):
            plan = self._plan(parent_type, field_details_list, path.key)
            if plan is not None:
                return self._planned(plan, ordinarily, parent_type, field_details_list, path)
        return ordinarily()

    async def _planned(
        self, plan: Plan, ordinarily: Callable[[], Any], parent_type: Any, details: Any, path: Any
    ) -> Any:
        try:
            visible = self.context_value.visible()
            answer = await from_database(plan.run)(self.variable_values, visible)
        except QueryTooSlow as error:  # ordinary execution would not be faster
            self.handle_field_error(error, parent_type.fields[details[0].node.name.value].type, details, path)
            return None
        except _IRREGULAR:
            result = ordinarily()
            return await result if self.is_awaitable(result) else result
        except Exception as error:
            field = parent_type.fields[details[0].node.name.value]
            self.handle_field_error(error, field.type, details, path)
            return None
        return None if answer is None else orjson.Fragment(answer)

    def _plan(self, parent_type: Any, details: Any, key: Any) -> Plan | None:
        plans = self._plans()
        values = self.variable_values.coerced
        place = (key, *(values.get(name) for name in plans.deciding))
        if place not in plans.plans:
            if len(plans.plans) >= _PLANS_OF_ONE:
                plans.plans.clear()
            plans.plans[place] = self._compile(parent_type, details) if plans.plain else None
        return plans.plans[place]

    def _plans(self) -> _Plans:
        """The plans of this operation, kept as long as its document is."""
        location = self.operation.loc
        document = known(location.source.body) if location else None
        if document is None:
            return _Plans(self.operation, self.fragments)
        # Another thread may have parsed the same text at the same time: its nodes are not these.
        plans: _Plans | None = document.notes.get(("plans", id(self.operation)))
        if plans is None or plans.operation is not self.operation:
            plans = document.notes[("plans", id(self.operation))] = _Plans(self.operation, self.fragments)
        return plans

    def _compile(self, parent_type: Any, details: Any) -> Plan | None:
        compiler = Compiler(self, self.kinds)
        field = parent_type.fields.get(details[0].node.name.value)
        try:
            return None if field is None else Plan(compiler.root(field, details), reads_latest=compiler.reads_latest)
        except Unplannable:
            return None


def _tables(binding: Binding, hot: Mapping[int, Any]) -> str:
    """What the statement needs to know beforehand: which assets may be seen, and the hot tail."""
    tables = []
    if binding.restricted:
        text, parameters = Asset.objects.filter(binding.visible).order_by().values("pk").query.sql_with_params()
        binding.parameters += parameters
        tables.append(f"visible(id) as materialized ({text})")
    if binding.hot:
        rows = {str(key): [each.time, each.value, each.quality, each.batch] for key, each in hot.items()}
        tables.append(f"hot(readings) as materialized (select {binding.put(orjson.dumps(rows).decode())}::jsonb)")
    return f"with {', '.join(tables)} " if tables else ""


def _merged(pieces: Sql) -> Sql:
    merged: Sql = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged
