"""Which record a row means: found by the names people use or by a source system's key, one query a table and chunk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.db import models

from assets.importing.tables import TABLES
from assets.importing.values import BadCell
from assets.models import Asset, AssetType, Design, ExternalReference, Item
from assets.permissions import EVERYWHERE, Reach

Name = tuple[str | None, ...]
"""The parts of a name in the order of `Link.headers`; None for a part that was left out."""


class Names:
    """Records that the rows of one chunk name. What was not loaded is not found, nor what lies out of `sight`."""

    def __init__(self, source: str, sight: Reach = EVERYWHERE) -> None:
        self._source = source
        self.sight = sight
        self._by_name: dict[tuple[str, Name], list[Any]] = {}
        self._by_key: dict[tuple[str, str], list[Any]] = {}

    def load(self, table: str, names: Iterable[Name], keys: Iterable[str]) -> None:
        """Look up these names and external keys of a table."""
        find, said = _NAMED[table]
        found: defaultdict[tuple[str, Name], list[Any]] = defaultdict(list)
        if firsts := {name[0] for name in names} - {None}:
            for record in find(firsts).filter(self.sight.of(TABLES[table].model)):
                for name in said(record):
                    found[table, name].append(record)
        self._by_name |= found
        if wanted := set(keys):
            self._by_key |= self._referenced(table, wanted)

    def _referenced(self, table: str, keys: set[str]) -> dict[tuple[str, str], list[Any]]:
        target = TABLES[table].target
        rows = ExternalReference.objects.filter(self.sight.of(ExternalReference), system=self._source, key__in=keys)
        rows = rows.filter(**{f"{target}__isnull": False})
        found: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
        for row in rows.select_related(f"{target}__root" if table == "assets" else target):
            found[table, row.key].append(getattr(row, target))
        return found

    def all_named(self, table: str, name: Name) -> list[Any]:
        """Every record of this name."""
        return self._by_name.get((table, name), [])

    def named(self, table: str, name: Name) -> Any:
        """The one record of this name; raises BadCell when there is none or more than one."""
        return _only(self.all_named(table, name), f"{_SINGULAR[table]} {_spoken(name)}", _MORE[table])

    def keyed(self, table: str, key: str) -> Any:
        """The one record that the source system knows by this key; raises BadCell."""
        what = f"{_SINGULAR[table]} with the key {key!r} of {self._source!r}"
        return _only(self._by_key.get((table, key), []), what, "use its name")


def site_of(asset: Asset) -> str:
    """Tag of the top of the asset's tree; known without a query of what `Names` has found."""
    found = asset.__dict__.get("site")
    return str(found or (asset.root.tag if asset.root else asset.tag))


def _only(found: list[Any], what: str, more: str) -> Any:
    if not found:
        raise BadCell(f"there is no {what}: correct it, or put its row first")
    if len({record.pk for record in found}) > 1:
        raise BadCell(f"there are {len(found)} of {what}: {more}")
    return found[0]


def _spoken(name: Name) -> str:
    return " ".join(repr(part) for part in name if part is not None)


_SINGULAR = {"types": "type", "designs": "design", "assets": "asset", "items": "item"}
_MORE = {
    "types": "correct its code",
    "designs": "name its revision",
    "assets": "name its site, the tag of the top of its tree",
    "items": "name its design and revision",
}


def _types(codes: set[str | None]) -> models.QuerySet[AssetType]:
    return AssetType.objects.filter(code__in=codes)


def _designs(codes: set[str | None]) -> models.QuerySet[Design]:
    return Design.objects.filter(code__in=codes)


def _assets(tags: set[str | None]) -> models.QuerySet[Asset]:
    return Asset.objects.filter(tag__in=tags).annotate(site=models.F("root__tag"))


def _items(serial_numbers: set[str | None]) -> models.QuerySet[Item]:
    return Item.objects.filter(serial_number__in=serial_numbers).select_related("design")


def _design_names(record: Design) -> Iterator[Name]:
    yield from ((record.code, record.revision), (record.code, None))


def _asset_names(record: Asset) -> Iterator[Name]:
    yield from ((record.tag, site_of(record)), (record.tag, None))


def _item_names(record: Item) -> Iterator[Name]:
    design = record.design
    yield from ((record.serial_number, code, revision) for code, revision in (*_design_names(design), (None, None)))


_NAMED: dict[str, tuple[Callable[[set[str | None]], models.QuerySet[Any]], Callable[[Any], Iterable[Name]]]] = {
    "types": (_types, lambda record: [(record.code,)]),
    "designs": (_designs, _design_names),
    "assets": (_assets, _asset_names),
    "items": (_items, _item_names),
}
