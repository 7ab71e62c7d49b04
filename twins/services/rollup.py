"""What has no item of its own takes its health from what it consists of, by the policy of its type; the worst decides
where nothing was decided, and the score says which child that is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from assets.models import Asset, Installation
from twins.ml.rollup import Child, Policy, roll
from twins.models import Assessment, AssessmentSource
from twins.selectors.policies import WORST, rollup_policies_of


def roll_up(assets: Sequence[int], *, now: datetime) -> list[Assessment]:
    """Unsaved assessments of everything above `assets` that has no item of its own, from the bottom to the top.

    Health and coverage by the policy, data time and worst asset from the child that decides.
    """
    paths = Asset.objects.filter(pk__in=assets).values_list("path", flat=True)
    above = {step for path in paths for step in path[:-1]}
    above -= set(Installation.objects.filter(asset__in=above, period__upper_inf=True).values_list("asset", flat=True))
    places = Asset.objects.filter(pk__in=above).values_list("pk", "parent_id", "path", "criticality")
    order = sorted(places, key=lambda row: (-len(row[2]), row[0]))
    policies = rollup_policies_of(above)
    criticality = {pk: each for pk, _, _, each in order}
    children: dict[int, dict[int, Assessment]] = defaultdict(dict)
    for row in Assessment.objects.filter(asset__parent__in=above).select_related("asset").defer("drivers"):
        children[row.asset.parent_id or 0][row.asset_id] = row
        criticality[row.asset_id] = row.asset.criticality
    made = []
    for pk, parent, _, _ in order:
        if children[pk]:
            made.append(_rolled(pk, children[pk], policies.get(pk, WORST), criticality, now))
            if parent is not None:
                children[parent][pk] = made[-1]
    return made


def _rolled(
    asset: int, children: dict[int, Assessment], policy: Policy, criticality: dict[int, int], now: datetime
) -> Assessment:
    below = [Child(row.asset_id, row.health, row.coverage, criticality[row.asset_id]) for row in children.values()]
    rolled = roll(policy, below)
    decisive = children[rolled.decisive]
    return Assessment(
        asset_id=asset,
        source=AssessmentSource.ROLLUP,
        health=rolled.health,
        coverage=rolled.coverage,
        failure_probabilities=[],
        rul_unit="",
        drivers=[],
        worst_asset_id=decisive.worst_asset_id or decisive.asset_id,
        data_time=decisive.data_time,
        data_batch=decisive.data_batch,
        assessed_at=now,
    )
