"""Why a health is not what it was: the change between then and now, shared down to inputs in points that add up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from assets.models import Asset
from twins.ml.rollup import Child, share_change
from twins.models import Assessment, AssessmentSource, HealthRecord
from twins.selectors.ledger import health_before
from twins.selectors.policies import WORST, rollup_policies_of

SHOWN = 10
REST = ""
"""The input of what no shown input explains."""


@dataclass(frozen=True)
class Moved:
    """Points that one input of one asset added to, or took from, the health above it."""

    asset: int
    tag: str
    name: str
    input: str
    """Empty: what its inputs do not explain, or what is too small to be shown."""
    points: float


@dataclass(frozen=True)
class Change:
    """What an asset's health did since an instant, and what moved it; the points sum to `points`."""

    before: float
    after: float
    since: datetime
    """When `before` was believed."""
    moved: list[Moved]
    """What matters most first; the last one is the rest, if any is left."""

    @property
    def points(self) -> float:
        return self.after - self.before

    def sentence(self, name: str) -> str:
        """'Line 3 fell 14 since 2026-01-05: Bearing vibration -9, ...'"""
        verb = "fell" if self.points < 0 else "rose"
        head = f"{name} {verb} {abs(self.points):.0f} since {self.since:%Y-%m-%d %H:%M}"
        parts = [f"{f'{one.name} {one.input}'.strip()} {one.points:+.0f}" for one in self.moved if round(one.points)]
        return f"{head}: {', '.join(parts)}" if parts else head


@dataclass(frozen=True)
class _Family:
    """Everything below an asset, as it is now and as it was."""

    assets: Mapping[int, Asset]
    now: Mapping[int, Assessment]
    then: Mapping[int, HealthRecord]
    children: Mapping[int, list[int]]


def health_change(asset: int, *, since: datetime) -> Change | None:
    """The change of an asset's health since an instant; None where nothing was believed then, or is now.

    Four statements whatever lies below. Each step down is exact (see `twins.ml.rollup`), and what the inputs of a part
    leave unexplained is told as such.
    """
    assets = {row.pk: row for row in Asset.objects.filter(path__contains=[asset])}
    now = {row.asset_id: row for row in Assessment.objects.filter(asset__in=assets)}
    then = health_before(assets, at=since)
    if asset not in now or asset not in then:
        return None
    children: dict[int, list[int]] = defaultdict(list)
    for row in assets.values():
        if row.parent_id is not None and row.pk != asset:
            children[row.parent_id].append(row.pk)
    family = _Family(assets, now, then, children)
    policies = rollup_policies_of(assets)
    moved = list(_shares(asset, now[asset].health - then[asset].health, family, policies))
    return Change(then[asset].health, now[asset].health, then[asset].at, _largest(moved, assets[asset]))


def _shares(asset: int, points: float, family: _Family, policies: Mapping[int, object]) -> Iterator[Moved]:
    """Share `points` that this asset is to blame for among what moved it."""
    if not points:
        return
    row, before = family.now.get(asset), family.then.get(asset)
    if row is None or before is None or row.source != AssessmentSource.ROLLUP:
        yield from _by_input(family.assets[asset], points, row, before)
        return
    old = [_child(family.assets[key], family.then[key]) for key in family.children[asset] if key in family.then]
    new = [_child(family.assets[key], family.now[key]) for key in family.children[asset] if key in family.now]
    found = share_change(policies.get(asset, WORST), old, new)  # type: ignore[arg-type]
    whole = sum(found.values())
    if not whole:
        yield Moved(asset, family.assets[asset].tag, family.assets[asset].name, REST, points)
        return
    for key, part in found.items():
        yield from _shares(key, points * part / whole, family, policies)


def _child(asset: Asset, row: Assessment | HealthRecord) -> Child:
    return Child(asset.pk, row.health, row.coverage, asset.criticality)


def _by_input(asset: Asset, points: float, row: Assessment | None, before: HealthRecord | None) -> Iterator[Moved]:
    """What each driver did between then and now, and what they do not explain."""
    rest = points
    change = (row.health if row is not None else 100.0) - (before.health if before is not None else 100.0)
    if row is not None and before is not None and change:
        new, old = ({entry["input"]: float(entry["points"]) for entry in each.drivers} for each in (row, before))
        for name in sorted(new.keys() | old.keys()):
            part = (new.get(name, 0.0) - old.get(name, 0.0)) * points / change
            rest -= part
            if part:
                yield Moved(asset.pk, asset.tag, asset.name, name, part)
    if abs(rest) > 1e-9:
        yield Moved(asset.pk, asset.tag, asset.name, REST, rest)


def _largest(moved: list[Moved], top: Asset) -> list[Moved]:
    ordered = sorted(moved, key=lambda one: (-abs(one.points), one.asset, one.input))
    if len(ordered) <= SHOWN:
        return ordered
    rest = sum(one.points for one in ordered[SHOWN - 1 :])
    return [*ordered[: SHOWN - 1], Moved(top.pk, top.tag, top.name, REST, rest)]
