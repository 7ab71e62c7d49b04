"""The hierarchy, downwards and upwards."""

from __future__ import annotations

from collections.abc import Iterable

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
