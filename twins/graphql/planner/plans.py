"""Plans: for each root field of an operation a statement, written once for all runs that are alike.

A plan depends on the text of the document, the name of the operation and the variables that decide what is selected;
its statement moreover on what may be seen and on whether there is a hot tail. All that is the key of what is kept;
whatever else a run brings is a parameter, so that nothing of one run is in another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any

from graphql import (
    DirectiveNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution.collect_fields import FieldDetailsList, collect_fields
from graphql.execution.executor import Executor
from graphql.execution.values import VariableValues
from graphql.pyutils import Undefined

from assets.compiling import Compiled
from twins.exceptions import TokenChanged
from twins.graphql.database import Statement
from twins.graphql.documents import Document, Kept
from twins.graphql.planner.compiler import Compiler, Unplannable
from twins.graphql.planner.mapping import Kinds
from twins.graphql.planner.marks import Mark, told
from twins.graphql.planner.text import Binding, Late, Piece, Seen, Sql, named, written
from twins.selectors.hot import Tail, hot_tail, remembered_tail

_KEPT_PLANS = 64 * 1024 * 1024
"""Bytes that all kept plans may take together, with the nodes that they keep alive."""
_KEPT_STATEMENTS = 32 * 1024 * 1024
"""Bytes that all kept statements may take together."""
_PIECE = 1000  # bytes of a piece that is no text, measured
_TRUE: Compiled = "true", ()

Plans = Mapping[str, "Plan | None"]
"""By the name that the root field has in the answer; None for one that ordinary execution has to answer."""


class Irregular(Exception):
    """The statement was run, but what it found is for ordinary execution to judge."""


class Plan:
    """A root field as a statement that waits for the variables of a run."""

    _numbers = count()

    def __init__(self, pieces: Sql, *, reads_latest: bool, marks: Sequence[Mark] = ()) -> None:
        self._number, self.marks = next(self._numbers), marks
        self._pieces = _merged(pieces)
        self.reads_latest = reads_latest
        self.bytes = _size(self._pieces)

    def statement(self, seen: Seen, hot: bool) -> Sql:
        """What is the same in all runs of who sees the same."""
        key = self._number, seen, hot
        known = _statements.get(key)
        if known is None:
            binding = Binding(seen=seen, hot=hot)
            known = _merged([_early(piece, binding) for piece in self._pieces])
            _statements.put(key, known, _size(known))
        return known


class Question:
    """A plan with what one run brings. Whoever asks it again finds it written, unless the hot tail has changed.

    `proof` is the condition under which what is remembered of who asks is true.
    """

    def __init__(self, plan: Plan, variables: VariableValues, seen: Seen, proof: Compiled | None = None) -> None:
        self._plan, self._variables, self._seen, self._proof = plan, variables, seen, proof or _TRUE
        self._written: tuple[Tail | None, Statement] | None = None

    def answer(self, *, now: datetime) -> str | bytes | None:
        """The JSON of the answer, None where nothing was found.

        The statement asks for the proof too. Raises TokenChanged when it fails, GraphQLError, TwinsError, Irregular.
        """
        found = self._remembered(remembered_tail() if self._plan.reads_latest else None).rows()
        if found and found[0][0] == "tail":
            # What is compacted after this look is in the table by the time the statement runs.
            found = self._write(hot_tail(), _TRUE).rows()
        if found and found[0][0] == "proof":
            raise TokenChanged("The API token or its rights were changed: look them up again.")
        if len(found) > 1:
            raise Irregular
        text = found[0][1] if found else None
        return told(text, self._plan.marks, self._variables, now) if text and self._plan.marks else text

    def _remembered(self, tail: Tail | None) -> Statement:
        known = self._written
        if known is not None and known[0] is tail:
            return known[1]
        statement = self._write(tail, _TRUE if tail is None else tail.stands)
        if tail is None or not tail.readings:  # readings may be many, and are others soon
            self._written = tail, statement
        return statement

    def _write(self, tail: Tail | None, stands: Compiled) -> Statement:
        """The statement that tells the answer, or what does not stand."""
        hot = tail is not None and bool(tail.readings)
        binding = Binding(self._variables, seen=self._seen, hot=hot)
        asked = (binding.put_named(named(each, prefix)) for each, prefix in ((self._proof, "who"), (stands, "tail")))
        head = _HEAD.format(*asked)
        if tail is not None and hot:
            head += f", hot(readings) as materialized (select {binding.put(tail.json)}::jsonb)"
        body = written(self._plan.statement(self._seen, hot), binding)
        # A choice made by variables is planned with their values.
        return Statement(head + _ELSE + body, binding.parameters, prepared=not binding.choices)


_HEAD = "with held(proof, tail) as materialized (select {}, {})"
_ELSE = """ select 'proof', null::text from held where not proof
union all select 'tail', null from held where proof and not tail union all """

_statements: Kept[tuple[int, Seen, bool], Sql] = Kept(_KEPT_STATEMENTS)
_plans: Kept[tuple[Any, ...], Plans] = Kept(_KEPT_PLANS)


class _Selecting:
    """Which variables of an operation decide what is selected. `plain`: there are no directives that do more."""

    def __init__(self, document: Document, operation: OperationDefinitionNode) -> None:
        found = _Directives()
        visit(operation, found)
        for node in document.root.definitions:
            if isinstance(node, FragmentDefinitionNode):
                visit(node, found)
        self.deciding, self.plain = sorted(found.variables), not found.others


class _Directives(Visitor):
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


def plans_of(
    schema: GraphQLSchema,
    kinds: Mapping[str, Kinds],
    document: Document,
    operation: OperationDefinitionNode,
    variables: VariableValues,
) -> Plans:
    """The plans of the root fields of a query, which is valid, in the order of the answer."""
    selecting = _selecting(document, operation)
    name = operation.name.value if operation.name else None
    key = document.text, name, *(variables.coerced.get(each) for each in selecting.deciding)
    plans = _plans.get(key) if selecting.plain else {}
    if plans is None:
        plans = _compiled(schema, kinds, document, name, variables)
        _plans.put(key, plans, document.bytes + sum(plan.bytes for plan in plans.values() if plan))
    return plans


def _selecting(document: Document, operation: OperationDefinitionNode) -> _Selecting:
    # By name, because a node is hashed with all that is below it.
    key = "selecting", operation.name and operation.name.value
    if key not in document.notes:
        document.notes[key] = _Selecting(document, operation)
    found: _Selecting = document.notes[key]
    return found


def _compiled(
    schema: GraphQLSchema, kinds: Mapping[str, Kinds], document: Document, name: str | None, variables: VariableValues
) -> Plans:
    given = {each: source.value for each, source in variables.sources.items() if source.value is not Undefined}
    executor = Executor.build(schema, document.root, raw_variable_values=given, operation_name=name)
    assert isinstance(executor, Executor)
    root: Any = schema.query_type
    collected = collect_fields(schema, executor.fragments, executor.variable_values, root, executor.operation)
    if collected.new_defer_usages:
        return {}
    return {key: _plan(root, details, executor, kinds) for key, details in collected.grouped_field_set.items()}


def _plan(root: GraphQLObjectType, details: FieldDetailsList, executor: Executor, kinds: Any) -> Plan | None:
    compiler, field = Compiler(executor, kinds), root.fields.get(details[0].node.name.value)
    try:
        return None if field is None else _made(compiler, compiler.root(field, details))
    except Unplannable:
        return None


def _made(compiler: Compiler, pieces: Sql) -> Plan:
    return Plan(pieces, reads_latest=compiler.reads_latest, marks=compiler.marks)


def _early(piece: Piece, binding: Binding) -> Piece:
    """The text of a piece where it is the same in all runs."""
    if isinstance(piece, str):
        return piece
    try:
        return piece(binding)
    except Late:
        return piece


def _merged(pieces: Sql) -> Sql:
    merged: Sql = []
    for piece in pieces:
        if isinstance(piece, str) and merged and isinstance(merged[-1], str):
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged


def _size(pieces: Sql) -> int:
    return sum(2 * len(piece) if isinstance(piece, str) else _PIECE for piece in pieces)
