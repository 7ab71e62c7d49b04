"""What a nested query reads: for many owners at once, a bounded page of what belongs to each, in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Count, F, Model, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from assets.models import Asset, Installation, Item, Level, MaintenanceEvent, Sensor
from twins.models import Assessment

Row = TypeVar("Row", bound=Model)

Key = tuple[Any, int]
"""Where a row stands in an order: the ordering value and the id that makes the order total."""


@dataclass(frozen=True)
class Page:
    """The first `first` rows after `after`; selectors fetch one row more, which says whether there is a next page."""

    first: int
    after: Key | None = None


def assets_by_id(ids: Iterable[int], *, visible: Q) -> dict[int, Asset]:
    """The visible assets of these ids."""
    return {asset.pk: asset for asset in Asset.objects.filter(visible, pk__in=list(ids))}


def assets_by_tag(*, tag: str, site: str | None, level: Level | None, visible: Q, limit: int = 2) -> list[Asset]:
    """At most `limit` visible assets of this tag; `site` is the tag of the top of their tree."""
    rows = Asset.objects.filter(visible, tag=tag)
    if site is not None:
        rows = rows.filter(root__tag=site, root__parent__isnull=True)
    if level is not None:
        rows = rows.filter(level=level)
    return list(rows.order_by("id")[:limit])


def children_of(parents: Sequence[int], *, level: Level | None, page: Page, visible: Q) -> dict[int, list[Asset]]:
    """The assets directly below each parent, by tag."""
    return _pages(_children(parents, level, visible), owner="parent_id", order="tag", page=page)


def child_counts(parents: Sequence[int], *, level: Level | None, visible: Q) -> dict[int, int]:
    """How many assets stand directly below each parent."""
    return _counts(_children(parents, level, visible), owner="parent_id")


def sensors_of(assets: Sequence[int], *, page: Page) -> dict[int, list[Sensor]]:
    """The sensors of each asset, by name."""
    return _pages(Sensor.objects.filter(asset__in=assets), owner="asset_id", order="name", page=page)


def sensor_counts(assets: Sequence[int]) -> dict[int, int]:
    """How many sensors each asset has."""
    return _counts(Sensor.objects.filter(asset__in=assets), owner="asset_id")


def events_of(assets: Sequence[int], *, page: Page) -> dict[int, list[MaintenanceEvent]]:
    """What happened at each asset, the newest first."""
    return _pages(MaintenanceEvent.objects.filter(asset__in=assets), owner="asset_id", order="-started_at", page=page)


def event_counts(assets: Sequence[int]) -> dict[int, int]:
    """How many events each asset has."""
    return _counts(MaintenanceEvent.objects.filter(asset__in=assets), owner="asset_id")


def current_installations(assets: Sequence[int]) -> dict[int, Installation]:
    """What is installed at each asset, with item, design and type; none where nothing is."""
    rows = Installation.objects.filter(asset__in=assets, period__upper_inf=True)
    return {row.asset_id: row for row in rows.select_related("item__design__type")}


def assessments_of(assets: Sequence[int]) -> dict[int, Assessment]:
    """What is believed of each asset now; none where nothing has been assessed."""
    return {row.asset_id: row for row in Assessment.objects.filter(asset__in=assets)}


def systems(*, page: Page, visible: Q) -> list[Asset]:
    """The systems at the top of their trees, by tag: one row more than the page holds."""
    return _page(_systems(visible), order="tag", page=page)


def count_systems(*, visible: Q) -> int:
    """How many systems stand at the top of a tree."""
    return _systems(visible).count()


def worst_assets(*, level: Level | None, page: Page, visible: Q) -> list[Asset]:
    """Assessed assets, lowest health first: one row more than the page holds."""
    return _page(_assessed(level, visible), order="assessment__health", page=page)


def count_assessed(*, level: Level | None, visible: Q) -> int:
    """How many assets have been assessed."""
    return _assessed(level, visible).count()


def sensors_by_uuid(uuids: Iterable[UUID], *, visible: Q) -> dict[UUID, Sensor]:
    """The sensors of visible assets with these UUIDs."""
    rows = Sensor.objects.filter(uuid__in=list(uuids), asset__in=Asset.objects.filter(visible))
    return {row.uuid: row for row in rows}


def events_by_id(ids: Iterable[int], *, visible: Q) -> dict[int, MaintenanceEvent]:
    """The events of visible assets with these ids."""
    rows = MaintenanceEvent.objects.filter(pk__in=list(ids), asset__in=Asset.objects.filter(visible))
    return {row.pk: row for row in rows}


def items_by_id(ids: Iterable[int], *, visible: Q) -> dict[int, Item]:
    """The items of these ids that are or were installed at a visible asset."""
    seen = Installation.objects.filter(asset__in=Asset.objects.filter(visible)).values("item")
    rows = Item.objects.filter(pk__in=list(ids)).filter(pk__in=seen).select_related("design__type")
    return {row.pk: row for row in rows}


def _children(parents: Sequence[int], level: Level | None, visible: Q) -> QuerySet[Asset]:
    rows = Asset.objects.filter(visible, parent__in=parents)
    return rows if level is None else rows.filter(level=level)


def _systems(visible: Q) -> QuerySet[Asset]:
    return Asset.objects.roots().filter(visible, level=Level.SYSTEM)


def _assessed(level: Level | None, visible: Q) -> QuerySet[Asset]:
    rows = Asset.objects.filter(visible, assessment__isnull=False).select_related("assessment")
    return rows if level is None else rows.filter(level=level)


def _after(order: str, key: Key) -> Q:
    """Keyset condition: strictly behind the key. Ties are broken by id, in the direction of the order."""
    name, step = order.lstrip("-"), "lt" if order.startswith("-") else "gt"
    value, pk = key
    return Q(**{f"{name}__{step}": value}) | Q(**{name: value, f"id__{step}": pk})


def _directions(order: str) -> list[str]:
    return [order, "-id" if order.startswith("-") else "id"]


def _page(rows: QuerySet[Row], *, order: str, page: Page) -> list[Row]:
    if page.after is not None:
        rows = rows.filter(_after(order, page.after))
    return list(rows.order_by(*_directions(order))[: page.first + 1])


def _pages(rows: QuerySet[Row], *, owner: str, order: str, page: Page) -> dict[int, list[Row]]:
    if page.after is not None:
        rows = rows.filter(_after(order, page.after))
    rank = Window(RowNumber(), partition_by=F(owner), order_by=_directions(order))
    pages: dict[int, list[Row]] = {}
    for row in rows.annotate(page_rank=rank).filter(page_rank__lte=page.first + 1).order_by(owner, "page_rank"):
        pages.setdefault(getattr(row, owner), []).append(row)
    return pages


def _counts(rows: QuerySet[Any], *, owner: str) -> dict[int, int]:
    return dict(rows.order_by().values_list(owner).annotate(Count("pk")))
