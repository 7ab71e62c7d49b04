"""What a query may cost, known before it runs: one walk over the document, each fragment once.

Cost is the greatest number of fields the answer can have: a list of `first: 50` counts what is selected of each node 50
times. Doubling fragments are therefore numbers, not work, and cyclic ones end where they begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    SelectionSetNode,
    ValidationContext,
    VariableNode,
    get_named_type,
    is_leaf_type,
    is_list_type,
    specified_rules,
    validate,
)
from graphql.pyutils import Undefined
from graphql.type import GraphQLNonNull
from graphql.validation.validate import ValidationAbortedError
from strawberry.extensions import SchemaExtension
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from twins.graphql.documents import Document, parsed
from twins.graphql.types.connection import MAX_FIRST
from twins.models.access import Scope

DEPTH, ALIASES, DIRECTIVES, ROOT_FIELDS, COST = 20, 100, 50, 20, 2_000_000
SIZE_ARGUMENTS = ("first", "points")
ROW_ARGUMENTS = ("rows", "input")
SIZED_LISTS = ("nodes", "readings", "aggregates", "records")
SHORT_LIST, INTROSPECTION_LIST = 10, 30
COMPARISONS = 50_000
"""Steps that the comparison of repeated fields may take, each about 2 microseconds."""
ERRORS = 5
"""Mistakes of a document that are told at once: one more tells nothing new, and costs."""
_COSTS_KEPT = 64
"""Costs that are kept of one document."""
_EXCESS = {"code": "LIMIT_EXCEEDED"}
_INTROSPECTION = ("__schema", "__type")


class Weight(NamedTuple):
    """What a selection weighs: fields once, fields for each node of the list it is part of, and its counts."""

    once: int = 0
    each: int = 0
    depth: int = 0
    aliases: int = 0
    directives: int = 0

    def beside(self, other: Weight) -> Weight:
        """Both selections in one set."""
        depth = max(self.depth, other.depth)
        once, each = self.once + other.once, self.each + other.each
        return Weight(once, each, depth, self.aliases + other.aliases, self.directives + other.directives)


@dataclass
class _Walk:
    """One walk over an operation; variables of `first` count with their values."""

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    variables: Mapping[str, Any]
    introspects: bool
    met: set[str]

    def __post_init__(self) -> None:
        self._weights: dict[str, Weight] = {}

    def selection(self, selections: SelectionSetNode | None, parent: GraphQLNamedType | None) -> Weight:
        weight = Weight()
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                found = self._field(node, parent)
            elif isinstance(node, FragmentSpreadNode):
                found = self._fragment(node.name.value)
            else:
                assert isinstance(node, InlineFragmentNode)
                condition = node.type_condition
                found = self.selection(
                    node.selection_set, self.schema.get_type(condition.name.value) if condition else parent
                )
            weight = weight.beside(found).beside(Weight(directives=len(node.directives or ())))
        return weight

    def _fragment(self, name: str) -> Weight:
        if name not in self._weights:
            # A spread inside its own definition weighs nothing here; validation refuses the cycle.
            self._weights[name] = Weight()
            if fragment := self.fragments.get(name):
                parent = self.schema.get_type(fragment.type_condition.name.value)
                self._weights[name] = self.selection(fragment.selection_set, parent)
        return self._weights[name]

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None) -> Weight:
        if node.name.value in _INTROSPECTION and not self.introspects:
            reason = f"Reading the schema ({node.name.value}) needs the scope 'introspect'"
            raise GraphQLError(
                f"{reason}: use a token that was made with it.", [node], extensions={"code": "FORBIDDEN"}
            )
        field = _definition(self.schema, parent, node.name.value)
        named = get_named_type(field.type) if field else None
        inner = self.selection(node.selection_set, named)
        cost = 1 + inner.once + inner.each * self._size(node, field)
        sized = field is not None and node.name.value in SIZED_LISTS
        if field is not None and not sized and _is_list(field) and not is_leaf_type(named):
            cost *= INTROSPECTION_LIST if str(named).startswith("__") else SHORT_LIST
        return Weight(
            once=0 if sized else cost,
            each=cost if sized else 0,
            depth=inner.depth + 1,
            aliases=inner.aliases + (node.alias is not None),
            directives=inner.directives,
        )

    def _size(self, node: FieldNode, field: GraphQLField | None) -> int:
        """How many nodes the field may list; raises GraphQLError when that is out of bounds."""
        if any(name in ROW_ARGUMENTS for name in (field.args if field else ())):
            return self._rows(node)
        for name in SIZE_ARGUMENTS:
            if field is None or name not in field.args:
                continue
            default = field.args[name].default_value
            size = default if default is not Undefined else MAX_FIRST
            for argument in node.arguments or ():
                if argument.name.value == name:
                    size = self._value(argument.value, size)
            # Whatever is no whole number is refused by GraphQL itself, with its own sentence.
            if isinstance(size, bool) or not isinstance(size, int | float) or size != size // 1:
                return 1
            if not 1 <= size <= MAX_FIRST:
                raise GraphQLError(
                    f"{name} is {str(size)[:20]}: ask for 1 to {MAX_FIRST}.", [node], extensions=dict(_EXCESS)
                )
            return int(size)
        return 1

    def _rows(self, node: FieldNode) -> int:
        """How many rows a mutation is given; one of them is written as one."""
        for argument in node.arguments or ():
            if argument.name.value in ROW_ARGUMENTS:
                value: Any = argument.value
                given = self._value(value, None)
                return max(1, len(given if isinstance(given, list) else getattr(value, "values", ())))
        return 1

    def _value(self, value: Any, default: Any) -> Any:
        if isinstance(value, VariableNode):
            self.met.add(value.name.value)
            return self.variables.get(value.name.value, default)
        # A number this long is beyond every bound; Python would refuse to read it past 4300 digits.
        return int(value.value[:20]) if isinstance(value, IntValueNode) else None


def check_limits(
    schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any], *, introspects: bool, met: set[str]
) -> tuple[list[GraphQLError], int]:
    """What speaks against running the document, which is nothing mostly, and what its dearest operation costs.

    Linear in its length. `introspects`: whether the schema itself may be asked for; `met` gets the names of the
    variables that sizes depend on.
    """
    dearest = 0
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    try:
        for operation in document.definitions:
            if isinstance(operation, OperationDefinitionNode):
                walk = _Walk(schema, fragments, _variables(operation, variables), introspects, met)
                weight = walk.selection(operation.selection_set, schema.get_root_type(operation.operation))
                dearest = max(dearest, weight.once + weight.each * MAX_FIRST)
                for error in _excesses(weight, operation):
                    return [error], dearest
    except GraphQLError as error:
        return [error], dearest
    except RecursionError:
        return [_too_much("nesting", "more", DEPTH)], dearest
    return [], dearest


def _excesses(weight: Weight, operation: OperationDefinitionNode) -> Iterator[GraphQLError]:
    measured = (
        ("depth", weight.depth, DEPTH),
        ("number of aliases", weight.aliases, ALIASES),
        ("number of directives", weight.directives, DIRECTIVES),
        ("number of root fields", len(operation.selection_set.selections), ROOT_FIELDS),
        ("cost", weight.once + weight.each * MAX_FIRST, COST),
    )
    for name, value, limit in measured:
        if value > limit:
            yield _too_much(name, value, limit)


def _too_much(name: str, value: Any, limit: int) -> GraphQLError:
    shown = value if not isinstance(value, int) or value < 10**12 else "more than 10^12"
    return GraphQLError(
        f"The {name} of this query is {shown}, at most {limit} is allowed: ask for fewer fields or smaller pages.",
        extensions=dict(_EXCESS),
    )


def _variables(operation: OperationDefinitionNode, given: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        if isinstance(definition.default_value, IntValueNode):
            values[name] = int(definition.default_value.value[:20])
        if given.get(name) is not None:
            values[name] = given[name]
    return values


def _definition(schema: GraphQLSchema, parent: GraphQLNamedType | None, name: str) -> GraphQLField | None:
    if parent is not None and parent is schema.query_type and name in _INTROSPECTION:
        return schema.get_field(parent, name)  # type: ignore[arg-type]
    found: GraphQLField | None = getattr(parent, "fields", {}).get(name)
    return found if isinstance(found, GraphQLField) else None


def _is_list(field: GraphQLField) -> bool:
    kind: Any = field.type
    return is_list_type(kind.of_type if isinstance(kind, GraphQLNonNull) else kind)


def _parsed(text: str) -> Document:
    try:
        return parsed(text)
    except RecursionError:
        raise _too_much("nesting", "more", DEPTH) from None


class _Merging(OverlappingFieldsCanBeMergedRule):
    """GraphQL's comparison of fields that share a name, which is not linear: with a bound of ours."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = COMPARISONS


_RULES = (
    *(_Merging if rule is OverlappingFieldsCanBeMergedRule else rule for rule in specified_rules),
    MaybeNullValidationRule,
    OneOfInputValidationRule,
)


def checked(
    schema: GraphQLSchema, document: Document, variables: Mapping[str, Any] | None, *, introspects: bool
) -> tuple[list[GraphQLError], int]:
    """What speaks against executing the document, limits before validation, and what its dearest operation costs.

    Validation is done once for a document that is kept, and the cost reckoned once for the same sizes.
    """
    errors, cost = _limits(schema, document, variables or {}, introspects)
    if errors:
        return errors, cost
    key = "errors", introspects
    if key not in document.notes:
        document.notes[key] = _validate(schema, document.root, introspects)
    return document.notes[key], cost


@dataclass
class _Costs:
    """What a document costs by the sizes that its variables say; `sizing` are the names of those."""

    sizing: frozenset[str] = frozenset()
    known: dict[Any, int] = field(default_factory=dict)


def _limits(
    schema: GraphQLSchema, document: Document, variables: Mapping[str, Any], introspects: bool
) -> tuple[list[GraphQLError], int]:
    costs: _Costs = document.notes.setdefault("costs", _Costs())
    sizes = introspects, *(_size_said(variables.get(name)) for name in sorted(costs.sizing))
    if sizes in costs.known:
        return [], costs.known[sizes]
    met: set[str] = set()
    errors, cost = check_limits(schema, document.root, variables, introspects=introspects, met=met)
    if met != costs.sizing:
        costs.sizing |= met  # a walk that was refused has not met all of them
    elif not errors and len(costs.known) < _COSTS_KEPT:
        costs.known[sizes] = cost
    return errors, cost


def _size_said(value: Any) -> Any:
    """What a variable says about the size of a list; 5 and 5.0 say the same, but True says nothing."""
    if isinstance(value, list):
        return "rows", len(value)
    return value if value is None or type(value) in (int, float) else "nothing"


def _validate(schema: GraphQLSchema, document: DocumentNode, introspects: bool) -> list[GraphQLError]:
    # A suggestion names what the schema holds; it also takes the longer to find, the longer the wrong name is.
    errors = validate(schema, document, _RULES, max_errors=ERRORS, hide_suggestions=not introspects)
    if errors and len(errors) <= ERRORS and isinstance(errors[-1], ValidationAbortedError):
        reason = "This document repeats or nests the same fields so often that it cannot be checked in time"
        return [GraphQLError(f"{reason}: name each field once.", extensions=dict(_EXCESS))]
    return errors


class Limits(SchemaExtension):
    """Parsing and validation, kept for repeated texts; the limits stand between, before what is not linear."""

    def on_parse(self) -> Iterator[None]:
        context = self.execution_context
        if context.query:
            self._document = _parsed(context.query)
            context.graphql_document = self._document.root
        yield

    def on_validate(self) -> Iterator[None]:
        context = self.execution_context
        schema, asked = context.schema._schema, context.context
        introspects = asked.principal.may(Scope.INTROSPECT)
        errors, cost = checked(schema, self._document, context.variables, introspects=introspects)
        asked.cost = {"requested": cost, "maximum": COST}
        context.pre_execution_errors = errors
        yield
