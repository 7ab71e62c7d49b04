"""The schema that both transports execute, with its limits and its masking inside, so that neither can be left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.printer import print_schema
from strawberry.schema.config import StrawberryConfig

from assets.models import Asset
from twins.graphql.errors import ClientErrors
from twins.graphql.limits import Limits
from twins.graphql.mutations import Mutation
from twins.graphql.planner.checking import check_mapping
from twins.graphql.planner.executor import SplicingExecutor
from twins.graphql.queries import Query
from twins.graphql.scalars import SCALARS
from twins.graphql.subscriptions import Subscription
from twins.graphql.types import PartTwin, ProductTwin, SystemTwin
from twins.graphql.types.attributes import ATTRIBUTE_KINDS
from twins.graphql.types.twin import TWIN_KINDS
from twins.models.access import Scope
from twins.selectors.choices import SEARCHED


class Schema(strawberry.Schema):
    """Strawberry's schema without its log of every error: `ClientErrors` logs those that were not expected."""

    def process_errors(self, errors: list[GraphQLError], execution_context: Any = None) -> None:
        """Nothing: see ClientErrors."""


KINDS = {"Twin": TWIN_KINDS, "Node": TWIN_KINDS, "Attribute": ATTRIBUTE_KINDS}
"""What tells the members of an interface or a union apart in SQL."""


class Executor(SplicingExecutor):
    """Keeps what the schema holds from whoever may not read it."""

    @classmethod
    def build(
        cls, schema: Any, document: Any, root_value: Any = None, context_value: Any = None, *rest: Any, **options: Any
    ) -> Any:
        """As in graphql-core; the mistakes in variables come without suggestions."""
        options["hide_suggestions"] = not context_value.principal.may(Scope.INTROSPECT)
        return super().build(schema, document, root_value, context_value, *rest, **options)


schema = Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[SystemTwin, ProductTwin, PartTwin],
    extensions=[Limits, ClientErrors],
    execution_context_class=Executor,
    config=StrawberryConfig(scalar_map=SCALARS),
)


check_mapping(schema._schema, KINDS, {Asset: SEARCHED})


def sdl() -> str:
    """The schema as text: what `schema.graphql` holds."""
    return print_schema(schema) + "\n"


def write_sdl() -> None:
    """Write `schema.graphql` anew, after a change that was meant."""
    (Path(__file__).parent / "schema.graphql").write_text(sdl())
