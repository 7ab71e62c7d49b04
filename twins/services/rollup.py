"""What has no item of its own takes its health from what it consists of, by the policy of its type; the worst decides
where nothing was decided, and the score says which child that is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from assets.models import Asset, Installation
from twins.ml.rollup import Child, Policy, roll
from twins.models import Assessment, AssessmentSource
from twins.selectors.policies import WORST, rollup_policies_of


class _Below(NamedTuple):
    """What a parent asks of the assessment of a child; a plant may have thousands."""

    asset: int
    parent: int
    criticality: int
    health: float
    coverage: float
    worst: int | None
    data_time: datetime | None
    data_batch: int | None


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
    children: dict[int, dict[int, _Below]] = defaultdict(dict)
    for row in Assessment.objects.filter(asset__parent__in=above).values_list(*_ASKED):
        below = _Below(*row)
        children[below.parent][below.asset] = below
    made = []
    for pk, parent, _, criticality in order:
        if children[pk]:
            whole = _rolled(pk, children[pk], policies.get(pk, WORST), now)
            made.append(whole)
            if parent is not None:
                children[parent][pk] = _Below(
                    pk,
                    parent,
                    criticality,
                    whole.health,
                    whole.coverage,
                    whole.worst_asset_id,
                    whole.data_time,
                    whole.data_batch,
                )
    return made


_ASKED = (
    "asset",
    "asset__parent",
    "asset__criticality",
    "health",
    "coverage",
    "worst_asset",
    "data_time",
    "data_batch",
)


def _rolled(asset: int, children: dict[int, _Below], policy: Policy, now: datetime) -> Assessment:
    below = [Child(child.asset, child.health, child.coverage, child.criticality) for child in children.values()]
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
        worst_asset_id=decisive.worst or decisive.asset,
        data_time=decisive.data_time,
        data_batch=decisive.data_batch,
        assessed_at=now,
    )
