"""What assets reach over relations, with cycles in the plant and without end in the statement."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from django.db import connection

from assets.models import SYMMETRIC, Relation

MAX_STEPS: Final = 20
Direction = Literal["out", "in", "both"]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far and over which relations: `out` follows them as they are read ("feeds"), `in` against ("is fed by").

    `kinds` empty: all kinds. `at` None: what has no end. Relations that say the same both ways are followed both ways.
    Raises ValueError for steps that are not 1 to 20 or an unknown direction.
    """

    steps: int = 1
    direction: Direction = "out"
    kinds: frozenset[str] = frozenset()
    at: datetime | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MAX_STEPS:
            raise ValueError(f"steps is {self.steps}: go 1 to {MAX_STEPS} steps.")
        if self.direction not in ("out", "in", "both"):
            raise ValueError(f"direction is {self.direction!r}: choose out, in or both.")


def reached(asset_ids: Iterable[int], *, reach: Reach) -> dict[int, dict[int, int]]:
    """Per asset what it reaches: id to the least number of steps. The asset itself is not among them."""
    wanted = set(asset_ids)
    sql, parameters = reach_sql(wanted, reach)
    found: dict[int, dict[int, int]] = {asset_id: {} for asset_id in wanted}
    with connection.cursor() as cursor:
        nearest = "SELECT start, id, min(steps) FROM reach WHERE id <> start GROUP BY start, id ORDER BY start, 3, id"
        cursor.execute(f"{sql} {nearest}", parameters)
        for start, asset_id, steps in cursor.fetchall():
            found[start][asset_id] = steps
    return found


def relations_of(asset_ids: Iterable[int], at: datetime | None = None) -> dict[int, list[Relation]]:
    """The relations that start or end at each asset, those without end or those that hold at an instant."""
    wanted = set(asset_ids)
    rows = (
        Relation.objects.filter(period__upper_inf=True) if at is None else Relation.objects.filter(period__contains=at)
    )
    touching = rows.filter(source__in=wanted) | rows.filter(target__in=wanted)
    found: dict[int, list[Relation]] = {asset_id: [] for asset_id in wanted}
    for row in touching.select_related("source", "target").order_by("kind", "source__tag", "target__tag", "id"):
        for end in {row.source_id, row.target_id} & wanted:
            found[end].append(row)
    return found


def reach_sql(asset_ids: Collection[int], reach: Reach) -> tuple[str, list[Any]]:
    """`WITH RECURSIVE reach(start, id, steps)` and its parameters.

    UNION keeps one row for each start, asset and number of steps, so a cycle adds rows only up to the last step.
    """
    out, back = ("true" if reach.direction in (way, "both") else "kind = ANY(%s)" for way in ("out", "in"))
    holds, given = _holds(reach)
    both = [list(SYMMETRIC)]
    ways: list[Any] = [*(both if out != "true" else []), *given, *(both if back != "true" else []), *given]
    sql = f"""WITH RECURSIVE reach(start, id, steps) AS (
            SELECT id, id, 0 FROM unnest(%s::bigint[]) AS id
            UNION
            SELECT reach.start, edge.there, reach.steps + 1 FROM reach CROSS JOIN LATERAL (
                SELECT target_id AS there FROM twins_assets_relation WHERE source_id = reach.id AND {out} AND {holds}
                UNION ALL
                SELECT source_id FROM twins_assets_relation WHERE target_id = reach.id AND {back} AND {holds}
            ) edge WHERE reach.steps < %s
        )"""  # noqa: S608  (only conditions of this module are spliced)
    return sql, [list(asset_ids), *ways, reach.steps]


def _holds(reach: Reach) -> tuple[str, list[Any]]:
    """Condition on a relation and its parameters."""
    when = "upper_inf(period)" if reach.at is None else "period @> %s::timestamptz"
    given: list[Any] = [] if reach.at is None else [reach.at]
    if not reach.kinds:
        return when, given
    return f"{when} AND kind = ANY(%s)", [*given, sorted(reach.kinds)]
