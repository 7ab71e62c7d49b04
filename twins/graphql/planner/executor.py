"""The execution context that takes what PostgreSQL wrote for a root field, and answers any other one as ever."""

from __future__ import annotations

from typing import Any

from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext


class SplicingExecutor(StrawberryGraphQLCoreExecutionContext):
    """Ordinary execution, but for root fields that `context.spliced` has: ready-made JSON, or why there is none."""

    def execute_field(
        self, parent_type: Any, source: Any, field_details_list: Any, path: Any, position_context: Any
    ) -> Any:
        """As in graphql-core; `path` without a previous one is a root field."""
        spliced = getattr(self.context_value, "spliced", {})
        root: Any = self.schema.query_type
        if path.prev is not None or path.key not in spliced or parent_type is not root:
            return super().execute_field(parent_type, source, field_details_list, path, position_context)
        found = spliced[path.key]
        if isinstance(found, Exception):
            kind = root.fields[field_details_list[0].node.name.value].type
            self.handle_field_error(found, kind, field_details_list, path)
            return None
        return found
