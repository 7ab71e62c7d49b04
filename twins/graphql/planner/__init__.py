"""A nested query is one SQL statement: the selection under a root field becomes a statement whose text is the answer.

Promise: the same answer as ordinary execution, or no plan. The mapping stands in the metadata of fields (`sql(...)`); a
selection with any field that has none is executed ordinarily, and so is whatever is irregular: a bad argument, an
ambiguous tag, a missing right. Reason: to build 25,000 objects in Python takes twenty times what PostgreSQL needs to
write them as JSON. Templates and tables are ours; whatever a client sends is a parameter.
"""

from twins.graphql.planner.mapping import (
    Bind,
    Chosen,
    Column,
    Derived,
    Each,
    Elements,
    GlobalId,
    Key,
    Kinds,
    Later,
    Latest,
    One,
    Pages,
    RootPages,
    RootRow,
    Same,
    Trail,
    sql,
)

__all__ = [
    "Bind",
    "Chosen",
    "Column",
    "Derived",
    "Each",
    "Elements",
    "GlobalId",
    "Key",
    "Kinds",
    "Later",
    "Latest",
    "One",
    "Pages",
    "RootPages",
    "RootRow",
    "Same",
    "Trail",
    "sql",
]
