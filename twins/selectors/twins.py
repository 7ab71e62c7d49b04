"""What a nested query reads: for many owners at once, a bounded page of what belongs to each, in one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import BigIntegerField, Case, F, Q, QuerySet, Value, When, prefetch_related_objects
from django.db.models.expressions import RawSQL

from assets.models import (
    SYMMETRIC,
    Asset,
    AssetType,
    Design,
    ExternalReference,
    Installation,
    Item,
    Level,
    MaintenanceEvent,
    ParameterDefinition,
    ParameterSubject,
    Relation,
    Sensor,
)
from assets.selectors import declared_by_designs, declared_by_types
from twins.models import Assessment
from twins.selectors.choices import Choice, Direction, EventChoice, RelationChoice, SensorChoice, TwinChoice
from twins.selectors.pages import OWNER, Page, Sort, counts_of, page_of, pages_of

BY_TAG, BY_NAME, BY_HEALTH, BY_ID = Sort("tag"), Sort("name"), Sort("assessment__health"), Sort("id")
NEWEST_EVENT, NEWEST_INSTALLATION = Sort("started_at", descending=True), Sort("period__startswith", descending=True)


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


def children_of(
    parents: Sequence[int], *, level: Level | None, choice: TwinChoice, page: Page, visible: Q
) -> dict[int, list[Asset]]:
    """The assets directly below each parent, by tag unless another order is asked for."""
    return pages_of(parents, _children(level, choice, visible), choice.sort() or BY_TAG, page)


def child_counts(parents: Sequence[int], *, level: Level | None, choice: TwinChoice, visible: Q) -> dict[int, int]:
    """How many assets stand directly below each parent."""
    return counts_of(parents, _children(level, choice, visible))


def descendants_of(tops: Sequence[int], *, choice: TwinChoice, page: Page, visible: Q) -> dict[int, list[Asset]]:
    """The assets anywhere below each top, by tag unless another order is asked for."""
    return pages_of(tops, _descendants(choice, visible), choice.sort() or BY_TAG, page)


def descendant_counts(tops: Sequence[int], *, choice: TwinChoice, visible: Q) -> dict[int, int]:
    """How many assets stand anywhere below each top."""
    return counts_of(tops, _descendants(choice, visible))


def relations_of(assets: Sequence[int], *, choice: RelationChoice, page: Page, visible: Q) -> dict[int, list[Relation]]:
    """The relations of each asset to visible ones; each row says its `way` and the `other_id`."""
    return pages_of(assets, _relations(choice, visible), BY_ID, page)


def relation_counts(assets: Sequence[int], *, choice: RelationChoice, visible: Q) -> dict[int, int]:
    """How many relations to visible assets each asset has."""
    return counts_of(assets, _relations(choice, visible))


def sensors_of(assets: Sequence[int], *, choice: SensorChoice, page: Page) -> dict[int, list[Sensor]]:
    """The sensors of each asset, by name."""
    return pages_of(assets, _at_asset(Sensor.objects.all(), choice), BY_NAME, page)


def sensor_counts(assets: Sequence[int], *, choice: SensorChoice) -> dict[int, int]:
    """How many sensors each asset has."""
    return counts_of(assets, _at_asset(Sensor.objects.all(), choice))


def events_of(assets: Sequence[int], *, choice: EventChoice, page: Page) -> dict[int, list[MaintenanceEvent]]:
    """What happened at each asset, the newest first."""
    return pages_of(assets, _at_asset(MaintenanceEvent.objects.all(), choice), NEWEST_EVENT, page)


def event_counts(assets: Sequence[int], *, choice: EventChoice) -> dict[int, int]:
    """How many events each asset has."""
    return counts_of(assets, _at_asset(MaintenanceEvent.objects.all(), choice))


def current_installations(assets: Sequence[int]) -> dict[int, Installation]:
    """What is installed at each asset, with item, design and type; none where nothing is."""
    rows = Installation.objects.filter(asset__in=assets, period__upper_inf=True)
    return {row.asset_id: row for row in rows.select_related("item__design__type")}


def installations_of(assets: Sequence[int], *, page: Page) -> dict[int, list[Installation]]:
    """What is and was installed at each asset, the newest first, with item, design and type."""
    found = pages_of(assets, Installation.objects.filter(asset=OWNER), NEWEST_INSTALLATION, page)
    prefetch_related_objects([row for rows in found.values() for row in rows], "item__design__type")
    return found


def installation_counts(assets: Sequence[int]) -> dict[int, int]:
    """How many installations each asset has and had."""
    return counts_of(assets, Installation.objects.filter(asset=OWNER))


def assessments_of(assets: Sequence[int]) -> dict[int, Assessment]:
    """What is believed of each asset now; none where nothing has been assessed."""
    return {row.asset_id: row for row in Assessment.objects.filter(asset__in=assets)}


def types_by_id(ids: Iterable[int]) -> dict[int, AssetType]:
    """The types of these ids."""
    return AssetType.objects.in_bulk(list(ids))


def designs_by_id(ids: Iterable[int]) -> dict[int, Design]:
    """The designs of these ids, with their types."""
    return Design.objects.select_related("type").in_bulk(list(ids))


def references_of(target: str, ids: Sequence[int]) -> dict[int, list[ExternalReference]]:
    """The keys by which other systems know these rows; `target` is the column of their table."""
    found: dict[int, list[ExternalReference]] = {}
    for row in ExternalReference.objects.filter(**{f"{target}__in": ids}).order_by("system", "kind", "id"):
        found.setdefault(getattr(row, f"{target}_id"), []).append(row)
    return found


def attribute_units(owners: Sequence[tuple[int | None, int | None]]) -> dict[tuple[int | None, int | None], Any]:
    """The UCUM code of each attribute that the type or the design of an asset declares, by (type id, design id)."""
    types = declared_by_types(ParameterDefinition, {kind for kind, _ in owners if kind is not None})
    designs = declared_by_designs(ParameterDefinition, {design for _, design in owners if design is not None})
    return {
        (kind, design): {
            row.name: row.unit
            for row in (*types.get(kind or 0, ()), *designs.get(design or 0, ()))
            if row.subject == ParameterSubject.ASSET
        }
        for kind, design in owners
    }


def systems(*, choice: TwinChoice, page: Page, visible: Q) -> list[Asset]:
    """The systems at the top of their trees, by tag: one row more than the page holds."""
    return page_of(_systems(choice, visible), choice.sort() or BY_TAG, page)


def count_systems(*, choice: TwinChoice, visible: Q) -> int:
    """How many systems stand at the top of a tree."""
    return _systems(choice, visible).count()


def found_assets(*, choice: TwinChoice, page: Page, visible: Q) -> list[Asset]:
    """The assets of a choice, by tag unless another order is asked for: one row more than the page holds."""
    return page_of(Asset.objects.filter(visible, choice.condition(visible)), choice.sort() or BY_TAG, page)


def count_found(*, choice: TwinChoice, visible: Q) -> int:
    """How many assets a choice has."""
    return Asset.objects.filter(visible, choice.condition(visible)).count()


def worst_assets(*, level: Level | None, choice: TwinChoice, page: Page, visible: Q) -> list[Asset]:
    """Assessed assets, lowest health first: one row more than the page holds."""
    return page_of(_assessed(level, choice, visible), BY_HEALTH, page)


def count_assessed(*, level: Level | None, choice: TwinChoice, visible: Q) -> int:
    """How many assets have been assessed."""
    return _assessed(level, choice, visible).count()


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


def relations_by_id(ids: Iterable[int], *, visible: Q) -> dict[int, Relation]:
    """The relations of these ids between visible assets, as their sources see them."""
    rows = Relation.objects.filter(pk__in=list(ids))
    if visible:
        seen = Asset.objects.filter(visible).order_by()
        rows = rows.filter(source__in=seen, target__in=seen)
    both = When(kind__in=SYMMETRIC, then=Value("both"))
    rows = rows.annotate(other_id=F("target_id"), way=Case(both, default=Value("out")))
    return {row.pk: row for row in rows}


def _children(level: Level | None, choice: TwinChoice, visible: Q) -> QuerySet[Asset]:
    rows = Asset.objects.filter(visible, choice.condition(visible), parent=OWNER)
    return rows if level is None else rows.filter(level=level)


def _descendants(choice: TwinChoice, visible: Q) -> QuerySet[Asset]:
    below = RawSQL("ARRAY[owner.id]", (), output_field=ArrayField(BigIntegerField()))
    return Asset.objects.filter(visible, choice.condition(visible), path__contains=below).exclude(pk=OWNER)


def _at_asset(rows: QuerySet[Any], choice: Choice) -> QuerySet[Any]:
    return rows.filter(choice.condition(Q()), asset=OWNER)


def _relations(choice: RelationChoice, visible: Q) -> QuerySet[Relation]:
    out, back = Q(source=OWNER), Q(target=OWNER)
    rows = Relation.objects.filter({None: out | back, Direction.OUT: out, Direction.IN: back}[choice.direction])
    if choice.direction is not None:
        rows = rows.exclude(kind__in=SYMMETRIC)
    rows = rows.filter(period__upper_inf=True) if choice.at is None else rows.filter(period__contains=choice.at)
    if choice.kinds is not None:
        rows = rows.filter(kind__in=choice.kinds)
    rows = rows.annotate(
        other_id=Case(When(source=OWNER, then=F("target_id")), default=F("source_id")),
        way=Case(
            When(kind__in=SYMMETRIC, then=Value("both")), When(source=OWNER, then=Value("out")), default=Value("in")
        ),
    )
    return rows.filter(other_id__in=Asset.objects.filter(visible).order_by().values("pk")) if visible else rows


def _systems(choice: TwinChoice, visible: Q) -> QuerySet[Asset]:
    return Asset.objects.roots().filter(visible, choice.condition(visible), level=Level.SYSTEM)


def _assessed(level: Level | None, choice: TwinChoice, visible: Q) -> QuerySet[Asset]:
    rows = Asset.objects.filter(visible, choice.condition(visible), assessment__isnull=False)
    rows = rows.select_related("assessment")
    return rows if level is None else rows.filter(level=level)
