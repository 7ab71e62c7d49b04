"""The tree: assets come into it and move within it, and root and path always follow the parent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, cast

from django.db import connection
from django.db.models import Q

from assets import signals
from assets.exceptions import AlreadyExists, InvalidHierarchy
from assets.models import Asset, AssetStatus, AssetType, Design, Installation, Level
from assets.permissions import Action, require, require_seen
from assets.querysets import AssetQuerySet
from assets.services._bulk import insert_rows, next_ids, update_rows
from assets.services._checks import check_fields
from assets.services._declared import check_attributes
from assets.services._locks import lock_trees
from assets.services._rules import all_or_nothing, tell


@dataclass(frozen=True, kw_only=True)
class NewAsset:
    """An asset to be; `parent` is the tag of a row before it, or of an asset in the tree it is created under."""

    tag: str
    name: str
    level: str
    parent: str | None = None
    type: AssetType | None = None
    design: Design | None = None
    criticality: int = 3
    status: str = AssetStatus.OPERATING
    attributes: Mapping[str, Any] = field(default_factory=dict)


def create_assets(*, rows: Sequence[NewAsset], under: Asset | None = None, actor: Any = None) -> dict[str, Asset]:
    """Create assets, parents before children, and return them by tag.

    Rows without a parent stand directly below `under`, or at the top of trees of their own when it is None.
    Raises AlreadyExists for a tag that is taken, InvalidHierarchy for a parent that is missing or of a lower level,
    InvalidValue for a value that a field does not take.
    """
    if not rows:
        return {}
    with all_or_nothing(actor):
        standing = _standing(rows, under)
        require_seen(actor, Design, (row.design.pk for row in rows if row.design))
        created = _built(rows, standing, standing[under.tag] if under else None)
        new = {asset.pk for asset in created.values()}
        require(actor, Action.CHANGE, {asset.parent_id for asset in created.values()} - new)
        check_fields(created.values())
        check_attributes(list(created.values()))
        insert_rows(list(created.values()))
        tell(signals.assets_created, Asset, (asset.pk for asset in created.values()))
    return created


def _standing(rows: Sequence[NewAsset], under: Asset | None) -> dict[str, Asset]:
    """Assets of the tree of `under` that the rows name, by tag, held still until the transaction ends."""
    if under is None:
        return {}
    lock_trees([under.pk], shared=True)
    tags = {row.tag for row in rows} | {row.parent for row in rows if row.parent is not None}
    tree = Asset.objects.filter(pk=under.pk).values("root_id")
    found = {asset.tag: asset for asset in Asset.objects.filter(Q(root__in=tree, tag__in=tags) | Q(pk=under.pk))}
    fresh = next((asset for asset in found.values() if asset.pk == under.pk), None)
    if fresh is None:
        raise InvalidHierarchy(f"Asset {under.tag!r} is no longer there: choose another place to create assets under.")
    return found | {under.tag: fresh}


def _built(rows: Sequence[NewAsset], standing: Mapping[str, Asset], top: Asset | None) -> dict[str, Asset]:
    created: dict[str, Asset] = {}
    for row, number in zip(rows, next_ids(Asset, len(rows)), strict=True):
        if row.tag in created or row.tag in standing:
            raise AlreadyExists(f"Tag {row.tag!r} is already used in this tree: choose another tag.")
        parent = top if row.parent is None else created.get(row.parent) or standing.get(row.parent)
        if row.parent is not None and parent is None:
            raise InvalidHierarchy(
                f"Asset {row.tag!r} names the parent {row.parent!r}, which is neither a row before it nor in the tree: "
                "put the parent first or correct its tag."
            )
        created[row.tag] = asset = _unsaved(row, number, parent)
        if parent is not None:
            _check_place(parent, asset)
    return created


def _unsaved(row: NewAsset, number: int, parent: Asset | None) -> Asset:
    return Asset(
        pk=number,
        tag=row.tag,
        name=row.name,
        level=row.level,
        type_id=row.type.pk if row.type else row.design.type_id if row.design else None,
        design=row.design,
        criticality=row.criticality,
        status=row.status,
        attributes=dict(row.attributes),
        parent=parent,
        root_id=number if parent is None else parent.root_id,
        path=[number] if parent is None else [*parent.path, number],
    )


@dataclass(frozen=True, kw_only=True)
class Move:
    """An asset that is to stand below `parent` (None: at the top of a tree of its own) with everything below it."""

    asset: Asset
    parent: Asset | None


def move_asset(*, asset: Asset, parent: Asset | None, actor: Any = None) -> Asset:
    """Move one asset, as `move_assets` does; returns it fresh."""
    return move_assets(moves=[Move(asset=asset, parent=parent)], actor=actor)[0]


def move_assets(*, moves: Sequence[Move], actor: Any = None) -> list[Asset]:
    """Move assets with everything below them, all at once; returns them fresh, in the order of the moves.

    Raises InvalidHierarchy for a cycle or a level that does not fit, AlreadyExists when the tree one would enter
    already uses one of its tags.
    """
    with all_or_nothing(actor):
        keys = [move.asset.pk for move in moves]
        parents = [move.parent.pk for move in moves if move.parent]
        lock_trees([*keys, *parents], shared=False)
        current = Asset.objects.in_bulk({*keys, *parents})
        wishes = {}
        for move in moves:
            wish = copy(_present(current, move.asset))
            wish.parent_id = _present(current, move.parent).pk if move.parent else None
            wishes[wish.pk] = wish
        _require_places(actor, wishes.values(), current)
        _place(list(wishes.values()), current)
    fresh = Asset.objects.in_bulk(keys)
    return [fresh[key] for key in keys]


def _require_places(actor: Any, wishes: Iterable[Asset], current: Mapping[int, Asset]) -> None:
    """Who moves an asset changes it, what it stood in and what it comes to stand in."""
    touched: set[int | None] = {wish.pk for wish in wishes}
    for wish in wishes:
        before = current[wish.pk].parent_id
        if before != wish.parent_id:
            touched |= {before, wish.parent_id}
    require(actor, Action.CHANGE, touched)


def change_asset(*, asset: Asset, actor: Any = None) -> Asset:
    """Write every edited field of one asset, as `change_assets` does; returns it with root and path as they now are."""
    return change_assets(assets=[asset], actor=actor)[0]


def change_assets(*, assets: Sequence[Asset], actor: Any = None) -> list[Asset]:
    """Write every edited field of saved assets, their parents included; returns them with root and path as they are.

    Raises InvalidHierarchy when level or parent no longer fit, AlreadyExists for a tag that is taken where it stands,
    InvalidValue for a value that a field or the design does not take.
    """
    if not assets:
        return []
    with all_or_nothing(actor):
        check_fields(assets)
        check_attributes(assets)
        keys = [asset.pk for asset in assets]
        parents = [asset.parent_id for asset in assets if asset.parent_id]
        lock_trees([*keys, *parents], shared=False)
        current = Asset.objects.in_bulk({*keys, *parents})
        _check_retiring([asset for asset in assets if _present(current, asset).status != asset.status])
        _require_places(actor, assets, current)
        require_seen(actor, Design, (asset.design_id for asset in assets))
        _place(assets, current)
        update_rows(assets, _EDITABLE)
        tell(signals.asset_changed, Asset, keys)
        places = {pk: (root, path) for pk, root, path in _rows(keys).values_list("pk", "root_id", "path")}
        for asset in assets:
            asset.root_id, asset.path = places[asset.pk]
    return list(assets)


def edit_assets(*, edits: Mapping[int, Mapping[str, Any]], actor: Any = None) -> list[Asset]:
    """Write only the fields that are named, of assets by id, and leave the others as they are by then; returns them.

    Raises what `change_assets` raises, and InvalidHierarchy for an asset that is not there.
    """
    with all_or_nothing(actor):
        lock_trees(edits, shared=False)
        current = Asset.objects.in_bulk(edits)
        for key, changes in edits.items():
            if key not in current:
                raise InvalidHierarchy(f"There is no asset of id {key}: choose another one.")
            for name, value in changes.items():
                setattr(current[key], name, value)
        return change_assets(assets=[current[key] for key in edits], actor=actor)


_EDITABLE = ["name", "type", "design", "criticality", "status", "retired_at", "attributes"]


def _rows(keys: Iterable[int]) -> AssetQuerySet:
    return Asset.objects.filter(pk__in=list(keys))


def _present(current: Mapping[int, Asset], asset: Asset) -> Asset:
    if asset.pk not in current:
        raise InvalidHierarchy(f"Asset {asset.tag!r} is no longer there: choose another one.")
    return current[asset.pk]


def _place(wishes: Sequence[Asset], current: Mapping[int, Asset]) -> None:
    """Give assets the parent, tag and level they now say; `current` has them and their parents as they stood."""
    wished = {wish.pk: wish for wish in wishes}
    standing = {**current, **wished}
    parents = {pk: asset.parent_id for pk, asset in _above(current.values()).items()}
    parents |= {pk: wish.parent_id for pk, wish in wished.items()}
    for wish in wishes:
        if wish.parent_id is not None and wish.parent_id not in standing:
            raise InvalidHierarchy(f"Asset {wish.tag!r} would stand below an asset that is not there: choose another.")
        if wish.parent_id is not None:
            _check_cycle(wish, standing[wish.parent_id], parents)
            _check_place(standing[wish.parent_id], wish)
    _check_children(wished)
    changed = [wish for wish in wishes if _key(wish) != _key(current[wish.pk])]
    if not changed:
        return
    _rebuild_paths(changed, current, parents)
    if moved := [wish.pk for wish in changed if wish.parent_id != current[wish.pk].parent_id]:
        tell(signals.asset_moved, Asset, moved)


def _key(asset: Asset) -> tuple[Any, ...]:
    return asset.parent_id, asset.tag, asset.level


def _above(assets: Iterable[Asset]) -> dict[int, Asset]:
    """The assets and all that they stand in, by id."""
    return {asset.pk: asset for asset in _rows({key for asset in assets for key in asset.path}).only("parent")}


def _check_cycle(wish: Asset, place: Asset, parents: Mapping[int, int | None]) -> None:
    step: int | None = place.pk
    while step is not None:
        if step == wish.pk:
            raise InvalidHierarchy(
                f"Asset {wish.tag!r} cannot move below {place.tag!r}, which is itself or stands below it: "
                "choose a parent outside of its own subtree."
            )
        step = parents.get(step)


def _check_place(parent: Asset, child: Asset) -> None:
    if child.level in Level.values and Level(child.level).rank < Level(parent.level).rank:
        raise InvalidHierarchy(
            f"Asset {child.tag!r} is a {child.level} and cannot stand below {parent.tag!r}, which is a {parent.level}: "
            "a system holds products, a product holds parts."
        )
    if parent.status == AssetStatus.RETIRED and child.status != AssetStatus.RETIRED:
        raise InvalidHierarchy(
            f"Asset {child.tag!r} cannot stand in use below {parent.tag!r}, which is retired: choose another parent."
        )


def _check_children(wished: Mapping[int, Asset]) -> None:
    """No child that stays as it is comes to stand below a lower level."""
    higher = Q(level__in=[Level.SYSTEM, Level.PRODUCT])
    for child in Asset.objects.filter(higher, parent__in=list(wished)).exclude(pk__in=list(wished)).order_by("pk"):
        parent = wished[child.parent_id or 0]
        if Level(child.level).rank < Level(parent.level).rank:
            _check_place(parent, child)


def _check_retiring(changed: Sequence[Asset]) -> None:
    """What is retired by an edit has nothing in use below it or in it: `retire_assets` takes that along."""
    retired = [asset.pk for asset in changed if asset.status == AssetStatus.RETIRED]
    for asset in changed:
        if asset.status != AssetStatus.RETIRED:
            asset.retired_at = None
    if not retired:
        return
    used = Q(parent__in=retired) & ~Q(status=AssetStatus.RETIRED) & ~Q(pk__in=retired)
    if below := Asset.objects.filter(used).select_related("parent").order_by("pk").first():
        raise InvalidHierarchy(
            f"Asset {below.parent} cannot be retired while {below.tag!r} below it is in use: retire the whole subtree."
        )
    if held := Installation.objects.filter(asset__in=retired, period__upper_inf=True).select_related("asset").first():
        raise InvalidHierarchy(f"Asset {held.asset} cannot be retired while an item is installed: remove it first.")


def _rebuild_paths(changed: Sequence[Asset], current: Mapping[int, Asset], parents: Mapping[int, int | None]) -> None:
    """One statement sets parent, tag and level of the changed and root and path of all that stands below them.

    All in one, because the database checks the tree after every statement.
    """
    keys = [wish.pk for wish in changed]
    # UPDATE locks rows in no order, and who installs items holds assets in the order of their ids.
    list(Asset.objects.subtree_of(keys).order_by("pk").select_for_update(no_key=True).values_list("pk"))
    paths = ["{" + ",".join(map(str, _path(wish.pk, parents))) + "}" for wish in changed]
    columns: list[list[Any]] = [
        [wish.parent_id for wish in changed],
        [wish.tag for wish in changed],
        [wish.level for wish in changed],
    ]
    with connection.cursor() as cursor:
        # An asset follows the nearest of the changed above it, which is the last of them in its path.
        cursor.execute(
            """WITH wish AS MATERIALIZED (
                   SELECT said.id, said.parent_id, said.tag, said.level, said.path::bigint[] AS path,
                          cardinality(place.path) AS depth
                   FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[])
                        said(id, parent_id, tag, level, path)
                   JOIN twins_assets_asset place ON place.id = said.id
               ), follows AS MATERIALIZED (
                   SELECT DISTINCT ON (below.id) below.id, wish.id AS wish, wish.depth, wish.path
                   FROM wish JOIN twins_assets_asset below ON below.path @> ARRAY[wish.id]
                   ORDER BY below.id, wish.depth DESC
               )
               UPDATE twins_assets_asset asset
               SET path = follows.path || asset.path[follows.depth + 1:], root_id = follows.path[1],
                   parent_id = CASE WHEN wish.id IS NULL THEN asset.parent_id ELSE wish.parent_id END,
                   tag = coalesce(wish.tag, asset.tag), level = coalesce(wish.level, asset.level)
               FROM follows LEFT JOIN wish ON wish.id = follows.id
               WHERE asset.id = follows.id""",
            cast(Any, [keys, *columns, paths]),
        )


def _path(key: int, parents: Mapping[int, int | None]) -> list[int]:
    path, step = [], cast("int | None", key)
    while step is not None:
        path.append(step)
        step = parents.get(step)
    return path[::-1]
