"""The tree: assets come into it and move within it, and root and path always follow the parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Q

from assets import signals
from assets.exceptions import AlreadyExists, InvalidHierarchy
from assets.models import Asset, AssetStatus, AssetType, Design, Level
from assets.services._locks import lock_trees
from assets.services._rules import all_or_nothing, check_fields, tell


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


def create_assets(*, rows: Sequence[NewAsset], under: Asset | None = None) -> dict[str, Asset]:
    """Create assets, parents before children, and return them by tag.

    Rows without a parent stand directly below `under`, or at the top of trees of their own when it is None.
    Raises AlreadyExists for a tag that is taken, InvalidHierarchy for a parent that is missing or of a lower level,
    InvalidValue for a value that a field does not take.
    """
    if not rows:
        return {}
    with all_or_nothing():
        standing = _standing(rows, under)
        created = _built(rows, standing, standing[under.tag] if under else None)
        check_fields(created.values())
        Asset.objects.bulk_create(created.values())
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
    for row, number in zip(rows, _next_ids(len(rows)), strict=True):
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
            _check_levels(parent, asset)
    return created


def _unsaved(row: NewAsset, number: int, parent: Asset | None) -> Asset:
    return Asset(
        pk=number,
        tag=row.tag,
        name=row.name,
        level=row.level,
        type=row.type,
        design=row.design,
        criticality=row.criticality,
        status=row.status,
        attributes=dict(row.attributes),
        parent=parent,
        root_id=number if parent is None else parent.root_id,
        path=[number] if parent is None else [*parent.path, number],
    )


def _next_ids(count: int) -> list[int]:
    # Ids are taken before the rows are written, so that root and path are known and one INSERT is enough.
    table = connection.ops.quote_name(Asset._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [table, count])
        return [number for (number,) in cursor.fetchall()]


def _check_levels(parent: Asset, child: Asset) -> None:
    if child.level not in Level.values or parent.level not in Level.values:
        return  # the field's own check says which levels there are
    if Level(child.level).rank < Level(parent.level).rank:
        raise InvalidHierarchy(
            f"Asset {child.tag!r} is a {child.level} and cannot stand below {parent.tag!r}, which is a {parent.level}: "
            "a system holds products, a product holds parts."
        )


def move_asset(*, asset: Asset, parent: Asset | None) -> Asset:
    """Move `asset` with everything below it under `parent` (None: to the top of a tree of its own); returns it fresh.

    Raises InvalidHierarchy for a cycle or a level that does not fit, AlreadyExists when the tree it would enter
    already uses one of its tags.
    """
    with all_or_nothing():
        lock_trees([asset.pk] + ([parent.pk] if parent else []), shared=False)
        current = {row.pk: row for row in Asset.objects.filter(pk__in=[asset.pk, parent.pk if parent else None])}
        moved, place = _present(current, asset), _present(current, parent) if parent else None
        if place is not None:
            _check_place(moved, place)
        if moved.parent_id != (place.pk if place else None):
            _rebuild_paths(moved, place)
            tell(signals.asset_moved, Asset, [moved.pk])
    return Asset.objects.get(pk=asset.pk)


def _present(current: Mapping[int, Asset], asset: Asset) -> Asset:
    if asset.pk not in current:
        raise InvalidHierarchy(f"Asset {asset.tag!r} is no longer there: choose another one.")
    return current[asset.pk]


def _check_place(moved: Asset, place: Asset) -> None:
    if moved.pk in place.path:
        raise InvalidHierarchy(
            f"Asset {moved.tag!r} cannot move below {place.tag!r}, which is itself or stands below it: "
            "choose a parent outside of its own subtree."
        )
    _check_levels(place, moved)


def _rebuild_paths(moved: Asset, place: Asset | None) -> None:
    """Hang the subtree of `moved` below `place`: one statement sets parent, root and path of all of it.

    Tag and level of `moved` are written with them, because the database checks the tree after every statement.
    """
    above, root = (place.path, place.root_id) if place else ([], moved.pk)
    # UPDATE locks rows in no order, and who installs items holds assets in the order of their ids.
    subtree = Asset.objects.subtree_of([moved.pk]).order_by("pk")
    list(subtree.select_for_update(no_key=True).values_list("pk"))
    table = connection.ops.quote_name(Asset._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""UPDATE {table} SET root_id = %(root)s,
                    path = %(above)s::bigint[] || path[%(kept)s:],
                    parent_id = CASE WHEN id = %(moved)s THEN %(parent)s ELSE parent_id END,
                    tag = CASE WHEN id = %(moved)s THEN %(tag)s ELSE tag END,
                    level = CASE WHEN id = %(moved)s THEN %(level)s ELSE level END
                WHERE path @> ARRAY[%(moved)s]::bigint[]""",  # noqa: S608  (only the quoted table name is spliced)
            {
                "root": root,
                "above": above,
                "kept": len(moved.path),
                "moved": moved.pk,
                "tag": moved.tag,
                "level": moved.level,
                "parent": place.pk if place else None,
            },
        )


def change_asset(*, asset: Asset) -> Asset:
    """Write every edited field of a saved asset, its parent included; returns it with root and path as they now are.

    Raises InvalidHierarchy when level or parent no longer fit, AlreadyExists for a tag that is taken where it stands.
    """
    with all_or_nothing():
        check_fields([asset])
        lock_trees([asset.pk] + ([asset.parent_id] if asset.parent_id else []), shared=False)
        current = Asset.objects.in_bulk([asset.pk, asset.parent_id])
        before, place = _present(current, asset), current.get(asset.parent_id) if asset.parent_id else None
        if place is not None:
            _check_place(asset, place)
        _check_children(asset)
        if before.parent_id != asset.parent_id:
            # Tag and level go along: with the old ones it might fit neither where it was nor where it comes.
            before.tag, before.level = asset.tag, asset.level
            _rebuild_paths(before, place)
            tell(signals.asset_moved, Asset, [asset.pk])
        asset.save(update_fields=_EDITABLE)
        tell(signals.asset_changed, Asset, [asset.pk])
        asset.refresh_from_db(fields=["root", "path"])
    return asset


def _check_children(asset: Asset) -> None:
    if asset.level not in Level.values:
        return
    higher = [level for level in Level if level.rank < Level(asset.level).rank]
    if child := Asset.objects.filter(parent=asset.pk, level__in=higher).first():
        _check_levels(asset, child)


_EDITABLE = ["tag", "name", "level", "type", "design", "criticality", "status", "attributes"]
