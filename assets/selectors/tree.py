"""The hierarchy, downwards and upwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q, QuerySet

from assets.models import Asset


def subtree(asset_ids: Iterable[int]) -> dict[int, list[Asset]]:
    """Each asset with everything below it, parents before children, then by tag."""
    wanted = set(asset_ids)
    found: dict[int, list[Asset]] = {asset_id: [] for asset_id in wanted}
    for asset in Asset.objects.subtree_of(wanted).order_by("path__len", "tag", "id"):
        for top in wanted.intersection(asset.path):
            found[top].append(asset)
    return found


def ancestors(asset_ids: Iterable[int]) -> dict[int, list[Asset]]:
    """What each asset stands in, from the top of its tree down to its parent."""
    # One statement: the ids above are unnested from the paths inside of it.
    wanted = set(asset_ids)
    rows = Asset.objects.raw(
        """SELECT above.*, below.id AS asked FROM twins_assets_asset AS below
           JOIN twins_assets_asset AS above ON above.id = ANY(below.path) AND above.id <> below.id
           WHERE below.id = ANY(%s) ORDER BY below.id, cardinality(above.path)""",
        [list(wanted)],
    )
    found: dict[int, list[Asset]] = {asset_id: [] for asset_id in wanted}
    for row in rows:
        found[row.asked].append(row)  # type: ignore[attr-defined]
    return found


@dataclass(frozen=True)
class Node:
    """An asset as a tree shows it before it is opened."""

    asset: Asset
    children: int
    below: int
    """All that stands below it, at any depth."""


def tree_page(
    rows: QuerySet[Asset], *, after: tuple[str, int] | None = None, limit: int = 100
) -> tuple[list[Asset], bool]:
    """The first `limit` of the rows by tag, those after a tag and id, and whether there are more."""
    if after is not None:
        tag, key = after
        # The first condition alone tells the index where to begin.
        rows = rows.filter(Q(tag__gte=tag) & (Q(tag__gt=tag) | Q(pk__gt=key)))
    found = list(rows.order_by("tag", "id")[: limit + 1])
    return found[:limit], len(found) > limit


def counted(assets: Sequence[Asset]) -> list[Node]:
    """The assets with how many stand directly below each and how many at all, in one statement."""
    counts = _counts([asset.pk for asset in assets])
    return [Node(asset, *counts[asset.pk]) for asset in assets]


def _counts(asset_ids: list[int]) -> dict[int, tuple[int, int]]:
    """Per asset how many stand directly below it, and how many at all."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT top.id, (SELECT count(*) FROM twins_assets_asset child WHERE child.parent_id = top.id),
                      (SELECT count(*) - 1 FROM twins_assets_asset below WHERE below.path @> ARRAY[top.id])
               FROM unnest(%s::bigint[]) AS top(id)""",
            [asset_ids],
        )
        return {key: (children, below) for key, children, below in cursor.fetchall()}
