"""What has no item of its own is as healthy as the worst of what it consists of, and the score says which that is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from assets.models import Asset, Installation
from twins.models import Assessment, AssessmentSource


def roll_up(assets: Sequence[int], *, now: datetime) -> list[Assessment]:
    """Unsaved assessments of everything above `assets` that has no item of its own, from the bottom to the top.

    Health, data time and worst asset come from the worst child; coverage is the mean of the children's.
    """
    paths = Asset.objects.filter(pk__in=assets).values_list("path", flat=True)
    above = {step for path in paths for step in path[:-1]}
    above -= set(Installation.objects.filter(asset__in=above, period__upper_inf=True).values_list("asset", flat=True))
    places = Asset.objects.filter(pk__in=above).values_list("pk", "parent_id", "path")
    order = sorted(places, key=lambda row: (-len(row[2]), row[0]))
    children: dict[int, dict[int, Assessment]] = defaultdict(dict)
    for row in Assessment.objects.filter(asset__parent__in=above).select_related("asset").defer("drivers"):
        children[row.asset.parent_id or 0][row.asset_id] = row
    made = []
    for pk, parent, _ in order:
        if children[pk]:
            made.append(_worst(pk, list(children[pk].values()), now))
            if parent is not None:
                children[parent][pk] = made[-1]
    return made


def _worst(asset: int, children: list[Assessment], now: datetime) -> Assessment:
    worst = min(children, key=lambda row: (row.health, row.asset_id))
    return Assessment(
        asset_id=asset,
        source=AssessmentSource.ROLLUP,
        health=worst.health,
        coverage=sum(row.coverage for row in children) / len(children),
        failure_probabilities=[],
        rul_unit="",
        drivers=[],
        worst_asset_id=worst.worst_asset_id or worst.asset_id,
        data_time=worst.data_time,
        data_batch=worst.data_batch,
        assessed_at=now,
    )
