"""What planners have decided about health, of many designs or types at once."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from twins.ml.rollup import Policy
from twins.models import HealthPolicy

WORST = Policy()


def policies_of(designs: Iterable[int]) -> dict[int, HealthPolicy]:
    """The health policy of each design; none where nothing was decided."""
    rows = HealthPolicy.objects.filter(design__in=set(designs))
    return {row.design_id: row for row in rows}


def rollup_policies_of(assets: Iterable[int]) -> dict[int, Policy]:
    """How each asset takes its health from what is below: by the nearest type above its own that decides; one query.

    Assets without a type, or of types of which nothing was decided, are absent: the worst below decides.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ROLL_UPS, [list(assets)])
        return {asset: Policy(rule, needed) for asset, rule, needed in cursor.fetchall()}


_ROLL_UPS = """
SELECT DISTINCT ON (asset.id) asset.id, policy.rule, policy.needed
FROM twins_assets_asset asset JOIN twins_assets_assettype kind ON kind.id = asset.type_id
JOIN twins_rolluppolicy policy ON policy.type_id = ANY(kind.path)
WHERE asset.id = ANY(%s) ORDER BY asset.id, array_position(kind.path, policy.type_id) DESC
"""
